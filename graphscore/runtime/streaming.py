"""A stream of tasks, done in several processes or in this one, with results in their order.

Unlike :mod:`graphscore.runtime.sharing`, which needs all the work at once, this keeps only current tasks in memory.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Generic, TypeVar

import torch

from graphscore.runtime.engine import Engine
from graphscore.runtime.sharing import START_SECONDS, one_thread
from graphscore.runtime.workers import Piece, Progress, Result, Work, in_order

AHEAD = 4
"""Tasks for each worker that may be done before the first one is."""
# Thresholds on the remaining work for a decision about workers, as multiples of the time to start one.
FEW, MANY = 2, 60

Task = TypeVar("Task")


def stream(
    work: Work[Piece, Result],
    tasks: Iterable[Sequence[Piece]],
    workers: int | None,
    cost: Callable[[Sequence[Piece]], float],
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Generator[tuple[Result, int | None], None, None]:
    """Do a stream of tasks, one after another or several at a time in workers.

    Args:
        work: Function of the pieces of a task; its changes in memory stay in its worker.
        tasks: Pieces of work, iterated over only as needed.
        workers: Maximum number of workers. ``None`` for as many as PyTorch has threads, if that is faster: the first
            three tasks are done in this process, two on all threads and one on a single one, to estimate the time.
        cost: Cost of a task, in any unit.
        progress: Passed on to work in this process.
        engine: Does the tasks instead, if it is given.

    Yields:
        Results in the order of the tasks, each with the number of processes that share the work, ``None`` while that is
        being measured.

    Raises:
        ValueError: If the work cannot be sent to workers.
        ChildProcessError: If a worker ends unexpectedly.
    """
    if engine is not None:
        with closing(engine.do(work, tasks)) as results:
            for result in results:
                yield result, engine.workers
        return
    waiting = _Waiting(tasks, cost)
    threads = torch.get_num_threads()
    if workers is None:
        workers = 1
        if threads > 1:
            decided = yield from _measure(work, waiting, threads, progress)
            workers = decided
    if workers == 1:
        for task in waiting:
            yield work(task, progress), 1
    else:
        with closing(in_order(work, waiting, workers, AHEAD * workers)) as results:
            for result in results:
                yield result, workers


class _Waiting(Generic[Task]):
    """Queue of the tasks that are not begun, with look-ahead."""

    def __init__(self, tasks: Iterable[Task], cost: Callable[[Task], float]) -> None:
        self.tasks, self.cost = iter(tasks), cost
        self.seen: deque[Task] = deque()
        self.seen_cost = 0.0

    def __iter__(self) -> Iterator[Task]:
        return self

    def __next__(self) -> Task:
        if not self.seen:
            return next(self.tasks)
        self.seen_cost -= self.cost(self.seen[0])
        return self.seen.popleft()

    def has(self, cost: float) -> bool:
        """Look ahead until tasks of a total cost are waiting; return whether there are that many."""
        while self.seen_cost < cost:
            if (task := next(self.tasks, None)) is None:
                return False
            self.seen.append(task)
            self.seen_cost += self.cost(task)
        return True


def _measure(
    work: Work[Piece, Result], waiting: _Waiting[Sequence[Piece]], threads: int, progress: Progress | None
) -> Generator[tuple[Result, int | None], None, int]:
    """Do the first tasks in this process, and return the best number of workers for the others."""

    def timed(task: Sequence[Piece]) -> tuple[Result, float]:
        started = time.perf_counter()
        result = work(task, progress)
        return result, (time.perf_counter() - started) / max(waiting.cost(task), 1e-9)

    rate = 0.0
    for _ in range(2):  # the first task includes one-time work of a process
        for task in waiting:
            result, rate = timed(task)
            yield result, None
            break
        # If the rest is done soon even at this rate, workers are not worth starting.
        if not waiting.has(FEW * START_SECONDS / max(rate, 1e-9)):
            return 1
    with one_thread():
        result, alone = timed(next(waiting))
    yield result, None
    saved = rate - alone / threads
    return threads if saved * MANY > rate and waiting.has(START_SECONDS / saved) else 1
