"""Metrics of graph drawings against slow and plain versions of their definitions, and by hand."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.layouts.distances import shortest_paths
from graphscore.layouts.metrics import METRICS, measure_drawings

pytestmark = pytest.mark.exact


def drawing(graph: nx.Graph, pos: np.ndarray) -> Data:
    edges = np.array([*graph.edges], dtype=np.int64).reshape(-1, 2)
    return Data(edge_index=torch.from_numpy(edges).t(), pos=torch.from_numpy(pos), num_nodes=len(graph))


def some_drawings() -> list[tuple[nx.Graph, np.ndarray]]:
    """Random graphs of many sizes; every second one on a coarse grid, where edges touch, overlap and coincide."""
    draw = np.random.default_rng(0)
    found = []
    for number, size in enumerate([1, 2, 3, 5, 8, 13, 21, 30, 6, 7, 9, 12]):
        graph = nx.gnm_random_graph(size, min(2 * size, size * (size - 1) // 2), seed=number)
        pos = draw.normal(size=(size, 2)) if number % 2 else draw.integers(0, 4, (size, 2)).astype(float)
        found.append((graph, pos))
    return found


def cross(a, b, c, d) -> bool:
    """Tell whether closed segments meet, in exact arithmetic: solve for the point, or compare extents on one line."""
    (a, b, c, d) = ([Fraction(float(x)) for x in point] for point in (a, b, c, d))
    u, v, w = [b[k] - a[k] for k in (0, 1)], [d[k] - c[k] for k in (0, 1)], [c[k] - a[k] for k in (0, 1)]
    det = u[0] * v[1] - u[1] * v[0]
    if det:
        return 0 <= (w[0] * v[1] - w[1] * v[0]) / det <= 1 and 0 <= (w[0] * u[1] - w[1] * u[0]) / det <= 1
    if w[0] * u[1] != w[1] * u[0] or w[0] * v[1] != w[1] * v[0] or (a[0] - d[0]) * u[1] != (a[1] - d[1]) * u[0]:
        return False
    return all(max(min(a[k], b[k]), min(c[k], d[k])) <= min(max(a[k], b[k]), max(c[k], d[k])) for k in (0, 1))


def plain(graph: nx.Graph, pos: np.ndarray) -> dict[str, float]:
    paths = dict(nx.all_pairs_shortest_path_length(graph))
    pairs = [(math.dist(pos[i], pos[j]), paths[i][j]) for i in graph for j in paths[i] if i != j]
    first, second = (
        sum(drawn / wanted for drawn, wanted in pairs),
        sum((drawn / wanted) ** 2 for drawn, wanted in pairs),
    )
    scale = first / second if second else 0.0
    count = sum(
        cross(*pos[[*e]], *pos[[*f]]) for e, f in itertools.combinations(graph.edges, 2) if not {*e} & {*f}
    )  # fmt: skip
    lengths = np.array([math.dist(pos[i], pos[j]) for i, j in graph.edges])
    jaccard, angles = [], []
    for node in graph:
        neighbors = {*graph[node]}
        if neighbors:
            near = sorted((math.dist(pos[node], pos[other]), other) for other in graph if other != node)
            found = {other for _, other in near[: len(neighbors)]}
            jaccard.append(len(found & neighbors) / len(found | neighbors))
        if len(neighbors) > 1:
            turns = sorted(math.atan2(*(pos[other] - pos[node])[::-1]) for other in neighbors)
            gaps = [b - a for a, b in itertools.pairwise([*turns, turns[0] + 2 * math.pi])]
            angles.append(min(gaps) * len(neighbors) / (2 * math.pi))
    return {
        "stress": sum((scale * drawn / wanted - 1) ** 2 for drawn, wanted in pairs),
        "crossings": count,
        "edge length variance": lengths.var() / lengths.mean() ** 2 if len(lengths) else 0,
        "neighborhood preservation": float(np.mean(jaccard)) if jaccard else 1,
        "angular resolution": float(np.mean(angles)) if angles else 1,
    }


def test_all_metrics_equal_their_plain_versions_in_one_batch():
    drawings = some_drawings()
    values = measure_drawings([drawing(*item) for item in drawings])
    assert [*values] == [*METRICS]
    for number, item in enumerate(drawings):
        expected = plain(*item)
        assert {name: value[number].item() for name, value in values.items()} == pytest.approx(expected, rel=1e-9)


def test_the_optimal_scale_is_a_minimum_and_size_does_not_matter():
    graph, pos = some_drawings()[7]
    small, large = (measure_drawings([drawing(graph, pos * factor)]) for factor in (1e-3, 1e3))
    assert {name: value.item() for name, value in small.items()} == pytest.approx(
        {name: value.item() for name, value in large.items()}, rel=1e-9
    )


def test_by_hand():
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    complete = measure_drawings([drawing(nx.complete_graph(4), square)])
    assert complete["crossings"].item() == 1
    assert complete["angular resolution"].item() == pytest.approx(3 / 8)  # 45 of 120 degrees
    path = measure_drawings([drawing(nx.path_graph(4), np.array([[0.0, 0], [2, 0], [4, 0], [6, 0]]))])
    assert [path[name].item() for name in METRICS[:4]] == pytest.approx([0, 0, 0, 1])
    folded = measure_drawings([drawing(nx.path_graph(4), np.array([[0.0, 0], [2, 0], [0, 2], [1, 0]]))])
    # The nearest of node 0 is 3; of 1, with two neighbors, 3 and 0; of 2, 0 and 3; of 3, 0 or 1, the first.
    assert folded["neighborhood preservation"].item() == pytest.approx((0 + 1 / 3 + 1 / 3 + 0) / 4)


def test_nodes_on_top_of_each_other_remove_no_crossing():
    graph = nx.complete_graph(5)
    values = measure_drawings([drawing(graph, np.zeros((5, 2)))])
    assert values["crossings"].item() == 15  # all pairs of edges without a common end
    assert values["stress"].item() == 20  # each ordered pair counts 1
    assert math.isnan(values["edge length variance"].item())


def test_edges_are_counted_once_and_self_loops_never():
    pos = torch.tensor([[0.0, 0.0], [2.0, 1.0], [2.0, 0.0], [0.0, 1.0]])
    edges = torch.tensor([[0, 1, 0, 2, 3, 2], [1, 0, 1, 3, 2, 2]])
    other = torch.tensor([[0, 2], [1, 3]])
    values = [measure_drawings([Data(edge_index=index, pos=pos)]) for index in (edges, other)]
    assert values[0] == values[1] and values[0]["crossings"].item() == 1


def test_drawings_that_cannot_be_measured_are_named():
    good = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), pos=torch.zeros(3, 2))
    for pos, text in (
        (torch.zeros(3, 3), r"\[3, 3\]"),
        (torch.full((3, 2), math.nan), "not all finite"),
        (None, "no pos"),
    ):
        with pytest.raises(ValueError, match=f"number 1 has .*{text}"):
            measure_drawings([good, Data(edge_index=good.edge_index, pos=pos, num_nodes=3)])


def test_shortest_paths_with_lengths_equal_those_of_networkx():
    graph = nx.gnm_random_graph(12, 18, seed=2)
    draw = np.random.default_rng(1)
    for edge in graph.edges.values():
        edge["length"] = draw.uniform(0.1, 3)
    edges = torch.tensor([*graph.edges]).t()
    length = torch.tensor([graph.edges[edge]["length"] for edge in graph.edges], dtype=torch.float64)
    found = shortest_paths(edges, torch.zeros(12, dtype=torch.long), 1, length)[0]
    paths = dict(nx.all_pairs_dijkstra_path_length(graph, weight="length"))
    for i in range(12):
        for j in range(12):
            assert found[i, j].item() == pytest.approx(paths[i].get(j, math.inf), rel=1e-12)
    with pytest.raises(ValueError, match="smallest is 0"):
        shortest_paths(edges, torch.zeros(12, dtype=torch.long), 1, length * 0)
    with pytest.raises(ValueError, match=r"18 edges, but got \[17\]"):
        shortest_paths(edges, torch.zeros(12, dtype=torch.long), 1, length[1:])
