"""Formats of files by their content, for files with another extension or none."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from graphscore.data.formats.text import open_bytes, read_lines
from graphscore.domains import domains
from graphscore.registry import resolve

NUM_LINES = 60
"""Number of lines, from the first one that is not empty, by which a format is recognised."""
_ZIP, _NPY = b"PK\x03\x04", b"\x93NUMPY"  # of torch.save and numpy.savez; of numpy.save
_PARQUET = b"PAR1"


def shared_format(path: Path, name: str) -> str:
    """Find the format of a file whose extension is that of several domains, by its first lines.

    Args:
        path: File, which may be compressed by gzip.
        name: Its extension without compression, such as ``.xyz``.

    Returns:
        The format of a domain that shares the extension and recognises the file, or else the extension.
    """
    sharing = {domain.shared[name]: domain.guess for domain in domains() if name in domain.shared}
    if not sharing or not path.is_file():
        return name
    try:
        lines = [line.rstrip("\n") for line in islice(read_lines(path), NUM_LINES)]
    except (ValueError, OSError, EOFError):
        return name
    fitting = (own for own, guess in sharing.items() if guess is not None and own in resolve(guess)(lines))
    return next(fitting, name)


def guess_format(path: Path) -> tuple[str, ...]:
    """Guess the format of a file by its first lines.

    Args:
        path: File, which may be compressed by gzip.

    Returns:
        Extensions, the likeliest first; the others are as good, such as ``.csv`` after ``.smi``. Empty if the format is
        none that the library reads.
    """
    try:
        with open_bytes(path) as file:
            start = file.read(1024)
        if start.startswith(_NPY):
            return (".npy",)
        if start.startswith(_PARQUET):
            return (".parquet",)
        if start.startswith(_ZIP):
            return (".npz" if _NPY in start else ".graphml.zip" if b".graphml" in start else ".pt",)
        if b"<graphml" in start:
            return (".graphml",)
        lines = [line.rstrip("\n") for line in islice(read_lines(path), NUM_LINES)]
    except (ValueError, OSError, EOFError):
        return ()
    guesses = (resolve(domain.guess)(lines) for domain in domains() if domain.guess is not None)
    return next(filter(None, guesses), ())
