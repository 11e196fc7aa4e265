from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from graphscore.nn import AdaptiveLayerNorm, EquivariantLayerNorm

BATCH = torch.tensor([0, 0, 2, 3, 3, 3])


def test_adaptive_layer_norm():
    norm = AdaptiveLayerNorm(4, 3).double()
    modulate = norm.get_submodule("modulate")
    for parameter in modulate.parameters():
        nn.init.normal_(parameter)
    h, cond = torch.randn(6, 4).double(), torch.randn(5, 3).double()
    output = norm(h, cond, BATCH)
    for row, graph in enumerate(BATCH.tolist()):
        scale, shift = modulate(cond[graph]).chunk(2)
        bar = (h[row] - h[row].mean()) / (h[row].var(correction=0) + 1e-5).sqrt()
        assert_close(output[row], (1 + scale) * bar + shift)


def test_adaptive_layer_norm_starts_as_a_plain_one():
    """And learns from there: the map of the condition gets a gradient at the first step."""
    norm, h, cond = AdaptiveLayerNorm(4, 3), torch.randn(6, 4), torch.randn(5, 3)
    output = norm(h, cond, BATCH)
    assert torch.equal(output, nn.functional.layer_norm(h, (4,)))
    (output * torch.randn(6, 4)).sum().backward()
    assert all((parameter.grad != 0).any() for parameter in norm.parameters())


def test_adaptive_layer_norm_without_condition_has_a_scale_and_a_shift():
    norm, plain, h = AdaptiveLayerNorm(4), nn.LayerNorm(4), torch.randn(6, 4)
    for module in (norm.norm, plain):
        nn.init.constant_(module.weight, 1.5)
        nn.init.constant_(module.bias, 0.5)
    assert torch.equal(norm(h, torch.zeros(5, 0), BATCH), plain(h))


@pytest.mark.parametrize("cond_channels", [0, 3])
def test_adaptive_layer_norm_under_autocast(cond_channels):
    norm, h = AdaptiveLayerNorm(4, cond_channels), torch.randn(6, 4)
    with torch.autocast("cpu", torch.bfloat16):
        output = norm(h, torch.randn(5, cond_channels), BATCH)
    assert_close(output, nn.functional.layer_norm(h, (4,)), check_dtype=False, rtol=0, atol=0.05)


def test_equivariant_layer_norm():
    vectors = torch.randn(6, 3, 4).double()
    norm = EquivariantLayerNorm(4, eps=0.0).double()
    output = norm(100 * vectors)
    assert_close(output.square().sum((1, 2)), torch.full((6,), 4.0).double())
    assert_close(nn.functional.normalize(output, dim=1), nn.functional.normalize(vectors, dim=1))
    nn.init.normal_(norm.weight)
    assert_close(norm(vectors), output * norm.weight)


def test_equivariant_layer_norm_turns_with_its_input():
    norm, vectors = EquivariantLayerNorm(4).double(), torch.randn(6, 3, 4).double()
    turn = torch.linalg.qr(torch.randn(3, 3).double())[0]
    turned = torch.einsum("ij,njc->nic", turn, vectors)
    assert_close(norm(turned), torch.einsum("ij,njc->nic", turn, norm(vectors)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-8, 1.0, 1e8])
def test_equivariant_layer_norm_is_finite_at_zero_with_two_derivatives(scale):
    vectors = (scale * torch.randn(6, 3, 4)).requires_grad_()
    output = EquivariantLayerNorm(4)(vectors)
    (first,) = torch.autograd.grad(output.sum(), vectors, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), vectors)
    assert output.isfinite().all() and first.isfinite().all() and second.isfinite().all()
    assert (output == 0).all() == (scale == 0)


@pytest.mark.parametrize("shape", [(0, 3, 4), (6, 0, 4), (6, 1, 4)])
def test_equivariant_layer_norm_of_any_dimension(shape):
    assert EquivariantLayerNorm(4)(torch.randn(shape)).shape == shape
