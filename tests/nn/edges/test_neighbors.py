"""Edges from positions: equal to brute force on ragged batches, the same in every orientation, and small in memory."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphscore.nn.edges import neighbors
from graphscore.nn.edges.neighbors import complete_edges, knn_edges, radius_edges
from graphscore.nn.edges.search import NEIGHBORS, NearestNeighbors, RadiusNeighbors, extend_edges

ragged_sizes = st.lists(st.integers(0, 7), max_size=6)


def index_of(sizes) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes, dtype=torch.long))


def on_a_grid(num_nodes: int, dim: int, seed: int, dtype=torch.float64) -> torch.Tensor:
    """Small whole numbers: distances are exact, ties and coincident nodes are frequent."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-2, 3, (num_nodes, dim), generator=generator).to(dtype)


def others(pos: list[list[float]], index: list[int], target: int) -> list[tuple[float, int]]:
    """Squared distance and number of each other node of the same graph, nearest first, ties by number."""
    return sorted(
        (sum((a - b) ** 2 for a, b in zip(pos[source], pos[target], strict=True)), source)
        for source in range(len(pos))
        if source != target and index[source] == index[target]
    )


def brute_force(pos, index, radius=float("inf"), limit=None) -> list[list[int]]:
    pos, index = pos.tolist(), index.tolist()
    pairs = []
    for target in range(len(pos)):
        near = [source for squared, source in others(pos, index, target) if squared < radius**2][:limit]
        pairs += [[source, target] for source in sorted(near)]
    return pairs


@pytest.fixture(params=["all pairs", "cells"])
def search(request, monkeypatch):
    """The cell list is for large graphs: have small ones take it too."""
    monkeypatch.setattr(neighbors, "_ALL_PAIRS_UP_TO", {"all pairs": 10**9, "cells": -1}[request.param])
    monkeypatch.setattr(neighbors, "_KNN_ALL_PAIRS_UP_TO", {"all pairs": 10**9, "cells": -1}[request.param])
    monkeypatch.setattr(neighbors, "_PAIRS_AT_ONCE", {"all pairs": 2**20, "cells": 256}[request.param])


@given(ragged_sizes)
def test_complete_edges(sizes):
    ptr = torch.tensor([0, *torch.tensor(sizes, dtype=torch.long).cumsum(0).tolist()])
    edge_index = complete_edges(ptr)
    assert edge_index.dtype == torch.long and edge_index.shape[0] == 2
    assert edge_index.T.tolist() == brute_force(torch.zeros(sum(sizes), 1), index_of(sizes))


