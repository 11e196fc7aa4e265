from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore.nn import EquivariantConvolution
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.kernels import convolution as kernel
from graphscore.nn.layers import convolution

NODES, CHANNELS, FEATURES = 9, 4, 3


def in_blocks(edges, *given):
    return kernel.convolve_in_blocks(convolution._convolve, edges, *given)


def random_edges(number: int = 60, nodes: int = NODES) -> Edges:
    """Unsorted, with repetitions and self-loops, and without edges into or out of the last node."""
    return Edges.from_index(torch.randint(nodes - 1, (2, number)), nodes)


def inputs(edges: Edges, dim: int = 3, carries: bool = True, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Carried scalars and vectors, scalars to push, features, directions and weights."""
    number = len(edges.source)
    shapes = [
        (edges.num_nodes, 1 + dim * carries, CHANNELS),
        (edges.num_nodes, CHANNELS),
        (number, FEATURES),
        (number, dim),
        ((2 + carries) * CHANNELS, FEATURES),
    ]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


@pytest.fixture(params=[7, 1024], ids=["many-blocks", "one-block"])
def blocks(request, monkeypatch):
    """With 7, some nodes have more edges than a block should have."""
    monkeypatch.setattr(kernel, "BLOCK_EDGES", request.param)


@pytest.mark.parametrize("carries", [True, False])
def test_definition(blocks, carries):
    layer, edges = EquivariantConvolution(CHANNELS, FEATURES, carries).double(), random_edges()
    carried, push, features, direction, _ = inputs(edges, carries=carries)
    vectors = carried[:, 1:] if carries else None
    scalars, received = layer(torch.cat([carried[:, 0], push], dim=1), vectors, features, direction, edges)
    filters = layer.filters.weight.chunk(3 if carries else 2)
    expected_scalars, expected_vectors = torch.zeros_like(scalars), torch.zeros_like(received)
    for e, (j, i) in enumerate(zip(edges.source.tolist(), edges.target.tolist(), strict=True)):
        factors = [filter @ features[e] for filter in filters]
        expected_scalars[i] += factors[0] * carried[j, 0]
        expected_vectors[i] += direction[e, :, None] * (factors[1] * push[j])
        if carries:
            expected_vectors[i] += factors[2] * carried[j, 1:]
    assert_close(scalars, expected_scalars)
    assert_close(received, expected_vectors)


@pytest.mark.parametrize("carries", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_blocks_give_values_and_derivatives_of_the_formula(blocks, carries, dim):
    edges = random_edges()
    given = inputs(edges, dim, carries)
    plain, blockwise = convolution._convolve(edges, *given), in_blocks(edges, *given)
    assert_close(blockwise, plain, rtol=0, atol=1e-12)
    weight = torch.randn_like(plain)
    gradients = [torch.autograd.grad(output, given, weight) for output in (blockwise, plain)]
    for mine, expected in zip(*gradients, strict=True):
        assert_close(mine, expected, rtol=0, atol=1e-12)


def test_numerical_derivatives(blocks):
    edges = random_edges(20, nodes=5)
    assert torch.autograd.gradcheck(in_blocks, (edges, *inputs(edges)))


def test_second_derivatives(blocks):
    edges = random_edges(8, nodes=4)
    assert torch.autograd.gradgradcheck(in_blocks, (edges, *inputs(edges)))


@pytest.mark.parametrize("place", range(5))
def test_derivatives_by_one_input_alone(blocks, place):
    edges = random_edges()
    given = [x.detach() for x in inputs(edges)]
    given[place].requires_grad_()
    outputs = [function(edges, *given) for function in (in_blocks, convolution._convolve)]
    mine, expected = (torch.autograd.grad(output.square().sum(), given[place])[0] for output in outputs)
    assert_close(mine, expected, rtol=0, atol=1e-10)


def test_reduced_precision(blocks):
    """Under autocast blocks compute in bfloat16, derivatives come in the type of their input."""
    edges = random_edges()
    given = inputs(edges, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        output = in_blocks(edges, *given)
    assert output.dtype == torch.bfloat16
    expected = convolution._convolve(edges, *given)
    assert_close(output.float(), expected, rtol=0.05, atol=0.2)
    gradients = torch.autograd.grad(output.float().sum(), given)
    for mine, exact in zip(gradients, torch.autograd.grad(expected.sum(), given), strict=True):
        assert mine.dtype == torch.float32
        assert float((mine - exact).norm() / exact.norm()) < 0.02


def test_gradients_of_weights_are_summed_over_blocks_in_float32(blocks):
    """The number of edges comes out, which counting in bfloat16 would miss."""
    edges = random_edges(600)
    given = [torch.ones_like(x, requires_grad=True) for x in inputs(edges, dtype=torch.float32)]
    with torch.autocast("cpu", torch.bfloat16):
        output = in_blocks(edges, *given)
    (gradient,) = torch.autograd.grad(output[:, 0].float().sum(), given[-1])
    assert (gradient[:CHANNELS] == 600).all() and (gradient[CHANNELS:] == 0).all()


@pytest.mark.parametrize("number", [0, 60])
@pytest.mark.parametrize("dim", [0, 3])
@pytest.mark.parametrize("carries", [True, False])
def test_without_edges_or_dimensions(number, dim, carries):
    layer, edges = EquivariantConvolution(CHANNELS, FEATURES, carries), random_edges(number)
    vectors = torch.randn(NODES, dim, CHANNELS) if carries else None
    features, direction = torch.randn(number, FEATURES, requires_grad=True), torch.randn(number, dim)
    scalars, received = layer(torch.randn(NODES, 2 * CHANNELS), vectors, features, direction, edges)
    assert scalars.shape == (NODES, CHANNELS) and received.shape == (NODES, dim, CHANNELS)
    assert (scalars[-1] == 0).all() and (number > 0 or (scalars == 0).all())
    (gradient,) = torch.autograd.grad(scalars.sum() + received.sum(), features)
    assert gradient.shape == features.shape and gradient.isfinite().all()


def test_forward_mode():
    layer, edges = EquivariantConvolution(CHANNELS, FEATURES).double(), random_edges()
    carried, push, features, direction, _ = (x.detach() for x in inputs(edges))

    def moved(features):
        return layer(torch.cat([carried[:, 0], push], dim=1), carried[:, 1:], features, direction, edges)[1]

    tangent, step = torch.randn_like(features), 1e-6
    slope = torch.func.jvp(moved, (features,), (tangent,))[1]
    difference = (moved(features + step * tangent) - moved(features - step * tangent)) / (2 * step)
    assert_close(slope, difference, rtol=0, atol=1e-6)
