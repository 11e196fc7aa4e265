"""Sampling where memory runs out."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import CompleteGraph
from graphscore.generate.budget import Budget
from graphscore.generate.jobs import generate as stream
from graphscore.samplers import Sampler

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to"),
    MemoryError(),
]


def scarce(sampler: Sampler, limit: int, error: Exception) -> list[int]:
    """Let the model run out of memory beyond a number of edges; returns the sizes of the batches that it sees."""
    seen: list[int] = []

    def check(module, arguments):
        num_edges = arguments[0].num_edges
        if not seen or seen[-1] != num_edges:
            seen.append(num_edges)
        if num_edges > limit:
            raise error

    sampler.model.network.register_forward_pre_hook(check)
    return seen


@pytest.mark.parametrize("error", ERRORS, ids=["gpu", "cpu", "windows", "python"])
def test_batches_are_halved_where_memory_runs_out(templates, generate, sampler, error):
    expected = generate(sampler, templates, num=3, seed=5, transform=CompleteGraph())
    seen, budget = scarce(sampler, 60, error), Budget(150)
    outcomes = list(stream(sampler, templates, num=3, seed=5, transform=CompleteGraph(), max_edges=budget, window=None))
    for before, after in zip(expected.samples, outcomes, strict=True):
        assert after.failure is None and len(after.samples) == 3 and after.cost.max_edges == budget.max_edges
        for a, b in zip(before, after.samples, strict=True):
            torch.testing.assert_close(a.pos, b.pos, rtol=1e-9, atol=1e-9)
    assert budget.is_halved and 42 <= budget.max_edges <= 75
    seen.clear()
    again = list(stream(sampler, templates, num=3, seed=5, transform=CompleteGraph(), max_edges=budget))
    assert max(seen) <= 60 and [outcome.failure for outcome in again] == [None] * 5


@pytest.mark.parametrize("together", [False, True])
def test_a_graph_that_does_not_fit_in_alone_fails_by_its_size(templates, sampler, together):
    """It is tried once, not once for each sample; the others are sampled."""
    seen = scarce(sampler, 40, ERRORS[0])
    outcomes = list(stream(sampler, templates, num=3, transform=CompleteGraph(), together=together, max_edges=10_000))
    what = (
        "its 3 samples together, with 7 nodes and 42 edges each" if together else "it alone, with 7 nodes and 42 edges"
    )
    assert [outcome.failure for outcome in outcomes] == [None, None, f"memory does not suffice for {what}", None, None]
    assert [len(outcome.samples) for outcome in outcomes] == [3, 3, 0, 3, 3]
    assert seen.count(126 if together else 42) == 1


def test_other_errors_are_not_taken_for_want_of_memory(templates, generate, sampler):
    scarce(sampler, 40, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        generate(sampler, templates, num=3, transform=CompleteGraph())


def test_an_input_graph_that_takes_too_much_memory_fails_alone(templates, generate, sampler):
    def connect(graph: Data) -> Data:
        if graph.num_nodes == 7:
            raise ERRORS[1]
        return CompleteGraph()(graph)

    result = generate(sampler, templates, transform=connect)
    assert result.failures[2] == "memory does not suffice for the network's graph of its 7 nodes"
    assert [len(samples) for samples in result.samples] == [1, 1, 0, 1, 1]
