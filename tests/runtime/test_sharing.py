from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphscore.runtime import sharing
from graphscore.runtime.sharing import START_SECONDS, check_workers, share, share_out


@given(
    costs=st.lists(st.floats(0, 1e6), max_size=40),
    number=st.integers(1, 9),
    least=st.floats(0, 1e5),
)
def test_each_piece_is_in_one_task(costs, number, least):
    tasks, several = share_out(range(len(costs)), costs, number, least, 4)
    assert sorted(piece for task in tasks for piece in task) == list(range(len(costs)))
    assert 1 <= several <= number and several <= max(1, len(tasks))
    assert all(tasks)


def test_tasks_of_workers_cost_alike_and_are_worth_it():
    costs = [1.0] * 1000
    for least, most, expected in ((1, 4, [125] * 8), (100, 4, [125] * 8), (240, 4, [250] * 4), (5000, 4, [500] * 2)):
        assert [len(task) for task in share_out(range(1000), costs, 2, least, most)[0]] == expected
    assert [len(task) for task in share_out(range(1000), costs, 2, 0.0, 50)[0]] == [10] * 100


class Clock:
    """Work that takes the time that it says, and workers that do it here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, here: float, alone: float, threads: int = 4) -> None:
        self.now, self.threads, self.speeds = 0.0, threads, {threads: here, 1: alone}
        self.done: list[int] = []
        self.shared: list[list[int]] = []
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", lambda number: setattr(self, "threads", number))
        monkeypatch.setattr(sharing.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(sharing, "in_workers", self.in_workers)

    def __call__(self, pieces: Sequence[int], progress=None) -> list[int]:
        for number, piece in enumerate(pieces):
            self.now += self.speeds[self.threads]
            self.done.append(piece)
            if progress is not None:
                progress(number + 1, len(pieces))
        return [piece**2 for piece in pieces]

    def in_workers(self, work, tasks, workers):
        self.shared = [list(task) for task in tasks]
        for place in reversed(range(len(tasks))):
            yield place, [piece**2 for piece in tasks[place]]


@pytest.mark.parametrize(
    "here, alone, pieces, workers",
    [
        (1.0, 1.5, 100, 4),  # 100 s here, 5 + 37 s in workers
        (1.0, 3.9, 100, 1),  # what one thread does slowly
        (1.0, 1.0, 2 * int(START_SECONDS) - 1, 1),  # soon done
        (0.1, 0.1, 90, 1),
        (0.1, 0.1, 1000, 4),
    ],
)
def test_workers_are_started_where_that_pays(monkeypatch: pytest.MonkeyPatch, here, alone, pieces, workers):
    clock, seen = Clock(monkeypatch, here, alone), []
    shared = share(clock, range(pieces), [1.0] * pieces, None, progress=lambda *numbers: seen.append(numbers))
    assert shared.workers == workers and clock.threads == 4
    assert sorted(n for task in shared.tasks for n in task) == list(range(pieces))
    assert shared.results == [[n**2 for n in task] for task in shared.tasks]
    assert len(clock.done) + sum(map(len, clock.shared)) == pieces and len(clock.done) == (3 if workers > 1 else pieces)
    assert seen == sorted(seen) and seen[0] == (0, pieces) and seen[-1] == (pieces, pieces)


def test_too_little_work_is_not_even_measured(monkeypatch: pytest.MonkeyPatch):
    clock = Clock(monkeypatch, 100.0, 100.0)
    assert share(clock, range(10), [1.0] * 10, None, least=3.0).tasks == [list(range(10))]
    assert share(clock, range(10), [1.0] * 10, 1).tasks == [list(range(10))] and not clock.shared
    assert share(clock, range(10), [1.0] * 10, 2).workers == 2 and len(clock.done) == 20
    assert share(clock, [], [], 2).results == [[]]


@pytest.mark.parametrize("number", [0, -2])
def test_numbers_of_workers_are_checked(number):
    check_workers(None)
    check_workers(1)
    with pytest.raises(ValueError, match=f"at least 1, but is {number}"):
        check_workers(number)
