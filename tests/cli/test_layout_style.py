"""A style of one's own: training on a folder of drawings, and drawings of new graphs that follow it."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import graphscore as gs

LEAF = 0.3
"""Length of the edges of leaves in the style, others being 1 long."""


def caterpillar(rng: np.random.Generator) -> tuple[nx.Graph, int]:
    """A bent spine of six to nine nodes, with leaves close to it: ``x`` and ``y`` of the nodes; size of the spine."""
    turns = rng.normal(0, 0.3, size=rng.integers(6, 10)).cumsum()
    steps = np.stack([np.cos(turns), np.sin(turns)], 1)
    spine = steps.cumsum(0)
    graph = nx.path_graph(len(spine))
    places = [*spine]
    for node in range(1, len(spine) - 1):
        for side in rng.permutation([-1, 1])[: rng.integers(3)]:
            graph.add_edge(node, len(places))
            places.append(spine[node] + LEAF * side * np.array([-steps[node, 1], steps[node, 0]]))
    for node, (x, y) in enumerate(places):
        graph.nodes[node].update(x=float(x), y=float(y))
    return graph, len(spine)


def ratio(graph: nx.Graph, spine: int, pos) -> float:
    """Mean length of the leaves' edges over that of the spine's."""
    lengths: dict[bool, list[float]] = {True: [], False: []}
    for u, v in graph.edges:
        lengths[max(u, v) >= spine].append(float(np.linalg.norm(pos[u] - pos[v])))
    return float(np.mean(lengths[True]) / np.mean(lengths[False]))


@pytest.mark.slow
def test_drawings_follow_the_style_of_a_folder(run, tmp_path):
    pytest.importorskip("lightning")
    rng = np.random.default_rng(0)
    (tmp_path / "drawings").mkdir()
    for number in range(100):
        nx.write_graphml(caterpillar(rng)[0], tmp_path / "drawings" / f"{number}.graphml")
    backbone = "{name: egnn, hidden_channels: 16, num_layers: 3, edge_channels: 8, cond_channels: 8}"
    changes = (f"network.backbone={backbone}", "training.max_steps=120", "training.learning_rate=0.01")
    options = [text for change in changes for text in ("--set", change)]
    trained = run("train", "--config", "layout", "--data", "drawings", "--out", "run", *options)
    assert trained.code == 0, trained.err
    new = [caterpillar(rng) for _ in range(5)]
    usual = np.mean([ratio(graph, spine, gs.layout(graph, seed=0)) for graph, spine in new])
    style = np.mean([ratio(graph, spine, gs.layout(graph, seed=0, model="run")) for graph, spine in new])
    assert usual > 0.8 and style < 0.6
    graph, spine = new[0]
    nx.write_graphml(nx.Graph(graph.edges), tmp_path / "new.graphml")
    drawn = run("layout", "new.graphml", "--model", "run", "--num", "1", "--out", "out.graphml")
    assert drawn.code == 0, drawn.err
    read = nx.read_graphml(tmp_path / "out.graphml", node_type=int)
    pos = {node: np.array([place["x"], place["y"]]) for node, place in read.nodes.items()}
    assert ratio(read, spine, pos) < 0.7
