from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.fields import replace
from graphscore.nn.backbones.plain_transformer import PlainTransformer, PlainTransformerBlock, SparseAttention
from graphscore.nn.edges.sorted import Edges
from graphscore.testing import assert_batch_independent, assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
F, H = 8, 2


def perturbed(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return module.double()


def make(dim=3, **options):
    options = {"edge_channels": 2, "cond_channels": 3, "vector_channels": 2, **options}
    return perturbed(PlainTransformer(F, 2, num_heads=H, dim=dim, **options))


def make_batch(sizes=SIZES, **options) -> Batch:
    batch = ragged_batch(sizes, **options)
    batch.h, batch.cond = batch.x.repeat(1, 4), torch.cat([batch.y, batch.y[:, :1]], dim=1)
    return batch


def call(backbone, batch):
    edge_attr = batch.edge_attr if backbone.edge_channels else None
    cond = torch.cat([batch.y, batch.y[:, :1]], dim=1)[:, : backbone.cond_channels]
    scalars, vectors = backbone(batch.x.repeat(1, 4), batch.pos, batch.edge_index, batch.batch, cond, edge_attr)
    return {"scalars": scalars, "vectors": vectors}


@pytest.mark.exact
@pytest.mark.parametrize("scale", [1.0, 1e4], ids=["moderate", "huge"])
def test_attention_is_that_of_the_dense_formula(scale):
    """Masked dense softmax over all nodes, with the bias of each edge; none for a node itself."""
    batch, attention = ragged_batch(SIZES), perturbed(SparseAttention(F, H))
    h, bias = torch.randn(13, F).double(), scale * torch.randn(batch.num_edges, H).double()
    shuffled = torch.randperm(batch.num_edges)
    edges = Edges.from_index(batch.edge_index[:, shuffled], 13)
    got = attention(h, edges, edges.sort(bias[shuffled]))
    source, target = batch.edge_index
    mask = torch.full((H, 13, 13), -math.inf).double()
    mask[:, range(13), range(13)] = 0.0
    mask[:, target, source] = bias.T
    query, key, value = attention.project(h).view(13, 3, H, F // H).permute(1, 2, 0, 3)
    dense = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert_close(got, attention.mix(dense.transpose(0, 1).flatten(1)), rtol=1e-10, atol=1e-10)


def test_a_node_without_edges_attends_to_itself():
    attention, h = perturbed(SparseAttention(F, H)), torch.randn(4, F).double()
    empty = Edges.from_index(torch.zeros(2, 0, dtype=torch.long), 4)
    values = attention.project(h)[:, 2 * F :]
    assert_close(attention(h, empty, h.new_zeros(0, H)), attention.mix(values), rtol=1e-12, atol=1e-12)


def test_attention_is_twice_differentiable():
    attention, edges = perturbed(SparseAttention(4, 2)), Edges.from_index(torch.tensor([[1, 2, 0], [0, 0, 1]]), 3)
    h, bias = torch.randn(3, 4).double().requires_grad_(), torch.randn(3, 2).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda h, bias: attention(h, edges, bias), (h, bias))


@pytest.mark.parametrize("dim", [0, 1, 2, 3])
def test_translations_and_permutations_are_symmetries(dim):
    backbone, batch = make(dim), make_batch(dim=dim)
    kinds = {"inputs": {"pos": "position"}, "outputs": {"scalars": "scalar", "vectors": "vector"}}
    assert_equivariant(lambda b: call(backbone, b), batch, transforms=("translation", "permutation"), **kinds)
    assert call(backbone, batch)["vectors"].shape == (13, 2, dim)


@pytest.mark.parametrize("transform", ["rotation", "reflection"])
def test_rotations_and_reflections_are_none(transform):
    kinds = {"inputs": {"pos": "position"}, "outputs": {"scalars": "scalar", "vectors": "vector"}}
    with pytest.raises(AssertionError, match=f"{transform} .*too large"):
        assert_equivariant(lambda b: call(make(), b), make_batch(), transforms=(transform,), **kinds)


def test_graphs_are_independent():
    backbone = make()
    assert_batch_independent(lambda b: call(backbone, b), make_batch((4, 1, 5, 3)), inputs=("pos", "x", "y"))


@pytest.mark.parametrize("what", ["pos", "x", "y", "edge_attr"])
def test_every_input_counts(what):
    backbone, batch = make(), make_batch()
    before, after = (call(backbone, b) for b in (batch, replace(batch, {what: 1.1 * batch[what]})))
    assert all((before[name] - after[name]).abs().max() > 1e-4 for name in before)


def test_edge_attributes_count_with_a_single_neighbor():
    """A softmax over one neighbor alone would be 1 whatever its bias."""
    backbone, pair = make(), make_batch((2,), edgeless=())
    changed = replace(pair, {"edge_attr": pair.edge_attr + 1})
    assert (call(backbone, pair)["scalars"] - call(backbone, changed)["scalars"]).abs().max() > 1e-4


def test_blocks_start_as_the_identity_and_positions_still():
    block, batch = PlainTransformerBlock(F, H, 3).double(), make_batch()
    edges = Edges.from_index(batch.edge_index, 13)
    bias = torch.randn(batch.num_edges, H).double()
    assert torch.equal(block(batch.h, edges, bias, batch.cond, batch.batch), batch.h)
    fresh = PlainTransformer(F, 2, 2, 3, num_heads=H).double()
    assert (call(fresh, batch)["vectors"] == 0).all()


@pytest.mark.parametrize("options", [{}, {"edge_channels": 0, "cond_channels": 0}], ids=str)
def test_every_parameter_gets_a_finite_gradient(options):
    backbone = make(**options)
    sum(value.square().sum() for value in call(backbone, make_batch()).values()).backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any() or not parameter.numel(), name


@pytest.mark.parametrize("sizes", [(0,), (1,), (3,), ()])
def test_graphs_without_nodes_or_edges(sizes):
    output = call(make(), make_batch(sizes) if sizes else make_batch((0, 0)))
    assert output["vectors"].shape == (sum(sizes), 2, 3) and output["vectors"].isfinite().all()


@pytest.mark.parametrize(
    "options, match",
    [
        ({"hidden_channels": 0}, "must be at least 1, but are 0, 6, 8"),
        ({"num_layers": 0}, "128, 0, 8"),
        ({"num_heads": 0}, "128, 6, 0"),
        ({"dim": -1}, "dim must be at least 0, but is -1"),
        ({"hidden_channels": 12}, "multiple of num_heads, but is 12 with 8 heads"),
    ],
)
def test_bad_sizes_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        PlainTransformer(**options)


def test_positions_of_another_dimension_are_named():
    with pytest.raises(ValueError, match=r"dim=3\) got positions of 2 dimensions"):
        call(make(), make_batch(dim=2))
