from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from graphscore.nn.edges import geometry as edge_geometry
from graphscore.nn.edges.geometry import EdgeGeometry
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.layers import attention
from graphscore.nn.layers.attention import EquivariantAttention
from graphscore.testing import ragged_batch

N, E, K, C, HEADS = 12, 60, 5, 8, 2


def make(dim=3, carries=True, dtype=torch.float64, num_nodes=N, num_edges=E):
    """A module and random arguments; the last two nodes receive nothing, and node 1 from itself too."""
    source, target = torch.randint(num_nodes, (num_edges,)), torch.randint(num_nodes - 2, (num_edges,))
    source[0] = target[0] = 1
    edges = Edges.from_index(torch.stack([source, target]), num_nodes)
    module = EquivariantAttention(C, K, HEADS, carries).to(dtype)
    h, vectors = leaf(num_nodes, C, dtype=dtype), leaf(num_nodes, dim, C, dtype=dtype) if carries else None
    shapes = (num_edges, K), (num_edges,), (num_edges, dim)
    geometry = EdgeGeometry(edges, *(leaf(*shape, dtype=dtype) for shape in shapes))
    return module, h, vectors, geometry


def leaf(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape, dtype=dtype).requires_grad_()


def leaves(module, h, vectors, geometry) -> list[Tensor]:
    inputs = [h, vectors, geometry.features, geometry.envelope, geometry.direction, *module.parameters()]
    return [x for x in inputs if x is not None]


def derivatives(outputs, inputs) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    # Drawn in float64: in PyTorch 2.6, draws in bfloat16 are other numbers.
    weights = [torch.randn(x.shape, dtype=torch.float64, generator=generator).to(x) for x in outputs]
    total = torch.stack([(x * weight).sum() for x, weight in zip(outputs, weights, strict=True)]).sum()
    return torch.autograd.grad(total, inputs)


