"""Tasks shared among processes, each of which computes on one thread.

Small tensor operations gain little from a second thread, whole tasks side by side do. Workers are forked, like those of
PyTorch's data loaders: they start at once, with all that is in memory.
"""

from __future__ import annotations

import io
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")

AVAILABLE = sys.platform == "linux"
"""Whether there are workers here. Elsewhere processes cannot be forked safely, and take seconds to start."""

_function: Callable[[Any], Any]


def check_workers(workers: int | None) -> None:
    """Check a number of workers; ``None`` leaves it open.

    Raises:
        ValueError: If it is less than 1, or more where there are none.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, but is {workers}")
    if workers is not None and workers > 1 and not AVAILABLE:
        raise ValueError(f"workers must be 1 on {sys.platform}, but is {workers}: there are several on Linux only")


def share_out(costs: Sequence[float], workers: int | None, least: float, most: int = 4) -> tuple[list[list[int]], int]:
    """Share pieces of work out among workers.

    Args:
        costs: What each piece costs.
        workers: Number of workers at most; ``None`` for as many as PyTorch has threads, where there is enough to do.
        least: Cost from which on a task is worth being one.
        most: Tasks of each worker at most.

    Returns:
        Tasks of about the same cost, as numbers of pieces, the most expensive first; and how many workers are to do
        them.
    """
    total = sum(costs)
    if workers is None:
        workers = torch.get_num_threads() if AVAILABLE and total >= torch.get_num_threads() * least else 1
    # As many for each worker, so that all end at about the same time.
    each = max(1, min(most, int(total / (workers * least)) if least else most))
    tasks: dict[int, list[int]] = {}
    used = 0.0
    for number in sorted(range(len(costs)), key=lambda number: -costs[number]):
        tasks.setdefault(int(each * workers * used / total) if total else 0, []).append(number)
        used += costs[number]
    return [*tasks.values()], max(1, min(workers, len(tasks)))


def in_workers(
    function: Callable[[list[int]], Result],
    tasks: Sequence[list[int]],
    workers: int,
    progress: Callable[[int, int], None] | None = None,
    sizes: Sequence[int] | None = None,
) -> list[Result]:
    """Call a function with each task.

    Args:
        function: Any function; what it changes in memory stays in its worker.
        tasks: Numbers of pieces of work.
        workers: Number of workers; 1 does it in this process.
        progress: Called with (done, in all).
        sizes: How much of that each piece is; 1 by default.

    Returns:
        What the function returned for each task.

    Raises:
        ChildProcessError: If a worker ends before its time.
    """
    parts = [len(task) if sizes is None else sum(sizes[number] for number in task) for task in tasks]
    done, results = 0, {}
    if progress is not None:
        progress(0, sum(parts))
    for place, result in _results(function, tasks, workers):
        results[place] = result
        done += parts[place]
        if progress is not None:
            progress(done, sum(parts))
    return [results[place] for place in range(len(tasks))]


def _results(
    function: Callable[[list[int]], Result], tasks: Sequence[list[int]], workers: int
) -> Iterator[tuple[int, Result]]:
    """Results as they come, each with the number of its task."""
    if workers == 1:
        for place, task in enumerate(tasks):
            yield place, function(task)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _start, (function,)) as pool:
        futures = {pool.submit(_work, task): place for place, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                yield futures[future], torch.load(io.BytesIO(future.result()), weights_only=False)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                f"One of {workers} workers ended before its time, for want of memory perhaps: try fewer"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    # The threads of the process that was forked are not there any more.
    torch.set_num_threads(1)


def _work(task: list[int]) -> bytes:
    # As bytes: sent as they are, each tensor would take a file descriptor.
    buffer = io.BytesIO()
    torch.save(_function(task), buffer)
    return buffer.getvalue()
