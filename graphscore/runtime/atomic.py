"""Atomic file writing, and folders that one process writes to at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = ".lock"


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


@contextmanager
def owned(folder: str | Path) -> Iterator[None]:
    """Let no other process write to a folder inside the ``with`` block; if this one is killed, the folder is free.

    Args:
        folder: The folder; it is made if necessary.

    Raises:
        OSError: If another process writes to it.
    """
    from filelock import FileLock, Timeout  # which PyTorch needs, too

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK_FILE, timeout=0):
            yield
    except Timeout as error:
        raise OSError(f"Another process writes to {folder}; wait until it is done, or choose another folder") from error