@pytest.fixture
def plainly(monkeypatch):
    def call(module, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(attention, "in_blocks", lambda *_: False)
            return module(*arguments)

    return call


@pytest.mark.exact
def test_is_the_formula():
    """Edge by edge and head by head."""
    module, h, vectors, geometry = make()
    received, turned = torch.zeros(N, C).double(), torch.zeros(N, 3, C).double()
    key, value, push, carry = module.source(h).chunk(4, dim=1)
    query, edges = module.query(h), geometry.edges
    for e, (j, i) in enumerate(zip(edges.source, edges.target, strict=True)):
        factors = module.factors(geometry.features[e])
        f_value, f_push, f_carry = F.silu(module.filters(geometry.features[e])).chunk(3)
        for head, channels in enumerate(torch.arange(C).chunk(HEADS)):
            weight = F.silu(factors[head] * (query[i, channels] @ key[j, channels]))
            received[i, channels] += geometry.envelope[e] * weight * (value[j] * f_value)[channels]
        turned[i] += geometry.direction[e][:, None] * (push[j] * f_push)
        turned[i] += geometry.envelope[e] * (carry[j] * f_carry) * vectors[j]
    assert_close(module(h, vectors, geometry), (received, turned), rtol=0, atol=1e-12)


@pytest.mark.parametrize("block_edges", [1, 7, 1024])
@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("carries", [True, False])
def test_blocks_give_the_values_and_derivatives_of_the_plain_form(plainly, monkeypatch, block_edges, dim, carries):
    """Also where a node has more edges than a block, and where a block has none."""
    monkeypatch.setattr(edge_geometry, "BLOCK_EDGES", block_edges)
    module, *arguments = make(dim, carries)
    inputs = leaves(module, *arguments)
    outputs, expected = module(*arguments), plainly(module, *arguments)
    assert_close(outputs, expected, rtol=0, atol=1e-12)
    assert_close(derivatives(outputs, inputs), derivatives(expected, inputs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("block_edges", [40, 1024])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_pairs_with_the_same_features_share_their_filters(plainly, monkeypatch, block_edges, dtype):
    """All pairs of a few graphs; blocks cut some pairs apart."""
    monkeypatch.setattr(edge_geometry, "BLOCK_EDGES", block_edges)
    batch = ragged_batch((5, 7, 4))
    edges = Edges.from_index(batch.edge_index, batch.num_nodes)
    module, h, vectors, _ = make(num_nodes=batch.num_nodes)
    features = torch.zeros(batch.num_nodes, batch.num_nodes, K).double()
    low, high = torch.stack([edges.source, edges.target]).aminmax(dim=0)
    features = torch.randn_like(features)[low, high].requires_grad_()
    geometry = EdgeGeometry(edges, features, *(leaf(len(low), *shape, dtype=torch.float64) for shape in ((), (3,))))
    assert any(len(rows.features) < len(block.rows) for rows, block in zip(geometry.rows, geometry.blocks, strict=True))
    inputs = leaves(module, h, vectors, geometry)
    expected = plainly(module, h, vectors, geometry)
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        outputs = module(h, vectors, geometry)
    for got, want in zip(outputs, expected, strict=True):
        assert float(((got - want).norm() / want.norm()).detach()) < (1e-13 if dtype == torch.float64 else 0.015)
    if dtype == torch.float64:
        assert_close(derivatives(outputs, inputs), derivatives(expected, inputs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("pairs", [1, 60])
@pytest.mark.parametrize(("dim", "carries"), [(3, True), (2, False)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_complete_graphs_by_dense_products(plainly, monkeypatch, pairs, dim, carries, dtype):
    """Graphs of several sizes, alone or several of a size in a block."""
    monkeypatch.setattr(edge_geometry, "DENSE_PAIRS", pairs)
    monkeypatch.setattr(edge_geometry, "FEW_PAIRS", 0)
    monkeypatch.setattr(attention, "in_blocks", lambda *_: True)
    batch = ragged_batch((5, 5, 5, 7, 1, 2, 5))
    edges = Edges.from_index(batch.edge_index, batch.num_nodes)
    module, h, vectors, _ = make(dim, carries, num_nodes=batch.num_nodes)
    count = len(edges.source)
    geometry = EdgeGeometry(edges, *(leaf(count, *shape, dtype=torch.float64) for shape in ((K,), (), (dim,))))
    assert [(block.size, block.graphs) for block in geometry.dense[:2]] == (
        [(5, 1)] * 2 if pairs == 1 else [(5, 2), (5, 1)]
    )
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16), torch.no_grad():
        outputs = module(h, vectors, geometry)
    for got, want in zip(outputs, plainly(module, h, vectors, geometry), strict=True):
        assert got.dtype == dtype
        assert float(((got - want).norm() / want.norm()).detach()) < (1e-13 if dtype == torch.float64 else 0.015)


@pytest.mark.parametrize("kept", range(11))
def test_derivatives_by_some_inputs_only(plainly, kept):
    module, *arguments = make()
    inputs = leaves(module, *arguments)
    for number, x in enumerate(inputs):
        x.requires_grad_(number == kept)
    outputs, expected = (f(*arguments) for f in (module, lambda *a: plainly(module, *a)))
    assert_close(derivatives(outputs, inputs[kept]), derivatives(expected, inputs[kept]), rtol=0, atol=1e-12)


def test_second_derivatives():
    module, h, vectors, geometry = make(dim=2)

    def function(h: Tensor, vectors: Tensor, features: Tensor, envelope: Tensor, direction: Tensor):
        return module(h, vectors, EdgeGeometry(geometry.edges, features, envelope, direction))

    inputs = (h, vectors, geometry.features, geometry.envelope, geometry.direction)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


def test_forward_mode_and_vmap():
    module, h, vectors, geometry = make()

    def function(h: Tensor) -> Tensor:
        return module(h, vectors, geometry)[1]

    tangent = torch.randn_like(h)
    _, got = torch.func.jvp(function, (h,), (tangent,))
    step = 1e-6 * tangent
    assert_close(got, (function(h + step) - function(h - step)) / 2e-6, rtol=1e-6, atol=1e-8)
    many = torch.func.vmap(function)(torch.stack([h, h + tangent]))
    assert_close(many[1], function(h + tangent), rtol=0, atol=1e-12)


def test_bfloat16_is_summed_over_blocks_in_float32(plainly, monkeypatch):
    monkeypatch.setattr(edge_geometry, "BLOCK_EDGES", 1)
    module, *arguments = make(dtype=torch.float32, num_nodes=1000, num_edges=3000)
    inputs = leaves(module, *arguments)
    expected = plainly(module, *arguments)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = module(*arguments)
    assert all(x.dtype == torch.bfloat16 for x in outputs)
    pairs = [*zip(outputs, expected, strict=True)]
    pairs += zip(derivatives(outputs, inputs), derivatives(expected, inputs), strict=True)
    for got, want in pairs:
        assert float(((got - want).norm() / want.norm()).detach()) < 0.015


def test_nothing_of_the_size_of_edges_times_channels_is_kept():
    module, h, vectors, geometry = make()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        module(h, vectors, geometry)
    given = geometry.features.numel()
    assert kept and all(x.numel() <= given for x in kept if len(x) == E)


@pytest.mark.parametrize("num_edges", [0, E])
def test_a_compiler_sees_one_graph(num_edges):
    module, h, vectors, geometry = make()
    edges = Edges.from_index(torch.stack([geometry.edges.source, geometry.edges.target])[:, :num_edges], N)
    tensors = (x[:num_edges] for x in (geometry.features, geometry.envelope, geometry.direction))
    geometry = EdgeGeometry(edges, *tensors)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    assert_close(compiled(h, vectors, geometry), module(h, vectors, geometry), rtol=0, atol=1e-12)
