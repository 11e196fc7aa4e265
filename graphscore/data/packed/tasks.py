"""Division of the records of files into tasks of packing, which depend on the files alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from graphscore.data.readers import extension, records

RECORDS = 8192
"""Records of a large file that are packed together."""
LARGE = 2**22
"""Bytes of a file whose records are shared among processes, and of small files that are packed together."""
MOST_FILES = 1024
ARRAYS = (".pt", ".npy", ".npz")
"""Extensions of files that hold graphs as they are: they are read once, since this is most of the work."""


class Part(NamedTuple):
    """Records of a file, from ``start`` to before ``stop``, or to the end.

    Attributes:
        file: The file.
        place: Number of the file in the list of files.
        start: Number of the first record, from 0.
        stop: Number after the last record.
        share: Share of the file, between 0 and 1.
    """

    file: Path
    place: int
    start: int = 0
    stop: int | None = None
    share: float = 1.0


Task = tuple[int, list[Part]]


def plan(files: Sequence[Path], sizes: Sequence[int]) -> Iterator[Task]:
    """Divide the records of files into tasks, which depend on the files alone."""
    waiting: list[Part] = []
    total, numbers = 0, iter(range(2**62))
    for place, (file, size) in enumerate(zip(files, sizes, strict=True)):
        if size <= LARGE:
            waiting, total = [*waiting, Part(file, place)], total + size
            if total < LARGE and len(waiting) < MOST_FILES:
                continue
            yield next(numbers), waiting
            waiting, total = [], 0
            continue
        if waiting:
            yield next(numbers), waiting
            waiting, total = [], 0
        count = 0 if extension(file) in ARRAYS else _count(file)
        for start in range(0, max(count, 1), RECORDS):
            stop = start + RECORDS if start + RECORDS < count else None  # the last part reports errors at the end
            share = 1.0 if stop is None and not start else ((stop or count) - start) / count
            yield next(numbers), [Part(file, place, start, stop, share)]
    if waiting:
        yield next(numbers), waiting


def _count(file: Path) -> int:
    """Number of the records of a file, up to the first at which the file as a whole cannot be read."""
    count = 0
    try:
        for _ in records(file):
            count += 1
    except ValueError:  # what reads the last part meets it again, and tells
        pass
    return count
