from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore.nn import GatedEquivariantBlock, VectorLinear


def test_vector_linear():
    layer, vectors = VectorLinear(4, 5).double(), torch.randn(6, 3, 4).double()
    assert layer.bias is None and layer.weight.shape == (5, 4)
    assert_close(layer(vectors), torch.einsum("oc,ndc->ndo", layer.weight, vectors))


def test_gated_equivariant_block():
    block = GatedEquivariantBlock(8, 4, 5).double()
    h, vectors = torch.randn(6, 8).double(), torch.randn(6, 3, 4).double()
    scalars, gated = block(h, vectors)
    lengths = torch.einsum("oc,ndc->ndo", block.measured.weight, vectors).norm(dim=1)
    expected, gates = block.network(torch.cat([h, lengths], dim=1)).split([8, 5], dim=1)
    assert_close(scalars, expected, rtol=0, atol=1e-6)
    assert_close(gated, gates[:, None] * block.gated(vectors), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dim", [0, 1, 2, 3, 4])
def test_gated_equivariant_block_turns_with_its_input(dim):
    block = GatedEquivariantBlock(8, 4, 5).double()
    h, vectors = torch.randn(6, 8).double(), torch.randn(6, dim, 4).double()
    turn = torch.linalg.qr(torch.randn(dim, dim).double())[0]
    scalars, gated = block(h, vectors)
    turned_scalars, turned_gated = block(h, torch.einsum("ij,njc->nic", turn, vectors))
    assert_close(turned_scalars, scalars, rtol=0, atol=1e-12)
    assert_close(turned_gated, torch.einsum("ij,njc->nic", turn, gated), rtol=0, atol=1e-12)
    assert gated.shape == (6, dim, 5) and (dim == 0 or float(gated.detach().abs().max()) > 1e-3)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-6, 1.0, 1e6])
def test_gated_equivariant_block_is_finite_at_zero_with_two_derivatives(scale):
    block, vectors = GatedEquivariantBlock(8, 4, 5), (scale * torch.randn(6, 3, 4)).requires_grad_()
    scalars, gated = block(torch.randn(6, 8), vectors)
    (first,) = torch.autograd.grad(scalars.sum() + gated.sum(), vectors, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), vectors)
    for values in (scalars, gated, first, second):
        assert values.isfinite().all()
    assert (gated == 0).all() == (scale == 0)
