from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore.nn import ChiralTransformer, CrossProductBlock, EquivariantTransformer
from graphscore.testing import ragged_batch

F = 16


@pytest.mark.exact
def test_cross_products_are_the_formula():
    """Volumes by determinants, node by node and channel by channel."""
    batch, block = ragged_batch((3, 1), edgeless=()), CrossProductBlock(F, 2).double()
    h, vectors = torch.randn(4, F).double(), torch.randn(4, 3, F).double()
    got = block(h, vectors, None, batch.batch, batch.y)
    mixed = block.mix(block.vector_norm(vectors)).view(4, 3, 3, F)
    for i in range(4):
        volumes = torch.stack([torch.linalg.det(mixed[i, :, :, c]) for c in range(F)])
        shift, gate = block.update(torch.cat([block.norm(h, batch.y, batch.batch)[i], volumes])).chunk(2)
        assert_close(got[0][i], h[i] + shift, rtol=0, atol=1e-12)
        for c in range(F):
            (x, y, z), (u, v, w) = mixed[i, :, 0, c], mixed[i, :, 1, c]
            cross = torch.stack([y * w - z * v, z * u - x * w, x * v - y * u])
            assert_close(got[1][i, :, c], vectors[i, :, c] + gate[c] * cross, rtol=0, atol=1e-12)


def test_one_layer_tells_mirror_images_apart():
    """Also in the vectors, which the transformer alone only reflects."""
    batch = ragged_batch((5,), edgeless=())
    mirror = torch.tensor([1.0, 1.0, -1.0]).double()
    arguments = batch.edge_index, batch.batch, torch.zeros(1, 0).double()
    h = torch.randn(5, F).double()
    for network, apart in ((ChiralTransformer(F, 1), True), (EquivariantTransformer(F, 1), False)):
        torch.nn.init.normal_(getattr(network, "transformer", network).head.gated.weight)
        network.double()
        scalars, vectors = network(h, batch.pos, *arguments)
        mirrored = network(h, batch.pos * mirror, *arguments)
        assert torch.allclose(scalars, mirrored[0], rtol=0, atol=1e-10) != apart
        assert torch.allclose(vectors * mirror, mirrored[1], rtol=0, atol=1e-10) != apart


@pytest.mark.parametrize("dim", [0, 2, 4])
def test_other_dimensions_are_refused(dim):
    batch = ragged_batch(dim=dim)
    with pytest.raises(ValueError, match=f"must have 3 dimensions, but have {dim}"):
        ChiralTransformer(F)(torch.zeros(13, F), batch.pos.float(), batch.edge_index, batch.batch, torch.zeros(7, 0))


def test_repr_and_channels():
    network = ChiralTransformer(F, 2, edge_channels=3, cond_channels=4)
    assert repr(network) == "ChiralTransformer(16, num_layers=2)"
    assert (network.hidden_channels, network.edge_channels, network.cond_channels) == (F, 3, 4)
