"""Drawings by ``graphscore.layout``: what users of layouts complain about, one test each."""

from __future__ import annotations

import itertools
import time
import warnings
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

import graphscore as gs
from graphscore.layouts.refinement import PRICE

pytest.importorskip("pydantic")


def array(pos) -> np.ndarray:
    return np.array([*pos.values()])


def equal(first, second) -> bool:
    return [*first] == [*second] and all((first[node] == second[node]).all() for node in first)


@pytest.fixture(scope="module")
def grid() -> nx.Graph:
    return nx.grid_2d_graph(4, 5)


def test_a_dict_as_networkx_returns_it(grid):
    pos, theirs = gs.layout(grid, seed=0), nx.circular_layout(grid)
    assert isinstance(pos, dict) and [*pos] == [*theirs]
    assert all(value.shape == (2,) and value.dtype == theirs[0, 0].dtype for value in pos.values())
    assert np.abs(array(pos)).max() == pytest.approx(1) and array(pos).mean(0) == pytest.approx([0, 0], abs=1e-12)
    moved = array(gs.layout(grid, seed=0, scale=3, center=(5, -1)))
    assert moved == pytest.approx(3 * array(pos) + [5, -1])


def test_a_grid_comes_out_as_a_grid(grid):
    best = gs.layout(grid, seed=0, num=4)[0]
    assert best.metrics["crossings"] == 0 and best.metrics["edge length variance"] < 0.01


def test_same_seed_same_layout_whatever_else_is_in_the_batch(grid):
    def data(graph):
        return Data(
            edge_index=torch.tensor([*nx.convert_node_labels_to_integers(graph).edges]).t(), num_nodes=len(graph)
        )

    graphs = [data(grid), data(nx.cycle_graph(7)), data(grid)]
    alone = gs.layout(grid, seed=3)
    first, _, third = gs.layout(graphs, seed=3)
    assert (array(first) == array(alone)).all() and equal(first, third)
    assert equal(gs.layout(Batch.from_data_list(graphs), seed=3)[2], first)
    assert not equal(gs.layout(grid, seed=4), alone)
    assert not equal(gs.layout(grid), gs.layout(grid))


def test_generators_of_numpy_are_seeds_and_advance(grid):
    draw, again = np.random.default_rng(5), np.random.default_rng(5)
    first, second = gs.layout(grid, seed=draw), gs.layout(grid, seed=draw)
    assert equal(gs.layout(grid, seed=again), first) and not equal(first, second)
    old = gs.layout(grid, seed=np.random.RandomState(1))
    assert equal(gs.layout(grid, seed=np.random.RandomState(1)), old)
    with pytest.raises(ValueError, match="seed must not be negative, but is -1"):
        gs.layout(grid, seed=-1)


def test_components_are_apart_and_close(grid):
    parts = [grid, nx.cycle_graph(5), nx.path_graph(2), nx.empty_graph(1), nx.star_graph(6)]
    pos = array(gs.layout(nx.disjoint_union_all(parts), seed=0, scale=None))
    ends = np.cumsum([0, *map(len, parts)])
    boxes = [(pos[a:b].min(0), pos[a:b].max(0)) for a, b in itertools.pairwise(ends)]
    for (low, high), (low2, high2) in itertools.combinations(boxes, 2):
        assert max((low2 - high).max(), (low - high2).max()) > 0.999  # an edge's length between them
    whole = np.ptp(pos, axis=0)
    assert sum(np.prod(high - low + 1) for low, high in boxes) > 0.5 * np.prod(whole + 1)  # not flying off


def test_fixed_nodes_stay_to_the_bit_in_their_own_coordinates(grid):
    pos = {(0, 0): (0.1, 1e3 / 3), (3, 4): (70.3, 1e3 / 3 + 55.7)}
    drawn = gs.layout(nx.compose(grid, nx.path_graph(3)), pos=pos, fixed=[*pos], seed=0)
    for node, value in pos.items():
        assert drawn[node].tolist() == [*value]
    inside = np.array([drawn[node] for node in grid])
    center, reach = np.mean([*pos.values()], axis=0), np.linalg.norm(np.subtract(*pos.values()))
    assert np.linalg.norm(inside - center, axis=1).max() < 0.8 * reach
    with pytest.raises(ValueError, match=r"without a position: \[\(1, 1\)\]"):
        gs.layout(grid, pos=pos, fixed=[(1, 1)])
    with pytest.raises(ValueError, match=r"Not in the graph: \['x'\]"):
        gs.layout(grid, pos={"x": (0, 0)}, fixed=["x"])


