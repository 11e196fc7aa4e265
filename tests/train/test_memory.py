"""Memory of micro-batches: measured on small ones, predicted for large ones, and kept to."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.objectives import OBJECTIVES, WEIGHTS
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.train import memory
from graphscore.train.memory import MemoryModel, MemoryPlan, measure_memory, plan_memory
from graphscore.train.parts import Budget, micro_batches, sizes_of
from graphscore.train.task import ScoreMatchingTask

CPU = torch.device("cpu")


def complete(num_nodes: int, **more: torch.Tensor) -> Data:
    nodes = torch.arange(num_nodes)
    pairs = torch.cartesian_prod(nodes, nodes)
    return Data(pos=torch.randn(num_nodes, 3), edge_index=pairs[pairs[:, 0] != pairs[:, 1]].T.contiguous(), **more)


@pytest.fixture
def task() -> ScoreMatchingTask:
    process = ForwardProcess({Field("pos", zero_mean=True, width=3): VESDE()})
    model = Denoiser(ScoreNetwork(EGNN(32, 3, cond_channels=8), {"pos": 3}), process)
    objective = OBJECTIVES["denoising"].bind(weight=WEIGHTS["edm"])
    return ScoreMatchingTask(model, lambda u, sde: 1e-3 + 0.5 * u, objective, "mean")


def test_the_fit_is_exact_where_memory_is_linear_and_never_negative():
    rng = np.random.default_rng(0)
    matrix = np.column_stack([np.ones(8), rng.uniform(1, 9, (8, 3))])
    np.testing.assert_allclose(memory._fit(matrix, matrix @ [3.0, 0.0, 2.0, 5.0]), [3, 0, 2, 5], atol=1e-12)
    fitted = memory._fit(matrix, matrix @ [3.0, 1.0, 2.0, 0.5] - 0.4 * matrix[:, 1])
    assert (fitted >= 0).all()


@pytest.mark.parametrize("small", [[10] * 40, [5, 9, 20, 40] * 5])
def test_the_memory_of_graphs_far_larger_than_those_measured_is_predicted(task, small):
    graphs = [complete(n) for n in [*small, 200]]
    model = measure_memory(task, graphs, sizes_of(graphs), CPU)
    for indices in ([-1], [*range(10), -1], list(range(20))):
        chosen = [graphs[i] for i in indices]
        peak = memory._peak_on_cpu(task, Batch.from_data_list(chosen))
        assert model.fixed + model.of_graphs(sizes_of(chosen)).sum() == pytest.approx(peak, rel=0.15)


def test_measuring_leaves_the_task_and_the_random_numbers_alone(task):
    graphs = [complete(4) for _ in range(3)]
    before = (torch.get_rng_state(), [parameter.clone() for parameter in task.parameters()])
    measure_memory(task, graphs, sizes_of(graphs), CPU)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert all(p.grad is None and torch.equal(p, q) for p, q in zip(task.parameters(), before[1], strict=True))


def test_graphs_whose_attributes_count_nodes_are_not_cut():
    whole = complete(30, center_index=torch.tensor([29]))
    assert memory._first_nodes(whole, 0.5) is whole
    part = memory._first_nodes(complete(30), 0.5)
    assert (part.num_nodes, part.num_edges) == (15, 15 * 14)


def test_a_plan_is_made_where_graphs_may_be_large_and_refuses_those_that_cannot_fit(task, monkeypatch):
    graphs = [complete(5)] * 4 + [complete(120)]
    sizes = sizes_of(graphs)
    assert plan_memory(task, graphs, sizes, 4, "auto", CPU) is None
    assert plan_memory(task, graphs, sizes, 1000, None, CPU) is None
    plan = plan_memory(task, graphs, sizes, 1000, "auto", CPU)
    assert plan is not None and plan.limit == pytest.approx(0.6 * psutil.virtual_memory().available, rel=0.2)
    shared = plan_memory(task, graphs, sizes, 1000, "auto", CPU, 4)
    assert shared is not None and shared.limit == pytest.approx(plan.limit / 4, rel=0.2)
    exact = plan_memory(task, graphs, sizes, 4, 0.25, CPU)
    assert exact is not None and exact.limit == 250_000_000 and "graph 4 with 120 nodes" in exact.describe(sizes)
    free = type("Free", (), {"available": 10_000_000})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(ValueError, match=r"Graph 4 .*120 nodes, 14,280 edges.* would take about 0.0 GB.*max_nodes"):
        plan_memory(task, graphs, sizes, 4, 0.25, CPU)


def test_micro_batches_keep_to_the_plan():
    graphs = [complete(n) for n in (3, 4, 5, 6)]
    plan = MemoryPlan(1000, MemoryModel(fixed=100, per_graph=10, per_node=1, per_edge=20))
    sizes = plan.measured(sizes_of(graphs))
    assert sizes.bytes is not None and sizes.bytes.tolist() == [133, 254, 415, 616]
    assert micro_batches(sizes, plan.budget(Budget(graphs=3))) == [[0, 3], [1, 2]]
