from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphscore import workers
from graphscore.workers import check_workers, in_workers, share_out

needs_workers = pytest.mark.skipif(not workers.AVAILABLE, reason="there are no workers here")


@given(
    costs=st.lists(st.floats(0, 1e6), max_size=40),
    number=st.one_of(st.none(), st.integers(1, 9)),
    least=st.floats(1, 1e5),
)
def test_each_piece_is_in_one_task(costs, number, least):
    tasks, several = share_out(costs, number, least)
    assert sorted(piece for task in tasks for piece in task) == list(range(len(costs)))
    assert 1 <= several <= (number or max(1, torch.get_num_threads())) and several <= max(1, len(tasks))
    assert all(tasks)


def test_tasks_of_workers_cost_alike_and_are_worth_it():
    costs = [1.0] * 1000
    assert [len(task) for task in share_out(costs, 2, 1.0)[0]] == [125] * 8
    assert [len(task) for task in share_out(costs, 2, 100.0)[0]] == [125] * 8
    assert [len(task) for task in share_out(costs, 2, 240.0)[0]] == [250] * 4
    assert [len(task) for task in share_out(costs, 2, 5000.0)[0]] == [500] * 2
    assert [len(task) for task in share_out(costs, 2, 0.0, most=50)[0]] == [10] * 100


@needs_workers
def test_little_work_is_not_shared_unless_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert share_out([1.0] * 29, None, 10.0)[1] == 1
    assert share_out([1.0] * 30, None, 10.0)[1] == 3
    assert share_out([1.0] * 29, 2, 10.0)[1] == 2


def test_one_worker_is_this_process():
    seen: list[tuple[int, int]] = []
    assert in_workers(lambda task: os.getpid(), [[0], [1, 2]], 1, lambda *n: seen.append(n)) == [os.getpid()] * 2
    assert seen == [(0, 3), (1, 3), (3, 3)]


@needs_workers
def test_results_come_in_the_order_of_tasks_from_processes_of_one_thread():
    def function(task: list[int]) -> tuple[int, int, torch.Tensor]:
        return os.getpid(), torch.get_num_threads(), torch.tensor(task).square()

    seen: list[tuple[int, int]] = []
    tasks = [[3], [1, 2], [7], [5]]
    results = in_workers(function, tasks, 2, lambda *numbers: seen.append(numbers), [10] * 8)
    assert [squares.tolist() for _, _, squares in results] == [[9], [1, 4], [49], [25]]
    assert {threads for _, threads, _ in results} == {1}
    assert os.getpid() not in {pid for pid, _, _ in results}
    assert seen[0] == (0, 50) and seen[-1] == (50, 50) and len(seen) == 5


@needs_workers
def test_many_tensors_need_no_file_descriptors():
    results = in_workers(lambda task: [torch.ones(3) for _ in range(3000)], [[0], [1]], 2)
    assert sum(len(result) for result in results) == 6000


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=needs_workers)])
def test_errors_are_those_of_the_function(number):
    def function(task: list[int]) -> None:
        raise ValueError(f"no good: {task}")

    with pytest.raises(ValueError, match=r"no good: \[4\]"):
        in_workers(function, [[4]], number)


@needs_workers
def test_a_worker_that_dies_is_noticed():
    with pytest.raises(ChildProcessError, match="One of 2 workers ended before its time"):
        in_workers(lambda task: os._exit(1), [[1], [2]], 2)


@pytest.mark.parametrize("number", [0, -2])
def test_numbers_of_workers_are_checked(number):
    with pytest.raises(ValueError, match=f"at least 1, but is {number}"):
        check_workers(number)


def test_there_is_one_where_processes_cannot_be_forked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "AVAILABLE", False)
    check_workers(1)
    check_workers(None)
    assert share_out([1e9] * 10, None, 1.0)[1] == 1
    with pytest.raises(ValueError, match="but is 2: there are several on Linux only"):
        check_workers(2)