def test_old_positions_are_kept_when_nodes_are_added(grid):
    old = gs.layout(grid, seed=0, scale=100, center=(300, 200))
    grown = nx.Graph([*grid.edges, ((0, 0), "new"), ("new", "newer")])
    new = gs.layout(grown, start=old, seed=1)
    assert all((new[node] == old[node]).all() for node in grid)
    nearest = min(grid, key=lambda node: np.linalg.norm(new[node] - new["new"]))
    assert nearest == (0, 0)
    moved = gs.layout(grown, start=old, noise=0.3, seed=1)
    shift = np.array([np.linalg.norm(moved[node] - old[node]) for node in grid])
    assert 0 < shift.max() < 60 < np.ptp(array(old), axis=0).max()
    with pytest.raises(ValueError, match="noise diffuses `start`"):
        gs.layout(grid, noise=0.3)


def test_length_and_weight_are_two_things():
    graph = nx.cycle_graph(6)
    nx.set_edge_attributes(graph, {(0, 1): 3.0}, "far")
    nx.set_edge_attributes(graph, {(0, 1): 27.0}, "pull")

    def relative(**options):
        pos = gs.layout(graph, seed=0, scale=None, **options)
        lengths = [np.linalg.norm(pos[i] - pos[j]) for i, j in graph.edges]
        return lengths[0] / np.mean(lengths[1:])

    assert relative() == pytest.approx(1, abs=0.05)
    assert relative(length="far") > 1.8
    assert relative(weight="pull") < 0.6  # 27^(-1/3) is a third
    for name, value in (("far", 0), ("far", -1.0), ("pull", float("nan")), ("pull", "x")):
        graph.edges[2, 3][name] = value
        option = {"length": "far"} if name == "far" else {"weight": "pull"}
        with pytest.raises(ValueError, match=f"'{name}' of each edge must be a positive number, but that of 2 and 3"):
            gs.layout(graph, **option)
    with pytest.raises(ValueError, match="need refine"):
        gs.layout(nx.path_graph(4), weight="far", refine=None)


def test_nodes_of_given_sizes_do_not_overlap():
    star = nx.star_graph(12)
    sizes = {node: 2.0 if node == 0 else 1.2 for node in star}
    pos = gs.layout(star, node_size=sizes, scale=None, seed=0)
    for i, j in itertools.combinations(star, 2):
        assert np.linalg.norm(pos[i] - pos[j]) > (sizes[i] + sizes[j]) / 2 * (1 - 1e-6)
    with pytest.raises(ValueError, match="must be finite and not negative"):
        gs.layout(star, node_size=-1.0)
    with pytest.raises(ValueError, match="up to 1000 nodes, but one has 1001"):
        gs.layout(nx.path_graph(1001), node_size=1.0)


def test_small_and_strange_graphs():
    assert gs.layout(nx.empty_graph(0)) == {}
    assert gs.layout(nx.empty_graph(1))[0].tolist() == [0, 0]
    pair = gs.layout(nx.path_graph(2), scale=None)
    assert np.linalg.norm(pair[0] - pair[1]) == pytest.approx(1)
    strange = nx.MultiDiGraph(
        [("a", "a"), ("a", (1, 2)), ("a", (1, 2)), ((1, 2), "a"), ((1, 2), None.__class__), (3.5, "a")]
    )
    plain = nx.Graph(strange)
    plain.remove_edges_from(nx.selfloop_edges(plain))
    assert equal(gs.layout(strange, seed=0), gs.layout(plain, seed=0))


def test_graphs_of_other_libraries_and_lists_of_edges():
    reference = gs.layout(nx.cycle_graph(5), seed=0)
    assert equal(gs.layout([(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)], seed=0), reference)
    edges = [SimpleNamespace(source=k, target=(k + 1) % 5, attributes=lambda: {"far": 1.0}) for k in range(5)]
    like_igraph = SimpleNamespace(vs=range(5), es=edges)
    assert equal(gs.layout(like_igraph, seed=0, length="far"), reference)
    with pytest.raises(ValueError, match="'near' of each edge must be a positive number, but that of 0 and 1 is None"):
        gs.layout(like_igraph, length="near")
    rustworkx = pytest.importorskip("rustworkx")
    assert equal(gs.layout(rustworkx.generators.cycle_graph(5), seed=0), reference)
    with pytest.raises(TypeError, match="but got int"):
        gs.layout(5)
    with pytest.raises(ValueError, match="An edge of a list is a pair of nodes"):
        gs.layout([(0, 1), 5])


