from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from graphscore.nn.edges import geometry as edge_geometry
from graphscore.nn.edges.geometry import EdgeGeometry
from graphscore.nn.layers.radial import CosineCutoff
from graphscore.testing import ragged_batch


def measure(pos, edge_index, edge_attr=None) -> EdgeGeometry:
    return EdgeGeometry.measure(pos, edge_index, edge_attr, nn.Identity(), CosineCutoff(4.0))


@pytest.mark.exact
def test_a_pair():
    pos, edge_index = torch.tensor([[0, 0, 0], [1, 0, 0]]).double(), torch.tensor([[0, 1], [1, 0]])
    geometry = measure(pos, edge_index, torch.tensor([[5.0], [7.0]]).double())
    cutoff = (1 + math.cos(math.pi / 4)) / 2
    envelope = cutoff / math.sqrt(1 + cutoff)
    assert_close(geometry.envelope, torch.full((2,), envelope).double(), rtol=0, atol=1e-7)
    # The first edge goes into node 0, from the right; it is the second of the list.
    assert_close(geometry.features, torch.tensor([[1.0, 1, 7], [1, 1, 5]]).double(), rtol=0, atol=1e-12)
    along = torch.tensor([[-1.0, 0, 0], [1, 0, 0]]).double() * geometry.envelope[:, None] / 2
    assert_close(geometry.direction, along, rtol=0, atol=1e-12)


def test_edges_beyond_the_cutoff_do_not_count_as_neighbors():
    pos = torch.tensor([[0.0], [1.0], [9.0]]).double()
    near, all_edges = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[0, 1, 0, 2], [1, 0, 2, 0]])
    one, two = measure(pos, near), measure(pos, all_edges)
    assert_close(two.envelope[two.edges.source < 2][:1], one.envelope[:1], rtol=0, atol=1e-15)
    assert sorted(two.envelope.tolist())[:2] == [0, 0]


@pytest.mark.parametrize("block_edges", [1, 3, 1000])
def test_fans_sum_over_the_edges_that_leave_a_node(monkeypatch, block_edges):
    monkeypatch.setattr(edge_geometry, "BLOCK_EDGES", block_edges)
    batch = ragged_batch((4, 0, 3, 1))
    geometry = measure(batch.pos, batch.edge_index)
    values, total = torch.rand(batch.num_edges).double(), torch.zeros(batch.num_nodes).double()
    for block, fan in zip(geometry.blocks, geometry.fans, strict=True):
        assert len(fan.sources.unique()) == len(fan.sources)
        for source, start, stop in zip(fan.sources, fan.ptr[:-1], fan.ptr[1:], strict=True):
            total[source] += values[block.edges][fan.order[start:stop]].sum()
    expected = torch.zeros_like(total).index_add(0, geometry.edges.source, values)
    assert_close(total, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("block_edges", [1, 3, 20, 1000])
@pytest.mark.parametrize("alike", [True, False])
def test_rows_are_the_features_of_each_edge(monkeypatch, block_edges, alike):
    """Pairs of edges whose attributes differ do not share a row, nor do those in two blocks."""
    monkeypatch.setattr(edge_geometry, "BLOCK_EDGES", block_edges)
    batch = ragged_batch((4, 0, 3, 1, 6))
    edge_attr = batch.edge_index.sum(0) if alike else batch.edge_index[0]
    geometry = measure(batch.pos, batch.edge_index, edge_attr[:, None].double())
    for block, rows in zip(geometry.blocks, geometry.rows, strict=True):
        features = rows.features if rows.number is None else rows.features[rows.number]
        assert_close(features, geometry.features[block.edges], rtol=0, atol=0)
        assert (rows.number is None) == (not alike or len(rows.features) == len(block.rows))
    if block_edges == 1000:
        assert len(geometry.rows[0].features) == (batch.num_edges // 2 if alike else batch.num_edges)


def test_is_grouped_once_for_all_layers():
    geometry = measure(*(ragged_batch()[name] for name in ("pos", "edge_index")))
    assert geometry.fans is geometry.fans
