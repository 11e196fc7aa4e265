from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import jvp
from torch.testing import assert_close

from graphscore.nn import Edges


def random_edges(number: int, nodes: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(nodes, (2, number), generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 2**16))
def test_edges_are_sorted_by_target_and_attributes_follow(number, nodes, seed):
    index = random_edges(number, nodes, seed)
    edges = Edges.from_index(index, nodes)
    order = sorted(range(number), key=lambda e: int(index[1, e]))
    assert edges.source.tolist() == index[0, order].tolist() and edges.target.tolist() == index[1, order].tolist()
    assert edges.sort(torch.arange(number)).tolist() == order
    counts = [index[1].tolist().count(node) for node in range(nodes)]
    assert edges.ptr.diff().tolist() == counts and edges.degree(torch.float64).tolist() == counts
    assert edges.num_nodes == nodes
    rows, ptr = edges.by_source
    assert edges.source[rows].tolist() == sorted(index[0].tolist())
    assert ptr.diff().tolist() == [index[0].tolist().count(node) for node in range(nodes)]


def test_sorted_edges_are_taken_as_they_are():
    index = torch.tensor([[1, 2, 0, 1], [0, 0, 1, 2]])
    edges, values = Edges.from_index(index, 3), torch.rand(4)
    assert edges.order is None and edges.sort(values) is values


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 70), st.integers(0, 2**16))
def test_blocks_have_one_size_and_sums_over_them_add_up(number, nodes, size, seed):
    edges = Edges.from_index(random_edges(number, nodes, seed), nodes)
    blocks = edges.blocks(size)
    assert all(len(block.rows) == size for block in blocks[:-1]) and 1 <= len(blocks[-1].rows) <= size
    assert [block.edges.start for block in blocks] == list(range(0, number, size))
    values = torch.rand(number, 2, dtype=torch.float64)
    total = torch.zeros(nodes, 2, dtype=torch.float64)
    for block in blocks:
        assert block.ptr[0] == 0 and block.ptr[-1] == len(block.rows)
        for place, node in enumerate(range(block.nodes.start, block.nodes.stop)):
            total[node] += values[block.edges][block.ptr[place] : block.ptr[place + 1]].sum(0)
        ends = block.ends.view(-1, 2)
        assert torch.equal(ends[:, 0], 2 * edges.target[block.edges])
        assert torch.equal(ends[:, 1], 2 * edges.source[block.edges] + 1)
    assert_close(total, torch.zeros_like(total).index_add(0, edges.target, values))
    assert edges.blocks(size) is blocks


def measured_plainly(edges: Edges, pos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    difference = pos[edges.target] - pos[edges.source]
    distance = (difference.square().sum(-1, keepdim=True) + 1e-12).sqrt()
    return distance, difference / (1 + distance)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_lengths_and_directions(dim):
    edges, pos = Edges.from_index(random_edges(30, 6), 6), torch.randn(6, dim, dtype=torch.float64, requires_grad=True)
    for got, expected in zip(edges.measure(pos), measured_plainly(edges, pos), strict=True):
        assert_close(got, expected, rtol=0, atol=1e-14)
    apart = Edges.from_index(torch.tensor([[0, 1, 2, 3, 4, 0], [1, 0, 3, 2, 5, 2]]), 6)
    assert torch.autograd.gradcheck(apart.measure, pos, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(apart.measure, pos)
    tangent = torch.randn_like(pos)
    _, got = jvp(apart.measure, (pos.detach(),), (tangent,))
    _, expected = jvp(lambda x: measured_plainly(apart, x), (pos.detach(),), (tangent,))
    for one, two in zip(got, expected, strict=True):
        assert_close(one, two)


def test_where_nodes_meet_both_derivatives_are_finite():
    edges = Edges.from_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3)
    pos = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    distance, direction = edges.measure(pos)
    assert (direction == 0).all() and float(distance.detach().max()) <= 1e-6
    (gradient,) = torch.autograd.grad(distance.sum() + direction.sum(), pos, create_graph=True)
    gradient.square().sum().backward()
    assert gradient.isfinite().all() and pos.grad.isfinite().all()


def test_complete_graphs_are_told_from_others():
    pairs = [(j, i) for nodes in (range(3), range(3, 4), range(4, 8)) for i in nodes for j in nodes if i != j]
    index = torch.tensor(pairs).T
    assert Edges.from_index(index, 8).complete_sizes == [3, 1, 4]
    assert Edges.from_index(index[:, :6], 5).complete_sizes == [3, 1, 1]
    assert Edges.from_index(index[:, 1:], 8).complete_sizes == []
    assert pairs[0] == (1, 0)
    for other in ((0, 0), (2, 0), (4, 0)):  # a loop, an edge that is there already, one from another graph
        assert Edges.from_index(torch.tensor([other, *pairs[1:]]).T, 8).complete_sizes == []
