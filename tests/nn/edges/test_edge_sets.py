"""Sets of edges, with Python's sets and networkx as judges."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphscore.nn.edges.sets import gather_or_fill, hop_edges, match_edges, merge_edges, ragged_range, simple_edges

NUM_NODES = 7
edge_lists = st.lists(st.tuples(st.integers(0, NUM_NODES - 1), st.integers(0, NUM_NODES - 1)), max_size=15)


def to_index(edges) -> torch.Tensor:
    return torch.tensor(list(edges), dtype=torch.long).reshape(-1, 2).T


def by_target(edges) -> list[list[int]]:
    return [list(edge) for edge in sorted(edges, key=lambda edge: edge[::-1])]


@given(edge_lists)
def test_simple_edges(edges):
    expected = {pair for i, j in edges for pair in ((i, j), (j, i)) if i != j}
    assert simple_edges(to_index(edges), NUM_NODES).T.tolist() == by_target(expected)


@given(st.integers(0, 12), st.floats(0, 0.6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_hops_are_the_shortest_paths_of_networkx(num_nodes, density, max_hops, seed):
    graph = nx.gnp_random_graph(num_nodes, density, seed=seed)
    expected = {
        (i, j): length
        for i, lengths in nx.all_pairs_shortest_path_length(graph, cutoff=max_hops)
        for j, length in lengths.items()
        if i != j
    }
    edge_index, hops = hop_edges(to_index(graph.edges), num_nodes, max_hops)
    assert edge_index.dtype == hops.dtype == torch.long
    assert edge_index.T.tolist() == by_target(expected)
    assert hops.tolist() == [expected[i, j] for i, j in edge_index.T.tolist()]


def test_hops_of_a_ring_and_of_two_graphs_of_one_batch():
    ring, path = [(i, (i + 1) % 5) for i in range(5)], [(7, 6), (7, 8)]
    edge_index, hops = hop_edges(to_index([*ring, *path, (5, 5)]), 9, 10)
    found = {(i, j): d for (i, j), d in zip(edge_index.T.tolist(), hops.tolist(), strict=True)}
    expected = {(i, j): min((i - j) % 5, (j - i) % 5) for i in range(5) for j in range(5) if i != j}
    assert found == expected | {(6, 7): 1, (7, 6): 1, (7, 8): 1, (8, 7): 1, (6, 8): 2, (8, 6): 2}


def test_hops_of_a_long_chain_take_memory_of_the_result(forked, tmp_path):
    """All pairs of 100,000 nodes would take 10 GB as booleans."""
    code = """
import resource, torch
from graphscore.nn.edges.sets import hop_edges
i = torch.arange(99999)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
edge_index, _ = hop_edges(torch.stack([i, i + 1]), 100000, 3)
print(edge_index.shape[1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = forked(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    edges, peak = (int(part) for part in result.stdout.split())
    assert edges == 2 * (99999 + 99998 + 99997)
    assert peak < 200_000  # KiB


@given(edge_lists, edge_lists)
def test_match_edges(edges, known):
    expected = [known.index(edge) if edge in known else -1 for edge in edges]
    assert match_edges(to_index(edges), to_index(known), NUM_NODES).tolist() == expected


@given(edge_lists, edge_lists, edge_lists)
def test_merge_edges(known, second, third):
    merged, position = merge_edges(*(to_index(edges) for edges in (known, second, third)), num_nodes=NUM_NODES)
    assert merged.T.tolist() == by_target({*known, *second, *third})
    assert position.tolist() == [known.index(e) if e in known else -1 for e in map(tuple, merged.T.tolist())]
    values = torch.arange(1.0, 2 * len(known) + 1).reshape(-1, 2)
    for row, edge in zip(gather_or_fill(values, position, -1.0), map(tuple, merged.T.tolist()), strict=True):
        assert row.tolist() == (values[known.index(edge)].tolist() if edge in known else [-1, -1])


def test_gather_or_fill_keeps_types_and_gradients():
    position = torch.tensor([1, -1, 0])
    assert torch.equal(gather_or_fill(torch.tensor([True, False]), position), torch.tensor([False, False, True]))
    assert torch.equal(gather_or_fill(torch.tensor([3, 4]), position, 9), torch.tensor([4, 9, 3]))
    assert gather_or_fill(torch.zeros(0, 2), torch.tensor([-1, -1]), 5).tolist() == [[5, 5], [5, 5]]
    values = torch.rand(2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad((gather_or_fill(values, position) * torch.tensor([2.0, 3.0, 5.0])).sum(), values)
    assert gradient.tolist() == [5, 2]


@pytest.mark.parametrize("total", [None, 6])
def test_ragged_range(total):
    row, place = ragged_range(torch.tensor([2, 0, 1, 3]), total)
    assert row.tolist() == [0, 0, 2, 3, 3, 3] and place.tolist() == [0, 1, 0, 0, 1, 2]


def test_no_nodes_and_no_edges():
    none = torch.empty(2, 0, dtype=torch.long)
    for num_nodes in (0, 3):
        assert simple_edges(none, num_nodes).shape == (2, 0)
        assert [part.shape[-1] for part in hop_edges(none, num_nodes, 3)] == [0, 0]
        assert [part.shape[-1] for part in merge_edges(none, none, num_nodes=num_nodes)] == [0, 0]


def test_bad_hops_are_named():
    with pytest.raises(ValueError, match="max_hops must be at least 1, but is 0"):
        hop_edges(torch.zeros(2, 1, dtype=torch.long), 1, 0)
