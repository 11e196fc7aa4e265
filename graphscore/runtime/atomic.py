"""Atomic file writing: a file is replaced whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file atomically: a temporary file beside ``path`` replaces it at the end of the ``with`` block.

    If the block raises an error, ``path`` stays as it was and the temporary file is deleted.

    Args:
        path: File to write; its folder is created if necessary.

    Yields:
        Path of the temporary file.

    Raises:
        OSError: If it cannot be written; ``filename`` is that of ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Check that files can be written to a folder, which need not exist yet; nothing is left behind.

    Raises:
        OSError: If they cannot.
    """
    folder, made = Path(folder), list[Path]()
    try:
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b" ")
            file.flush()
    except OSError as error:
        raise OSError(
            f"No file can be written to {folder} ({error.strerror}): make space, change its permissions, or choose "
            "another folder"
        ) from error
    finally:
        for place in made:
            with suppress(OSError):
                place.rmdir()