@pytest.mark.parametrize("dim", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("max_neighbors", [None, 1, 3])
def test_radius_edges(search, dim, max_neighbors):
    @given(ragged_sizes, st.sampled_from([0.5, 1, 1.5, 2, 2.3, 50]), st.integers(0, 2**32 - 1))
    def check(sizes, radius, seed):
        pos, index = on_a_grid(sum(sizes), dim, seed), index_of(sizes)
        edge_index = radius_edges(pos, index, len(sizes), radius, max_neighbors)
        assert edge_index.dtype == torch.long and edge_index.shape[0] == 2
        assert edge_index.T.tolist() == brute_force(pos, index, radius, max_neighbors)

    check()


@pytest.mark.parametrize("dim", [0, 1, 3, 5])
@pytest.mark.parametrize(("at_once", "all_pairs"), [(1, 10**9), (2**20, 10**9), (1, -1), (30, -1)])
def test_knn_edges(monkeypatch, dim, at_once, all_pairs):
    monkeypatch.setattr(neighbors, "_PAIRS_AT_ONCE", at_once)
    monkeypatch.setattr(neighbors, "_KNN_ALL_PAIRS_UP_TO", all_pairs)

    @given(ragged_sizes, st.integers(1, 9), st.integers(0, 2**32 - 1))
    def check(sizes, k, seed):
        pos, index = on_a_grid(sum(sizes), dim, seed), index_of(sizes)
        edge_index = knn_edges(pos, index, len(sizes), k)
        assert edge_index.dtype == torch.long and edge_index.shape[0] == 2
        assert edge_index.T.tolist() == brute_force(pos, index, limit=k)

    check()


def test_a_radius_is_open():
    pos = torch.tensor([[0.0], [1.0]])
    assert radius_edges(pos, torch.zeros(2, dtype=torch.long), 1, 1.0).shape == (2, 0)
    assert radius_edges(pos, torch.zeros(2, dtype=torch.long), 1, 1.0001).shape == (2, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_cells_find_what_all_pairs_find_in_large_graphs(dtype, offset, monkeypatch):
    """A dense cluster, a far one and an outlier in one graph, a small graph beside it."""
    cluster = torch.randn(400, 3, dtype=torch.float64)
    pos = torch.cat([cluster, 1e4 + cluster[:50], torch.tensor([[1e9, -1e9, 0.0]]), cluster[:9]])
    pos, index = (pos + offset).to(dtype), index_of([451, 9])
    for radius in (1e-3, 0.3, 1.0):
        monkeypatch.setattr(neighbors, "_ALL_PAIRS_UP_TO", 10**9)
        expected = radius_edges(pos, index, 2, radius)
        monkeypatch.setattr(neighbors, "_ALL_PAIRS_UP_TO", -1)
        assert torch.equal(radius_edges(pos, index, 2, radius), expected)


@pytest.mark.parametrize("dim", [2, 3])
def test_nearest_neighbors_by_cells_are_those_of_all_pairs_in_uneven_clouds(dim, monkeypatch):
    """A wide cloud, a dense cluster, many coincident nodes and an outlier; a far smaller graph; nodes at no place."""
    cloud = torch.randn(1500, dim)
    pos = torch.cat([cloud, 1e-3 * cloud[:300] + 2, cloud[:1].expand(40, dim), torch.full((1, dim), 1e7)])
    pos = torch.cat([pos, 1e-5 * cloud[:700]])
    pos[-3:-1] = torch.tensor([[float("nan")], [float("inf")]])
    index = index_of([1841, 700])
    monkeypatch.setattr(neighbors, "_PAIRS_AT_ONCE", 10_000)
    by_cells = knn_edges(pos, index, 2, 12)
    monkeypatch.setattr(neighbors, "_KNN_ALL_PAIRS_UP_TO", 10**9)
    assert torch.equal(by_cells, knn_edges(pos, index, 2, 12))


def test_no_edge_leads_from_the_end_of_a_vast_graph_to_the_next_graph(monkeypatch):
    monkeypatch.setattr(neighbors, "_ALL_PAIRS_UP_TO", -1)
    pos = torch.tensor([[0.0, 0.0], [1e6, 1e6], [1e6, 1e6], [1e6, 1e6 + 0.5]])
    assert radius_edges(pos, index_of([2, 2]), 2, 1.0).T.tolist() == [[3, 2], [2, 3]]


@pytest.mark.parametrize("radius", [1.0, 0.3])
@pytest.mark.parametrize("extent", [20_000, 1_000_000])
def test_rounding_of_cells_loses_no_pair(monkeypatch, radius, extent):
    """Pairs just below the radius, the first of each just below a multiple of it, in many one-dimensional graphs."""
    monkeypatch.setattr(neighbors, "_ALL_PAIRS_UP_TO", -1)
    low = torch.rand(100_000)
    first = low + radius * torch.randint(1, extent, low.shape)
    first += torch.randint(-2, 1, low.shape) * (first.nextafter(first + 1) - first)
    second = first + radius
    for _ in range(3):
        second = torch.where(((second - first) ** 2) < radius**2, second, second.nextafter(first))
    pos, index = torch.stack([low, first, second], dim=1).reshape(-1, 1), torch.arange(100_000).repeat_interleave(3)
    edge_index = radius_edges(pos, index, 100_000, radius)
    assert int(((edge_index[0] % 3 == 1) & (edge_index[1] % 3 == 2)).sum()) == int((second - first < radius).sum())


@pytest.mark.parametrize(
    "find",
    [
        partial(radius_edges, radius=0.9),
        partial(radius_edges, radius=0.9, max_neighbors=4),
        partial(knn_edges, k=5),
    ],
    ids=["radius", "radius, at most 4", "knn"],
)
def test_edges_turn_move_and_permute_with_the_graphs(search, find):
    """No cap, no box and no axis shows in the result, up to 60 nodes within the radius."""
    sizes = [200, 0, 30, 1]
    index, pos = index_of(sizes), torch.randn(231, 3, dtype=torch.float64)
    expected = find(pos, index, 4)
    assert expected.shape[1] > 100
    matrix, _ = torch.linalg.qr(torch.randn(4, 3, 3, dtype=torch.float64))
    moved = torch.einsum("nij,nj->ni", matrix[index], pos) + torch.randn(4, 3, dtype=torch.float64)[index]
    assert torch.equal(find(moved, index, 4), expected)
    order = (index + torch.rand(231)).argsort()
    permuted = order[find(pos[order], index, 4)]
    assert {tuple(edge) for edge in permuted.T.tolist()} == {tuple(edge) for edge in expected.T.tolist()}


def test_nothing_is_capped_unless_asked_for():
    pos, index = 0.01 * torch.randn(150, 3), torch.zeros(150, dtype=torch.long)
    assert radius_edges(pos, index, 1, 1.0).shape[1] == 150 * 149
    assert radius_edges(pos, index, 1, 1.0, max_neighbors=32).shape[1] == 150 * 32


def test_pairs_are_found_in_both_directions(search):
    """To the last bit, also where rounding decides whether a pair is close."""
    pos = torch.randn(300, 3, dtype=torch.float32)
    index = torch.zeros(300, dtype=torch.long)
    distances = torch.pdist(pos)
    for radius in distances[:: len(distances) // 50].tolist():
        edge_index = radius_edges(pos, index, 1, radius)
        back = edge_index.flip(0)
        assert torch.equal(edge_index, back[:, (300 * back[1] + back[0]).argsort()])


@pytest.mark.parametrize("find", [partial(radius_edges, radius=2.0), partial(knn_edges, k=3)], ids=["radius", "knn"])
def test_a_graph_does_not_change_what_is_found_in_another(search, find):
    pos, index = torch.randn(40, 3), index_of([20, 20])
    expected = find(pos, index, 2)
    for wrong in (float("nan"), float("inf"), 1e30):
        spoilt = pos.clone()
        spoilt[3] = wrong
        edge_index = find(spoilt, index, 2)
        second = (edge_index >= 20).all(0)
        assert torch.equal(edge_index[:, second], expected[:, (expected >= 20).all(0)])
        assert not (edge_index < 0).any() and not (edge_index[0] == edge_index[1]).any()


def test_half_precision_does_not_overflow(search):
    pos = torch.tensor([[0.0], [300.0], [700.0]], dtype=torch.float16)
    index = torch.zeros(3, dtype=torch.long)
    assert radius_edges(pos, index, 1, 350.0).T.tolist() == [[1, 0], [0, 1]]
    assert knn_edges(pos, index, 1, 1).T.tolist() == [[1, 0], [0, 1], [1, 2]]


def test_positions_keep_their_gradients(search):
    pos = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    index = index_of([5, 4])
    for edge_index in (radius_edges(pos, index, 2, 2.0), knn_edges(pos, index, 2, 2)):
        assert not edge_index.requires_grad
        (gradient,) = torch.autograd.grad((pos[edge_index[0]] - pos[edge_index[1]]).square().sum(), pos)
        assert gradient.isfinite().all() and (gradient != 0).any()


def test_memory_does_not_grow_with_the_number_of_pairs(forked, tmp_path):
    """All pairs of 20,000 nodes take 1,600 MB in float32; those of nodes at no place must not be tried either."""
    code = """
import resource, torch
from graphscore.nn.edges.neighbors import complete_edges, knn_edges, radius_edges
torch.set_num_threads(1)
pos, index = torch.rand(20000, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(20000, dtype=torch.long)
pos[-2], pos[-1] = float("nan"), float("inf")
radius_edges(pos[:300], index[:300], 1, 0.1), knn_edges(pos[:300], index[:300], 1, 4)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
edges = [complete_edges(torch.arange(0, 20001, 20)), radius_edges(pos, index, 1, 0.05)]
edges += [knn_edges(pos, index, 1, 8)]
print(*[part.shape[1] for part in edges], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = forked(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    complete, radius, knn, peak = (int(part) for part in result.stdout.split())
    assert (complete, knn) == (20000 * 19, 19999 * 8)  # infinitely far is a place
    assert 0.85 < radius / (20000**2 * 4.19 * 0.05**3) < 1.01
    assert peak < 200_000  # KiB


def test_neighbors_extend_the_edges_of_a_batch():
    pos, index = torch.tensor([[0.0], [1.0], [3.0], [0.0], [9.0]]), index_of([3, 2])
    edge_index = torch.tensor([[2, 4, 0], [0, 3, 1]])
    attributes = {"bond": torch.tensor([1, 2, 3]), "hops": torch.tensor([4, 5, 6]), "length": torch.rand(3, 2)}
    merged, values = extend_edges(NearestNeighbors(1)(pos, index, 2), edge_index, attributes, {"hops": 7}, 5)
    assert merged.T.tolist() == [[1, 0], [2, 0], [0, 1], [1, 2], [4, 3], [3, 4]]
    assert values["bond"].tolist() == [0, 1, 3, 0, 2, 0] and values["hops"].tolist() == [7, 4, 6, 7, 5, 7]
    assert torch.equal(values["length"][[1, 4, 2]], attributes["length"]) and (values["length"][[0, 3, 5]] == 0).all()
    alone, values = extend_edges(RadiusNeighbors(1.5)(pos, index, 2), None, {}, {}, 5)
    assert alone.T.tolist() == [[1, 0], [0, 1]] and values == {}


def test_the_registry_finds_edges_of_nothing():
    for name, options in (("knn", {"k": 1}), ("radius", {"radius": 1.0})):
        for sizes in ([], [0], [0, 0], [1]):
            edge_index = NEIGHBORS[name](**options)(torch.rand(sum(sizes), 3), index_of(sizes), len(sizes))
            assert edge_index.shape == (2, 0) and edge_index.dtype == torch.long


@pytest.mark.parametrize(
    ("find", "options", "words"),
    [
        (knn_edges, {"k": 0}, "k must be at least 1, but is 0"),
        (radius_edges, {"radius": 0.0}, "radius must be positive, but is 0.0"),
        (radius_edges, {"radius": float("nan")}, "radius must be positive, but is nan"),
        (radius_edges, {"radius": 1.0, "max_neighbors": 0}, "max_neighbors must be at least 1 or None, but is 0"),
    ],
)
def test_bad_options_are_named(find, options, words):
    with pytest.raises(ValueError, match=words):
        find(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), 1, **options)
