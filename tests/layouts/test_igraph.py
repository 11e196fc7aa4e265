"""Graphs of igraph and their drawings, where igraph is installed."""

from __future__ import annotations

import numpy as np
import pytest

import graphscore as gs

igraph = pytest.importorskip("igraph")


def test_drawings_of_igraph_go_in_and_out():
    G = igraph.Graph.Famous("Petersen")
    pos = gs.layout(G, seed=0)
    assert [*pos] == [*range(10)]
    drawing = igraph.Layout([*pos.values()])
    assert len(drawing) == 10 and drawing.dim == 2
    np.testing.assert_array_equal(np.array(drawing.coords), np.array([*pos.values()]))
    start = dict(enumerate(G.layout("kk")))
    near, far = (gs.layout(G, start=start, noise=noise, seed=0, refine=None) for noise in (0.1, 1.0))
    assert apart(near, start) < 0.5 * apart(far, start)


def test_attributes_of_edges_count():
    G = igraph.Graph([(0, 1), (1, 2)], directed=True)
    G.es["far"] = [1.0, 3.0]
    pos = gs.layout(G, length="far", seed=0)
    assert np.linalg.norm(pos[1] - pos[2]) == pytest.approx(3 * np.linalg.norm(pos[0] - pos[1]), rel=0.05)


def apart(pos, other) -> float:
    """Largest difference of the distances in two drawings of one extent."""
    pairs = [np.array([drawing[node] for node in range(len(drawing))]) for drawing in (pos, other)]
    first, second = (np.linalg.norm(places[:, None] - places[None], axis=-1) for places in pairs)
    return float(np.abs(first / first.max() - second / second.max()).max())
