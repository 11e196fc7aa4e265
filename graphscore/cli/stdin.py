"""Standard input as an input file: ``--input -``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from graphscore.data.formats.detection import guess_format

STDIN = "standard input"


@contextmanager
def spooled(path: Path | None, format: str | None) -> Iterator[tuple[Path | None, str | None]]:
    """Copy standard input to a temporary file inside the ``with`` block, if it is the path ``-``.

    Inputs are read several times: to count them, to recognise them, and to sample them.

    Args:
        path: Path of an input file.
        format: Its format, if it is named; that of standard input is else recognised by its content.

    Yields:
        The path, or that of the temporary file, and the format.

    Raises:
        ValueError: If standard input is a terminal or empty, or its format is not recognised.
    """
    if path is None or str(path) != "-":
        yield path, format
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise ValueError(f"--input - reads {STDIN}, but nothing is piped into it")
    with TemporaryDirectory(prefix="graphscore-") as folder:
        file = Path(folder) / STDIN
        with file.open("wb") as copied:
            shutil.copyfileobj(sys.stdin.buffer, copied)
        if not file.stat().st_size:
            raise ValueError(f"There is nothing in {STDIN}")
        if format is None and not (looks := guess_format(file)):
            raise ValueError(f"The format of {STDIN} is not recognised: name it, such as by --format smi")
        yield file, looks[0] if format is None else format


def shown(path: Path) -> str:
    """Name an input file in messages: a temporary file of :func:`spooled` by what it holds."""
    return STDIN if path.name == STDIN else str(path)
