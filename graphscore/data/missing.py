"""Errors about files that do not exist, with the name beside it that was probably meant; needs no PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from graphscore.registry import close_to

MOST_NAMES = 10_000
"""Number of names in a folder that are looked at."""


def missing(path: str | Path, names: Iterable[str] = ()) -> FileNotFoundError:
    """Make the error for a file that does not exist; its message ends with the closest name that does.

    Args:
        path: The file.
        names: Names beside those of the folder that could have been meant, such as those of weights.
    """
    return FileNotFoundError(f"There is no file {path}{like(path, names)}")


def like(path: str | Path, names: Iterable[str] = ()) -> str:
    """Hint at the name in the same folder, or among others, that is most like a wrong one; empty if none is."""
    path = Path(path)
    try:
        beside = [str(file) for file in islice(path.parent.iterdir(), MOST_NAMES)]
    except OSError:
        beside = []
        if not path.parent.exists():
            return f"; there is no folder {path.parent} either"
    return close_to(str(path), [*names, *beside])
