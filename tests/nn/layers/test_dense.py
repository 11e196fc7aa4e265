"""Dense arrays of ragged batches."""

from __future__ import annotations

import pytest
import torch

from graphscore.nn.layers.dense import Padding


@pytest.mark.parametrize(
    "graph_of_node",
    [[0, 0, 1, 1], [0, 0, 0, 2, 3, 3], [3, 0, 3, 2, 0, 0], [], [1, 0, 1, 0]],
    ids=["equal", "ragged", "unsorted", "empty", "equal-unsorted"],
)
def test_rows_of_a_graph_are_side_by_side_in_their_order(graph_of_node):
    batch, num_graphs = torch.tensor(graph_of_node, dtype=torch.long), max(graph_of_node, default=0) + 1
    values = torch.randn(len(batch), 2)
    padding = Padding.of(batch, num_graphs)
    dense, hidden = padding.pad(values), padding.hidden(1)
    assert torch.equal(padding.unpad(dense), values)
    for graph in range(num_graphs):
        own = values[batch == graph]
        assert torch.equal(dense[graph, : len(own)], own) and (dense[graph, len(own) :] == 0).all()
        absent = padding.length - len(own)
        assert (absent == 0) if hidden is None else hidden[graph].tolist() == [False] * (1 + len(own)) + [True] * absent


def test_equal_graphs_are_not_copied():
    values = torch.randn(6, 2)
    dense = Padding.of(torch.tensor([0, 0, 1, 1, 2, 2]), 3).pad(values)
    assert dense.shape == (3, 2, 2) and dense.data_ptr() == values.data_ptr()
