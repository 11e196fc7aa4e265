"""Networks, searches for edges and per-graph operations on another device, that a stub of tensors stands for."""

from __future__ import annotations

import pytest
import torch

from graphscore import ops
from graphscore.nn import BACKBONES, randomize_heads
from graphscore.nn.edges.neighbors import complete_edges, knn_edges, radius_edges
from graphscore.testing import ragged_batch

EXACT = {"rtol": 1e-12, "atol": 1e-12}
BATCH = ragged_batch()
VALUES = torch.randn(13, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_elsewhere_gives_the_same_and_does_not_wait(name, stub_device):
    backbone = randomize_heads(BACKBONES[name](16, 2, edge_channels=2, cond_channels=2, vector_channels=2)).double()
    features = torch.randn(13, 16, dtype=torch.float64)
    given = [features, BATCH.pos, BATCH.edge_index, BATCH.batch, BATCH.y, BATCH.edge_attr]
    expected = backbone(*given)
    sum(value.square().sum() for value in expected).backward()
    with stub_device(float64=True) as device:
        copy = device.copy(backbone)
        found = copy(*map(device.tensor, given))
        sum(value.square().sum() for value in found).backward()
        # One has to learn the size of the largest graph.
        assert len(device.waits) == (name == "latent-transformer"), device.waits
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(value.numbers, other.detach(), **EXACT)
    for value, other in zip(copy.parameters(), backbone.parameters(), strict=True):
        torch.testing.assert_close(value.grad.numbers, other.grad, **EXACT)


@pytest.mark.parametrize(
    ("search", "waits"),
    [
        (lambda batch: complete_edges(batch.ptr), 1),
        (lambda batch: radius_edges(batch.pos, batch.batch, batch.num_graphs, 2.0, 2), 4),
        (lambda batch: knn_edges(batch.pos, batch.batch, batch.num_graphs, 2), 2),
    ],
    ids=["complete", "radius", "nearest"],
)
def test_edges_found_elsewhere_are_the_same(search, waits, stub_device):
    expected = search(BATCH)
    with stub_device(float64=True) as device:
        batch = BATCH.clone().to(device.device)  # PyG moves in place
        device.waits = []
        found = search(batch)
        assert len(device.waits) == waits, device.waits
    assert torch.equal(found.numbers, expected)


def pointers(index: torch.Tensor) -> torch.Tensor:
    return torch.searchsorted(index, torch.arange(8, device=index.device))


OPERATIONS = {
    "sum": lambda values, index: ops.sum(values, index, 7),
    "mean": lambda values, index: ops.mean(values, index, 7),
    "max": lambda values, index: ops.max(values, index, 7),
    "min": lambda values, index: ops.min(values, index, 7),
    "softmax": lambda values, index: ops.softmax(values, index, 7),
    "center": lambda values, index: ops.center(values, index, 7),
    "count": lambda values, index: ops.count(index, 7),
    "segments": lambda values, index: ops.segment_sum(values, index, pointers(index)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_elsewhere_are_the_same_and_do_not_wait(name, stub_device):
    expected = OPERATIONS[name](VALUES, BATCH.batch)
    with stub_device(float64=True) as device:
        found = OPERATIONS[name](device.tensor(VALUES), device.tensor(BATCH.batch))
        assert not device.waits
    assert torch.equal(found.numbers, expected)
