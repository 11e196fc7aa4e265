"""Atomic file writing: a file is replaced whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file atomically: a temporary file beside ``path`` replaces it at the end of the ``with`` block.

    If the block raises an error, ``path`` stays as it was and the temporary file is deleted.

    Args:
        path: File to write; its folder is created if necessary.

    Yields:
        Path of the temporary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
