from __future__ import annotations

import pytest
import torch
from torch.func import jvp
from torch.testing import assert_close

from graphscore.nn import Edges, GatedMessages
from graphscore.nn.kernels import blockwise
from graphscore.nn.kernels import messages as kernel
from graphscore.nn.layers import messages

NODES, CHANNELS, FEATURES, HEADS = 9, 6, 3, 2


def random_edges(number: int = 60) -> Edges:
    """Unsorted, with repetitions and self-loops, and without edges into or out of the last node."""
    return Edges.from_index(torch.randint(NODES - 1, (2, number)), NODES)


@pytest.fixture
def layer():
    return GatedMessages(CHANNELS, FEATURES, HEADS).double()


@pytest.fixture(params=[1, 7, kernel.BLOCK_EDGES], ids=["single-edges", "many-blocks", "one-block"])
def blocks(request, monkeypatch):
    """With 7, the edges into some nodes lie in several blocks."""
    monkeypatch.setattr(kernel, "BLOCK_EDGES", request.param)


def given(edges: Edges, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    h = torch.randn(NODES, CHANNELS, dtype=dtype, requires_grad=True)
    return h, torch.randn(len(edges.source), FEATURES, dtype=dtype, requires_grad=True)


def test_definition(layer, blocks):
    """The published form: one linear map of the concatenation, edge by edge."""
    edges = random_edges()
    h, features = given(edges)
    received, heads = layer(h, features, edges)
    target, source = layer.ends.weight.chunk(2)
    first = torch.cat([target, source, layer.edge.weight], dim=1)
    expected = torch.zeros_like(received)
    for e, (j, i) in enumerate(zip(edges.source.tolist(), edges.target.tolist(), strict=True)):
        joined = first @ torch.cat([h[i], h[j], features[e]]) + sum(layer.ends.bias.chunk(2))
        m = torch.nn.functional.silu(layer.message.weight @ torch.nn.functional.silu(joined))
        expected[i] += torch.sigmoid(layer.gate(m)) * m
        assert_close(heads[e], layer.heads(m))
    assert_close(received, expected)


def test_blocks_give_values_and_derivatives_of_the_formula(layer, blocks, monkeypatch):
    edges = random_edges()
    inputs = [*given(edges), *layer.parameters()]
    results = []
    for used in (True, False):
        monkeypatch.setattr(messages, "in_blocks", lambda *_, used=used: used)
        received, heads = layer(*inputs[:2], edges)
        loss = (received.sin() * torch.arange(CHANNELS)).sum() + heads.cos().sum()
        results.append([received, heads, *torch.autograd.grad(loss, inputs)])
    for one, two in zip(*results, strict=True):
        assert_close(one, two, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("alone", range(2))
def test_derivatives_by_one_input_alone(layer, blocks, alone):
    """Nothing else needs one: guidance differentiates by positions while weights are frozen."""
    edges = random_edges(20)
    layer.requires_grad_(False)
    inputs = [x.detach() for x in given(edges)]
    inputs[alone].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(*inputs[:alone], x, *inputs[alone + 1 :], edges), inputs[alone])


def test_second_derivatives_and_forward_mode(layer, blocks):
    edges = random_edges(20)
    h, features = given(edges)
    assert torch.autograd.gradgradcheck(lambda *x: layer(*x, edges), (h, features))
    with torch.no_grad():
        tangents = torch.randn_like(h), torch.randn_like(features)
        _, got = jvp(lambda *x: layer(*x, edges), (h.detach(), features.detach()), tangents)
        step, (plus, minus) = 1e-6, ([], [])
        for sign, values in ((1, plus), (-1, minus)):
            values += layer(h + sign * step * tangents[0], features + sign * step * tangents[1], edges)
    for tangent, one, two in zip(got, plus, minus, strict=True):
        assert_close(tangent, (one - two) / (2 * step), rtol=1e-6, atol=1e-7)


def test_without_edges_nothing_arrives(layer):
    edges = random_edges(0)
    received, heads = layer(*given(edges), edges)
    assert received.shape == (NODES, CHANNELS) and (received == 0).all() and heads.shape == (0, HEADS)


def test_bfloat16_is_close_and_weights_get_float32_gradients(layer, blocks):
    layer, edges = layer.float(), random_edges()
    h, features = given(edges, torch.float32)
    exact = layer(h, features, edges)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = layer(h, features, edges)
    for one, two in zip(rounded, exact, strict=True):
        assert one.dtype == torch.bfloat16
        assert_close(one.float(), two, rtol=0.05, atol=0.05)
    sum(x.float().sum() for x in rounded).backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in layer.parameters())


def test_values_without_derivatives_are_the_same(layer, blocks):
    edges = random_edges()
    h, features = given(edges)
    with torch.no_grad():
        without = layer(h, features, edges)
    for one, two in zip(without, layer(h, features, edges), strict=True):
        assert torch.equal(one, two)


def test_blocks_are_for_more_edges_than_a_few(monkeypatch):
    monkeypatch.setattr(blockwise, "FEW", 20 * CHANNELS)
    assert [blockwise.in_blocks(torch.zeros(NODES, CHANNELS), random_edges(number)) for number in (20, 21)] == [0, 1]
