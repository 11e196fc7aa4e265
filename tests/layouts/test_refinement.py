"""Stress majorisation and the removal of crossings."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch import Tensor

from graphscore.layouts.distances import shortest_paths
from graphscore.layouts.large import draw_large
from graphscore.layouts.metrics import crossings, scaled_stress
from graphscore.layouts.refinement import PRICE, measured, refine
from graphscore.layouts.stress import majorise
from graphscore.layouts.uncrossing import Incidence, count_crossings, uncross
from graphscore.rng import GraphGenerator


def stress(pos: Tensor, distances: Tensor) -> Tensor:
    counted = distances.isfinite() & (distances > 0)
    ratio = torch.where(counted, torch.cdist(pos, pos) / torch.where(counted, distances, 1), 1)
    return (ratio - 1).square().sum((1, 2)) / 2


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Random positions, distances and edges of two graphs of different size, float64."""
    graphs = [nx.random_labeled_tree(9, seed=1), nx.gnm_random_graph(14, 30, seed=2)]
    union = nx.disjoint_union_all(graphs)
    index = torch.tensor([0] * 9 + [1] * 14)
    distances = shortest_paths(torch.tensor([*union.edges]).t(), index, 2).double()
    pos = torch.randn(2, 14, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    return pos, distances, distances == 1


@pytest.mark.exact
@pytest.mark.parametrize("relaxation", [1.0, 1.8])
def test_each_step_lessens_the_stress_down_to_a_stationary_point(batch, relaxation):
    pos, distances, _ = batch
    values = [stress(pos, distances)]
    for _ in range(30):
        pos = majorise(pos, distances, 1, relaxation=relaxation)
        values.append(stress(pos, distances))
    assert (torch.stack(values).diff(dim=0) < 1e-12).all()
    last = majorise(pos, distances, 3000, relaxation=relaxation).requires_grad_()
    (gradient,) = torch.autograd.grad(stress(last, distances).sum(), last)
    assert gradient.abs().max() < 1e-6


@pytest.mark.exact
def test_drawings_of_one_graph_together_are_those_alone(batch):
    pos, distances, _ = batch
    other = pos.roll(1, 0) + 0.1
    together = majorise(torch.stack([pos, other], 1), distances, 20)
    for k, one in enumerate((pos, other)):
        assert torch.allclose(together[:, k], majorise(one, distances, 20), rtol=0, atol=1e-12)


@pytest.mark.exact
def test_one_step_is_the_minimum_of_the_bound(batch):
    pos, distances, _ = batch
    pos, distances = pos[1:, :14], distances[1:]
    drawn = torch.cdist(pos, pos)
    aim = (pos[:, :, None] - pos[:, None]) * (distances / drawn.clamp(min=1e-300))[..., None]

    def bound(x: Tensor) -> Tensor:  # of the stress, equal to it at pos
        gap = x[:, :, None] - x[:, None]
        weight = torch.where(distances > 0, distances, torch.inf).square().reciprocal()
        return (weight[..., None] * (gap - aim).square()).sum() / 2

    moved = majorise(pos, distances, 1, relaxation=1.0).requires_grad_()
    (gradient,) = torch.autograd.grad(bound(moved), moved)
    assert gradient.abs().max() < 1e-12


def test_held_nodes_stay_and_the_others_find_their_minimum(batch):
    pos, distances, _ = batch
    held = torch.zeros(2, 14, dtype=torch.bool)
    held[:, :3] = True
    moved = majorise(pos, distances, 2000, held).requires_grad_()
    assert (moved[:, :3] == pos[:, :3]).all()
    (gradient,) = torch.autograd.grad(stress(moved, distances).sum(), moved)
    assert gradient[:, 3:].abs().max() < 1e-6 < gradient[:, :3].abs().max()


def test_padding_changes_nothing(batch):
    pos, distances, adjacent = batch
    small = majorise(pos[:1, :9], distances[:1, :9, :9], 20)
    assert torch.allclose(majorise(pos, distances, 20)[0, :9], small[0], atol=1e-12)
    assert (
        count_crossings(pos, Incidence.of(adjacent))[0]
        == count_crossings(pos[:1, :9], Incidence.of(adjacent[:1, :9, :9]))[0]
    )


def test_crossings_are_those_of_the_metric(batch):
    pos, _, adjacent = batch
    graph, i, j = adjacent.triu(1).nonzero().unbind(1)
    edges = torch.stack([i, j]) + 14 * graph
    expected = crossings(pos.flatten(0, 1), edges, torch.arange(2).repeat_interleave(14), 2)
    assert count_crossings(pos, Incidence.of(adjacent)).tolist() == expected.tolist() and expected[1] > 10


def test_uncrossing_lessens_stress_and_crossings_together_and_holds_nodes(batch):
    pos, distances, adjacent = batch
    held = torch.zeros(2, 14, dtype=torch.bool)
    held[:, 0] = True

    def cost(x: Tensor) -> Tensor:
        return 2 * stress(x, distances) + 3 * count_crossings(x, Incidence.of(adjacent))

    values, draw = [cost(pos)], torch.Generator().manual_seed(1)
    for _ in range(12):
        moved = uncross(pos, distances, Incidence.of(adjacent), 1, 3.0, held, draw)
        assert (moved[:, 0] == pos[:, 0]).all()
        pos = moved
        values.append(cost(pos))
    assert (torch.stack(values).diff(dim=0) <= 1e-9).all()
    assert (values[-1] < 0.7 * values[0]).all()


def test_crossings_go_at_a_small_price_in_stress():
    graph = nx.gnm_random_graph(40, 55, seed=3)
    graph = nx.convert_node_labels_to_integers(graph.subgraph(max(nx.connected_components(graph), key=len)))
    size = len(graph)
    distances = shortest_paths(torch.tensor([*graph.edges]).t(), torch.zeros(size, dtype=torch.long), 1)
    pos = 3 * torch.randn(1, 1, size, 2, generator=torch.Generator().manual_seed(2))
    plain, best = (
        refine(pos, distances, distances == 1, how, generator=torch.Generator().manual_seed(0))
        for how in ("stress", "crossings")
    )
    assert best.crossings <= plain.crossings - 3 and best.stress < 1.05 * plain.stress


def test_uncrossing_depends_on_the_seed_of_a_drawing_alone(batch):
    pos, distances, adjacent = batch
    edges = Incidence.of(adjacent)
    both = uncross(pos, distances, edges, 5, generator=GraphGenerator([7, 8]))
    alone = uncross(pos[1:], distances[1:], Incidence.of(adjacent[1:]), 5, generator=GraphGenerator([8]))
    assert torch.allclose(both[1:], alone, rtol=0, atol=1e-12)
    assert not torch.equal(uncross(pos[1:], distances[1:], Incidence.of(adjacent[1:]), 5), alone)


def test_going_on_with_the_best_half_costs_little(batch):
    _, distances, adjacent = batch
    starts = torch.randn(2, 9, 14, 2, generator=torch.Generator().manual_seed(3)).double() * 2
    short, full = (refine(starts, distances, adjacent, "stress", short=short) for short in (20, 0))
    assert (short.stress + short.crossings < 1.1 * (full.stress + full.crossings)).all()


def test_the_best_come_first(batch):
    pos, distances, adjacent = batch
    several = torch.stack([pos, majorise(pos, distances, 5), majorise(pos, distances, 50)], 1)
    found = refine(several, distances, adjacent, None, keep=2)
    costs = found.stress + PRICE * found.crossings
    assert found.pos.shape[1] == 2 and (costs.diff(dim=1) >= 0).all()
    again = measured(found.pos, distances, Incidence.of(adjacent))
    assert torch.equal(again.stress, found.stress) and torch.equal(again.crossings, found.crossings)


def test_sparse_stress_is_close_to_full_stress():
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(15, 15))
    edges = torch.tensor([*graph.edges]).t()
    distances = shortest_paths(edges, torch.zeros(225, dtype=torch.long), 1)
    pos = draw_large(edges, None, 225, 2, torch.Generator().manual_seed(0))[None]
    full = majorise(pos, distances, 200)
    assert scaled_stress(pos, distances).item() < 1.25 * scaled_stress(full, distances).item()
