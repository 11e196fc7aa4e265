"""Tasks of a stream: in their order, no more at a time than needed, by workers where that pays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pytest
import torch

from graphscore.runtime import streaming
from graphscore.runtime.sharing import START_SECONDS
from graphscore.runtime.streaming import AHEAD, stream
from graphscore.runtime.workers import in_workers


class Clock:
    """Work that takes the time that it says, and workers that do it here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, here: float, alone: float, threads: int = 4) -> None:
        self.now, self.threads, self.speeds = 0.0, threads, {threads: here, 1: alone}
        self.here: list[int] = []
        self.workers = 1
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", lambda number: setattr(self, "threads", number))
        monkeypatch.setattr(streaming.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(streaming, "in_order", self.in_order)

    def __call__(self, pieces: Sequence[int], progress=None) -> list[int]:
        self.now += self.speeds[self.threads] * len(pieces)
        self.here += pieces
        return [piece**2 for piece in pieces]

    def in_order(self, work, tasks, workers, ahead) -> Iterator[list[int]]:
        self.workers = workers
        for task in tasks:
            yield [piece**2 for piece in task]


@pytest.mark.parametrize(
    "here, alone, pieces, workers",
    [
        (1.0, 1.5, 100, 4),  # 100 s here, 5 + 37 s in workers
        (1.0, 3.99, 1000, 1),  # what one thread does slowly
        (1.0, 1.0, int(2 * START_SECONDS), 1),  # soon done
        (0.1, 0.1, 90, 1),
        (0.1, 0.1, 1000, 4),
    ],
)
def test_workers_are_started_where_that_pays(monkeypatch: pytest.MonkeyPatch, here, alone, pieces, workers):
    clock, read = Clock(monkeypatch, here, alone), []
    tasks = (read.append(number) or [number] for number in range(pieces))
    results = list(stream(clock, tasks, None, len))
    assert [piece for result, _ in results for piece in result] == [number**2 for number in range(pieces)]
    assert (clock.workers, clock.threads) == (workers, 4)
    assert len(clock.here) == (3 if workers > 1 else pieces)
    shares = [number for _, number in results]
    measured = shares.count(None)
    assert measured in (1, 2, 3) and shares == [None] * measured + [workers] * (pieces - measured)


def test_no_more_is_read_than_the_decision_needs(monkeypatch: pytest.MonkeyPatch):
    clock, read = Clock(monkeypatch, here=1.0, alone=1.0), []
    results = stream(clock, (read.append(number) or [number] for number in range(10**9)), None, len)
    next(results)
    assert len(read) == 1
    for _ in range(2):
        next(results)
    assert len(read) <= 3 + math.ceil(2 * START_SECONDS)


def slowly(pieces: Sequence[int], progress=None) -> list[int]:
    if pieces == [0]:
        import time

        time.sleep(1.0)
    return list(pieces)


def test_a_slow_task_holds_up_those_far_behind_it():
    """Results that wait for it are bounded."""
    read: list[int] = []
    tasks = (read.append(number) or [number] for number in range(100))
    results = in_workers(slowly, tasks, 2, ahead=3)
    places = [next(results)[0] for _ in range(2)]
    assert places == [1, 2] and len(read) <= 4
    results.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers):
    tasks = [[number] for number in range(3 * AHEAD)]
    assert [result for result, _ in stream(slowly, iter(tasks), workers, len)] == tasks
