"""Tasks shared among processes, each of which computes on one thread.

Small tensor operations gain little from a second thread, whole tasks side by side do. Workers are forked, like those of
PyTorch's data loaders: they start at once, with all that is in memory.
"""

from __future__ import annotations

import io
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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


def share_out(costs: Sequence[float], workers: int | None, least: float) -> tuple[list[list[int]], int]:
    """Share pieces of work out among workers.

    Args:
        costs: What each piece costs.
        workers: Number of workers at most; ``None`` for as many as PyTorch has threads, where there is enough to do.
        least: Cost from which on a task is worth being one.

    Returns:
        Tasks, as numbers of pieces, the most expensive first; and how many workers are to do them.
    """
    everything = sorted(range(len(costs)), key=lambda number: -costs[number])
    if workers is None:
        workers = torch.get_num_threads() if AVAILABLE else 1
        if sum(costs) < workers * least:
            workers = 1
    if workers == 1 or len(costs) < 2:
        return [everything], 1
    # As many for each worker, several if they are worth it, so that all end at about the same time.
    each = min(4, max(1, int(sum(costs) / (workers * least))))
    size, used = max(sum(costs) / (each * workers), 1e-12), 0.0
    tasks: dict[int, list[int]] = {}
    for number in everything:
        tasks.setdefault(int(used / size), []).append(number)
        used += costs[number]
    return [*tasks.values()], min(workers, len(tasks))


def in_workers(
    function: Callable[[list[int]], Result],
    tasks: Sequence[list[int]],
    workers: int,
    done: Callable[[list[int]], None],
) -> list[Result]:
    """Call a function with each task.

    Args:
        function: Any function; what it changes in memory stays in its worker.
        tasks: The tasks.
        workers: Number of workers.
        done: Called with each task that is done.

    Returns:
        What the function returned for each task.

    Raises:
        BrokenProcessPool: If a worker ends before its time, for want of memory perhaps.
    """
    context, results = multiprocessing.get_context("fork"), {}
    with ProcessPoolExecutor(workers, context, _start, (function,)) as pool:
        futures = {pool.submit(_work, task): place for place, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                place = futures[future]
                results[place] = torch.load(io.BytesIO(future.result()), weights_only=False)
                done(tasks[place])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[place] for place in range(len(tasks))]


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