def test_several_layouts_come_best_first(grid):
    graph = nx.gnm_random_graph(25, 35, seed=3)
    drawings = gs.layout(graph, num=5, seed=0)
    costs = [one.metrics["stress"] + PRICE * one.metrics["crossings"] for one in drawings]
    assert len(drawings) == 5 and not equal(drawings[0], drawings[1])
    if nx.is_connected(graph):
        assert costs == sorted(costs)


def test_the_best_of_several_tries(grid):
    graph = nx.gnm_random_graph(25, 35, seed=3)
    graph = graph.subgraph(max(nx.connected_components(graph), key=len))
    gains = []  # none where the first is the best already
    for seed in range(4):
        one, best = (gs.layout(graph, seed=seed, tries=tries).metrics for tries in (1, 8))
        gains.append(one["stress"] - best["stress"] + PRICE * (one["crossings"] - best["crossings"]))
    assert min(gains) > -1e-4 and max(gains) > 0.1
    assert len(gs.layout(grid, num=2, tries=3, seed=0)) == 2
    with pytest.raises(ValueError, match="The best 3 are chosen among tries, but those are only 2"):
        gs.layout(grid, num=3, tries=2)


def test_many_graphs_are_drawn_as_each_alone_also_in_workers(grid):
    alike = [nx.random_labeled_tree(20, seed=seed) for seed in range(4)]  # refined together
    graphs = [grid, nx.star_graph(5), *alike, nx.gnm_random_graph(20, 30, seed=1)]
    options = {"seed": 3, "refine": "crossings", "tries": 4}
    alone = [gs.layout(graph, **options) for graph in graphs]
    for together in (gs.layout(graphs, **options), gs.layout(graphs, workers=2, **options)):
        assert all(equal(first, second) for first, second in zip(together, alone, strict=True))
    with pytest.raises(ValueError, match="workers of at least 0, but got -1"):
        gs.layout(graphs, workers=-1)


def test_removing_crossings_costs_little_stress():
    graph = nx.gnm_random_graph(40, 60, seed=1)
    graph = graph.subgraph(max(nx.connected_components(graph), key=len))
    plain, uncrossed = (gs.layout(graph, seed=0, refine=how).metrics for how in ("stress", "crossings"))
    assert uncrossed["crossings"] < 0.9 * plain["crossings"]
    assert uncrossed["stress"] < 1.1 * plain["stress"]


def test_graphs_beyond_the_trained_size_are_drawn_another_way_with_a_warning():
    medium = nx.random_labeled_tree(200, seed=0)
    with pytest.warns(UserWarning, match="200 nodes, and the model draws up to 128"):
        assert gs.layout(medium, seed=0).metrics["neighborhood preservation"] > 0.5
    with pytest.warns(UserWarning, match="3 dimensions"):
        assert gs.layout(nx.cycle_graph(5), dim=3, seed=0)[0].shape == (3,)


@pytest.mark.slow
def test_ten_thousand_nodes_are_answered_in_ten_seconds_of_the_processor():
    large = nx.grid_2d_graph(100, 100)
    started = time.process_time()
    with pytest.warns(UserWarning, match="sparse stress"):
        pos = gs.layout(large, seed=0)
    assert time.process_time() - started < 10
    lengths = np.array([np.linalg.norm(pos[i] - pos[j]) for i, j in large.edges])
    assert lengths.std() < 0.3 * lengths.mean()


def test_thousands_of_components_are_answered_soon():
    triangles = nx.from_edgelist([(3 * k + i, 3 * k + (i + 1) % 3) for k in range(1000) for i in range(3)])
    started = time.process_time()
    with pytest.warns(UserWarning, match="1000 components of three nodes or more: all but the 100 largest"):
        pos = gs.layout(triangles, seed=0, scale=None)
    assert time.process_time() - started < 10
    lengths = [np.linalg.norm(pos[u] - pos[v]) for u, v in triangles.edges]
    assert lengths == pytest.approx(np.ones(3000), abs=1e-3)


def test_dense_graphs_are_drawn_by_stress_with_a_warning():
    with pytest.warns(UserWarning, match="Crossings are not counted or removed: a graph has more than 2000 edges"):
        pos = gs.layout(nx.complete_graph(70), refine="crossings", seed=0)
    assert np.isfinite(array(pos)).all() and np.ptp(array(pos), axis=0).min() > 1


def test_no_warning_within_the_trained_size(grid):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gs.layout(grid, seed=0)


def test_networkx_displays_it(grid):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    nx.draw(grid, pos=gs.layout(grid, seed=0))
    if hasattr(nx, "display"):  # from networkx 3.5 on
        nx.display(grid, node_pos=gs.layout)
