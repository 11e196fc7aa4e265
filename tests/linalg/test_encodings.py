"""Graph encodings: closed-form spectra and walks, numpy as a judge, and what batches and small graphs get."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from graphscore.linalg.encodings import flip_signs, laplacian_encoding, random_walk_encoding
from graphscore.rng import GraphGenerator


def to_index(graph: nx.Graph) -> torch.Tensor:
    return torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).T


def one(encode, graph: nx.Graph, width: int) -> torch.Tensor:
    index = torch.zeros(graph.number_of_nodes(), dtype=torch.long)
    return encode(to_index(graph), index, 1, width, dtype=torch.float64)


def collate(graphs) -> tuple[torch.Tensor, torch.Tensor]:
    sizes = torch.tensor([graph.number_of_nodes() for graph in graphs])
    starts = sizes.cumsum(0) - sizes
    edges = torch.cat([to_index(graph) + start for graph, start in zip(graphs, starts, strict=True)], dim=1)
    return edges, torch.arange(len(graphs)).repeat_interleave(sizes)


def laplacian_of(graph: nx.Graph) -> np.ndarray:
    adjacency = nx.to_numpy_array(graph)
    degree = adjacency.sum(1)
    scale = 1 / np.sqrt(np.maximum(degree, 1))
    return scale[:, None] * (np.diag(degree) - adjacency) * scale


SPECTRA = {  # all but the eigenvalue 0 of the constant vector, in closed form
    "cycle of 7": (nx.cycle_graph(7), [1 - math.cos(2 * math.pi * j / 7) for j in range(1, 7)]),
    "cycle of 8": (nx.cycle_graph(8), [1 - math.cos(2 * math.pi * j / 8) for j in range(1, 8)]),
    "path of 6": (nx.path_graph(6), [1 - math.cos(math.pi * j / 5) for j in range(1, 6)]),
    "complete of 5": (nx.complete_graph(5), [5 / 4] * 4),
    "star of 5": (nx.star_graph(4), [1, 1, 1, 2]),
    "pair": (nx.path_graph(2), [2]),
    "two triangles": (nx.disjoint_union(nx.complete_graph(3), nx.complete_graph(3)), [0, *[1.5] * 4]),
    "three nodes apart": (nx.empty_graph(3), [0, 0]),
}


@pytest.mark.parametrize("case", SPECTRA)
def test_laplacian_eigenvectors_of_known_spectra(case):
    graph, spectrum = SPECTRA[case]
    vectors = one(laplacian_encoding, graph, len(spectrum)).numpy()
    laplacian, expected = laplacian_of(graph), np.sort(spectrum)
    assert np.abs(laplacian @ vectors - vectors * expected).max() < 1e-12
    assert np.abs(vectors.T @ vectors - np.eye(len(spectrum))).max() < 1e-12
    trivial = np.sqrt(np.maximum([degree for _, degree in graph.degree], 1))
    assert np.abs(trivial @ vectors).max() < 1e-12


def test_laplacian_of_a_path_is_a_cosine_up_to_sign():
    n = 6
    vectors = one(laplacian_encoding, nx.path_graph(n), n - 1)
    position = torch.arange(n, dtype=torch.float64)
    root = torch.tensor([1.0, *[2.0] * (n - 2), 1.0], dtype=torch.float64).sqrt()
    for j in range(1, n):
        expected = torch.nn.functional.normalize(root * (math.pi * j * position / (n - 1)).cos(), dim=0)
        assert_close(vectors[:, j - 1] * (vectors[0, j - 1] * expected[0]).sign(), expected, rtol=0, atol=1e-12)


def test_fewer_columns_are_the_first_and_more_are_zero():
    graph = nx.path_graph(6)
    everything, few, many = (one(laplacian_encoding, graph, k) for k in (5, 2, 9))
    assert torch.equal(few, everything[:, :2]) and torch.equal(many[:, :5], everything)
    assert (many[:, 5:] == 0).all()


WALKS = {  # return probabilities after k steps, in closed form
    "cycle": (nx.cycle_graph(7), lambda k: sum(math.cos(2 * math.pi * j / 7) ** k for j in range(7)) / 7),
    "complete": (nx.complete_graph(5), lambda k: (1 + 4 * (-1 / 4) ** k) / 5),
    "pair": (nx.path_graph(2), lambda k: float(k % 2 == 0)),
    "nodes apart": (nx.empty_graph(3), lambda k: 0.0),
}


@pytest.mark.parametrize("case", WALKS)
def test_return_probabilities_in_closed_form(case):
    graph, probability = WALKS[case]
    expected = torch.tensor([[probability(k) for k in range(1, 13)]] * len(graph), dtype=torch.float64)
    assert_close(one(random_walk_encoding, graph, 12), expected, rtol=0, atol=1e-14)


def test_return_probabilities_of_a_path_of_three():
    expected = [[0, 0.5, 0, 0.5], [0, 1, 0, 1], [0, 0.5, 0, 0.5]]
    assert one(random_walk_encoding, nx.path_graph(3), 4).tolist() == expected


@given(st.integers(0, 9), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_encodings_of_any_graph_against_numpy(num_nodes, density, seed):
    graph = nx.gnp_random_graph(num_nodes, density, seed=seed)
    adjacency = nx.to_numpy_array(graph).reshape(num_nodes, num_nodes)
    step = adjacency / np.maximum(adjacency.sum(1, keepdims=True), 1)
    expected = np.array([np.diag(np.linalg.matrix_power(step, k)) for k in range(1, 6)]).reshape(5, num_nodes).T
    assert np.abs(one(random_walk_encoding, graph, 5).numpy() - expected).max(initial=0) < 1e-13
    if num_nodes > 1:
        vectors = one(laplacian_encoding, graph, num_nodes - 1).numpy()
        expected = np.linalg.eigvalsh(laplacian_of(graph))[1:]
        assert np.abs(laplacian_of(graph) @ vectors - vectors * expected).max() < 1e-12
        assert np.abs(vectors.T @ vectors - np.eye(num_nodes - 1)).max() < 1e-12


@pytest.mark.parametrize("encode", [laplacian_encoding, random_walk_encoding])
def test_a_graph_in_a_batch_gets_what_it_gets_alone(encode):
    graphs = [nx.gnp_random_graph(n, 0.4, seed=n + k) for k in range(2) for n in (0, 5, 1, 8, 5, 2)] + [
        nx.empty_graph(0)
    ]
    edges, index = collate(graphs)
    together = encode(edges, index, len(graphs), 6, dtype=torch.float64)
    for number, graph in enumerate(graphs):
        assert torch.equal(together[index == number], one(encode, graph, 6))


@pytest.mark.parametrize("encode", [laplacian_encoding, random_walk_encoding])
def test_directions_repetitions_and_self_loops_do_not_count(encode):
    edges, index = torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.zeros(4, dtype=torch.long)
    messy = torch.tensor([[0, 1, 1, 2, 2, 3, 3], [1, 0, 2, 1, 3, 2, 3]])
    assert torch.equal(encode(messy, index, 1, 3), encode(edges, index, 1, 3))


@pytest.mark.parametrize("encode", [laplacian_encoding, random_walk_encoding])
def test_types_and_empty_batches(encode):
    none = torch.empty(2, 0, dtype=torch.long)
    for num_graphs in (0, 2):
        out = encode(none, torch.empty(0, dtype=torch.long), num_graphs, 3)
        assert out.shape == (0, 3) and out.dtype == torch.get_default_dtype()
    single = encode(none, torch.zeros(1, dtype=torch.long), 1, 3, dtype=torch.float16)
    assert single.dtype == torch.float16 and (single == 0).all()


def test_flipped_signs_belong_to_graphs_and_columns():
    graphs = [nx.path_graph(4), nx.empty_graph(0), nx.path_graph(7)] * 40
    edges, index = collate(graphs)
    encoding = laplacian_encoding(edges, index, 120, 3)
    seeds = torch.arange(120)
    flipped = flip_signs(encoding, index, 120, GraphGenerator(seeds))
    # No entry of these columns of paths is zero but the middle of the odd one, in its odd columns.
    signs = torch.stack([(flipped / encoding)[index == number].nanmedian(0).values for number in range(0, 120, 3)])
    assert torch.equal(flipped.abs(), encoding.abs())
    assert set(signs.unique().tolist()) == {-1.0, 1.0} and (signs.mean(0).abs() < 0.5).all()
    assert float(torch.corrcoef(signs.T).fill_diagonal_(0).abs().max()) < 0.6
    last = index >= 117
    alone = flip_signs(encoding[last], index[last] - 117, 3, GraphGenerator(seeds[117:]))
    assert torch.equal(flipped[last], alone)


@pytest.mark.parametrize(
    ("encode", "words"),
    [(laplacian_encoding, "k must be at least 1, but is 0"), (random_walk_encoding, "steps must be at least 1")],
)
def test_bad_widths_are_named(encode, words):
    with pytest.raises(ValueError, match=words):
        encode(torch.empty(2, 0, dtype=torch.long), torch.empty(0, dtype=torch.long), 0, 0)


@pytest.mark.parametrize("encode", [laplacian_encoding, random_walk_encoding])
def test_encodings_of_nodes_in_any_order_are_those_of_sorted_nodes(encode):
    """Paths of different lengths, whose eigenvalues are all different: eigenvectors have a sign alone."""
    sizes = (4, 7, 1, 4)
    index = torch.arange(4).repeat_interleave(torch.tensor(sizes))
    source = torch.arange(15)[index[:-1] == index[1:]]
    edges = torch.stack([source, source + 1])
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    expected = encode(edges, index, 4, 3, torch.float64)[order]
    got = encode(order.argsort()[edges], index[order], 4, 3, torch.float64)
    if encode is laplacian_encoding:
        got, expected = got.abs(), expected.abs()
    assert_close(got, expected, rtol=0, atol=1e-12)
