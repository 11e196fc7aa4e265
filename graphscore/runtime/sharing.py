"""Parallel work in several processes, where that is faster than in one.

Small tensor operations gain little from a second thread. Whole tasks gain from running side by side, each on one
thread, but a worker process takes seconds to start.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Generic

import torch

from graphscore.runtime.workers import Piece, Progress, Result, Work, in_workers

START_SECONDS = 5.0
"""Time that a worker takes to start, with PyTorch, PyTorch Geometric and RDKit, and a margin."""


@dataclass(frozen=True)
class Shared(Generic[Result]):  # no tuple: a named one is generic from Python 3.11 on
    """Results of work shared among processes, by task.

    Attributes:
        tasks: The numbers of the pieces of each task.
        results: Result of each task.
        workers: Processes that shared the work; 1 if all was done in this one.
    """

    tasks: list[list[int]]
    results: list[Result]
    workers: int


def check_workers(workers: int | None) -> None:
    """Check a number of workers: at least 1, or ``None`` for an automatic choice.

    Raises:
        ValueError: If it is less than 1.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, but is {workers}")


def share(
    work: Work[Piece, Result],
    pieces: Sequence[Piece],
    costs: Sequence[float],
    workers: int | None,
    *,
    least: float = 0.0,
    most: int = 4,
    sizes: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Shared[Result]:
    """Do work in several processes, or in this one if that is faster.

    Args:
        work: Function of a list of pieces; what it changes in memory stays in its worker.
        pieces: Pieces of the work.
        costs: Estimated cost of each piece, in any unit.
        workers: Largest number of workers. ``None`` for as many as PyTorch has threads, if that is faster: the first
            few pieces are done in this process, on all threads and on one, to estimate the time of the others.
        least: Cost from which on a task is worthwhile; cheaper pieces are put together.
        most: Largest number of tasks per worker.
        sizes: Size of each piece, for ``progress``; 1 by default.
        progress: Called with (done, total).

    Returns:
        The results by task.

    Raises:
        ValueError: If the work cannot be sent to workers.
        ChildProcessError: If a worker ends before its time.
    """
    numbers, threads = list(range(len(pieces))), torch.get_num_threads()
    if workers is None and 4 * least > sum(costs):
        workers = 1
    if len(pieces) < 2 or workers == 1 or (workers is None and threads == 1):
        return Shared([numbers], [work(pieces, progress)], 1)
    job = _Job(work, pieces, [1] * len(pieces) if sizes is None else sizes, progress)
    if workers is None:
        numbers, workers = _measure(job, costs, least, threads)
    tasks, workers = share_out(numbers, costs, workers, least, most)
    if workers > 1:
        job.there(tasks, workers)
    elif numbers:
        job.here(numbers)
    order = sorted(range(len(job.tasks)), key=lambda place: job.tasks[place][0])
    return Shared([job.tasks[place] for place in order], [job.results[place] for place in order], workers)


def share_out(
    numbers: Sequence[int], costs: Sequence[float], workers: int, least: float, most: int
) -> tuple[list[list[int]], int]:
    """Divide pieces of work into tasks of about equal cost.

    Args:
        numbers: Numbers of the pieces to divide.
        costs: Cost of each piece, those that are done already included.
        workers: Largest number of workers.
        least: Cost from which on a task is worthwhile.
        most: Largest number of tasks per worker.

    Returns:
        The tasks as numbers of pieces, the most expensive pieces first; and the number of workers for them.
    """
    total = sum(costs[number] for number in numbers)
    # The same number for each worker, so that all end at about the same time.
    each = max(1, min(most, int(min(most, total / (workers * least))) if least else most))
    tasks: dict[int, list[int]] = {}
    used = 0.0
    for number in sorted(numbers, key=lambda number: -costs[number]):
        tasks.setdefault(int(each * workers * used / total) if total else 0, []).append(number)
        used += costs[number]
    return [*tasks.values()], max(1, min(workers, len(tasks)))


class _Job(Generic[Piece, Result]):
    """Results of the tasks done so far, and the progress of the whole work."""

    def __init__(
        self, work: Work[Piece, Result], pieces: Sequence[Piece], sizes: Sequence[int], progress: Progress | None
    ) -> None:
        self.work, self.pieces, self.sizes, self.progress = work, pieces, sizes, progress
        self.tasks: list[list[int]] = []
        self.results: list[Result] = []
        self._tell(0.0)

    def here(self, task: list[int]) -> float:
        """Do a task in this process, and return the seconds that it took."""
        started, size = time.perf_counter(), self._size(task)
        progress = None if self.progress is None else lambda done, total: self._tell(size * done / max(1, total))
        self._add(task, self.work([self.pieces[number] for number in task], progress))
        return time.perf_counter() - started

    def there(self, tasks: list[list[int]], workers: int) -> None:
        """Do tasks in workers."""
        pieces = [[self.pieces[number] for number in task] for task in tasks]
        with closing(in_workers(self.work, pieces, workers)) as results:
            for place, result in results:
                self._add(tasks[place], result)

    def _add(self, task: list[int], result: Result) -> None:
        self.tasks.append(task)
        self.results.append(result)
        self._tell(0.0)

    def _size(self, task: Sequence[int]) -> int:
        return sum(self.sizes[number] for number in task)

    def _tell(self, more: float) -> None:
        if self.progress is not None:
            self.progress(sum(map(self._size, self.tasks)) + int(more), sum(self.sizes))


def _measure(job: _Job[Any, Any], costs: Sequence[float], least: float, threads: int) -> tuple[list[int], int]:
    """Do the first pieces in this process; return the numbers of the others, and the fastest number of workers."""
    left = list(range(len(costs)))
    random.Random(0).shuffle(left)  # the measured pieces must be typical of the others

    def rate() -> float:
        task = [left.pop()]
        while left and sum(costs[number] for number in task) < least:
            task.append(left.pop())
        return job.here(task) / max(sum(costs[number] for number in task), 1e-9)

    def rest() -> float:
        return sum(costs[number] for number in left)

    # The first task includes work done once per process, so it overestimates the rest: if that is short, stop here.
    if rate() * rest() < 2 * START_SECONDS:
        return left, 1
    here = rate()
    with one_thread():
        alone = rate()
    pays = START_SECONDS + alone * rest() / threads < here * rest()
    return left, threads if pays else 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread inside a ``with`` block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
