"""Folders that one process writes to at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_FILE = ".lock"


@contextmanager
def owned(folder: str | Path, wait: bool = False) -> Iterator[None]:
    """Let no other process write to a folder inside the ``with`` block; if this one is killed, the folder is free.

    What a killed process has left unfinished there, see :func:`~graphscore.runtime.atomic.replacing`, is removed.

    Args:
        folder: The folder; it is made if necessary.
        wait: Whether to wait for another process that writes to it.

    Raises:
        OSError: If another process writes to it, and this one does not wait.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK_FILE, timeout=-1 if wait else 0):
            for unfinished in folder.rglob(".*.*"):
                if unfinished.suffix[1:].isdecimal():
                    unfinished.unlink(missing_ok=True)
            yield
    except Timeout as error:
        raise OSError(f"Another process writes to {folder}; wait until it is done, or choose another folder") from error
