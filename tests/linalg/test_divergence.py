from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore import ops
from graphscore.linalg.divergence import divergence, jacobian_diagonal, projected_divergence, random_directions
from graphscore.rng import GraphGenerator

SIZES = (0, 4, 1, 0, 5, 3, 0)
INDEX = torch.arange(7).repeat_interleave(torch.tensor(SIZES))


@pytest.fixture
def x():
    return torch.randn(len(INDEX), 2, dtype=torch.float64)


@pytest.fixture(
    params=[INDEX, INDEX[torch.randperm(13, generator=torch.Generator().manual_seed(1))]], ids=["sorted", "mixed"]
)
def index(request):
    return request.param


class Coupled:
    """Rows of a graph see each other through their mean, and each sees itself."""

    def __init__(self, index):
        self.index = index
        self.matrix = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)

    def __call__(self, x):
        mean = ops.broadcast(ops.mean(torch.sin(x @ self.matrix), self.index, 7), self.index)
        return x**3 + mean * x.sum(-1, keepdim=True)


def jacobian(function, x):
    return torch.autograd.functional.jacobian(function, x, create_graph=True).flatten(2).flatten(0, 1)


@pytest.mark.exact
def test_the_divergence_is_the_trace_of_each_graphs_block(x, index):
    function = Coupled(index)
    value, trace = divergence(function, x, index, 7)
    full = jacobian(function, x).diagonal().view(-1, 2)
    assert_close(value, function(x).detach())
    assert_close(trace, ops.sum(full.sum(-1), index, 7).detach(), rtol=1e-12, atol=1e-12)
    assert_close(jacobian_diagonal(function, x, index, 7)[1], full.detach(), rtol=1e-12, atol=1e-12)
    assert trace[[0, 3, 6]].tolist() == [0, 0, 0] and (trace[[1, 2, 4, 5]] != 0).all()


@pytest.mark.exact
def test_the_curvature_along_directions_is_the_quadratic_form_of_each_graphs_block(x, index):
    function, directions = Coupled(index), torch.randn(4, *x.shape, dtype=torch.float64)
    value, curvature = projected_divergence(function, x, directions, index, 7)
    matrix = jacobian(function, x).detach()
    products = directions * (directions.flatten(1) @ matrix).view_as(directions)
    expected = torch.stack([ops.sum(product.sum(-1), index, 7) for product in products])
    assert_close(value, function(x).detach())
    assert_close(curvature, expected, rtol=1e-12, atol=1e-12)
    assert_close(projected_divergence(function, x, directions[2], index, 7)[1], expected[2], rtol=1e-12, atol=1e-12)


@pytest.mark.exact
@pytest.mark.parametrize("estimate", [False, True])
def test_gradients_flow_by_parameters_and_by_the_place(x, estimate):
    function, place = Coupled(INDEX), x.requires_grad_()
    directions = random_directions(x, INDEX, 7)[0]
    matrix = jacobian(function, place)
    if estimate:
        _, got = projected_divergence(function, place, directions, INDEX, 7, create_graph=True)
        expected = directions.flatten() @ matrix @ directions.flatten()
    else:
        _, got = divergence(function, place, INDEX, 7, create_graph=True)
        expected = matrix.trace()
    inputs = [function.matrix, place]
    assert_close(torch.autograd.grad(got.sum(), inputs), torch.autograd.grad(expected, inputs), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("projection", ["rademacher", "gaussian"])
def test_estimates_are_unbiased(x, projection):
    function, generator = Coupled(INDEX), torch.Generator().manual_seed(0)
    directions = random_directions(x, INDEX, 7, count=4000, projection=projection, generator=generator)
    estimates = projected_divergence(function, x, directions, INDEX, 7)[1]
    error = (estimates.mean(0) - divergence(function, x, INDEX, 7)[1]).abs()
    assert (error <= 4 * estimates.std(0) / 4000**0.5 + 1e-12).all()
    second_moment = torch.einsum("mri,mrj->rij", directions, directions) / 4000
    assert_close(second_moment, torch.eye(2).double().expand_as(second_moment), rtol=0, atol=0.1)


@pytest.mark.exact
def test_one_direction_of_signs_is_exact_where_the_jacobian_is_diagonal(x):
    directions = random_directions(x, INDEX, 7)
    assert set(directions.unique().tolist()) == {-1.0, 1.0}
    assert_close(projected_divergence(torch.sin, x, directions[0], INDEX, 7)[1], divergence(torch.sin, x, INDEX, 7)[1])


@pytest.mark.exact
def test_centered_functions_lose_one_dimension_of_each_graph(x):
    trace = divergence(lambda x: -ops.center(x, INDEX, 7), x, INDEX, 7)[1]
    assert_close(trace, -2.0 * (torch.tensor(SIZES) - 1).clamp(min=0).double())


def test_a_graphs_directions_are_its_own(x):
    together = random_directions(x, INDEX, 7, count=2, generator=GraphGenerator(range(7)))
    alone = random_directions(x[5:10], INDEX[5:10] * 0, 1, count=2, generator=GraphGenerator([4]))
    assert torch.equal(together[:, 5:10], alone)


def test_a_function_that_ignores_its_input_has_no_divergence(x):
    parameter = torch.ones_like(x).requires_grad_()
    for function in (torch.ones_like, lambda _: 2 * parameter):
        assert divergence(function, x, INDEX, 7)[1].tolist() == [0.0] * 7
        assert projected_divergence(function, x, torch.ones_like(x), INDEX, 7)[1].tolist() == [0.0] * 7


@pytest.mark.parametrize("create_graph", [False, True])
def test_works_without_gradients_and_changes_nothing(x, create_graph):
    before = x.clone()
    with torch.no_grad():
        results = divergence(Coupled(INDEX), x, INDEX, 7, create_graph)
    assert all(result.requires_grad == create_graph for result in results)
    assert torch.equal(x, before) and not x.requires_grad


def test_a_batch_without_rows_or_graphs():
    for num_graphs in (0, 3):
        x, index = torch.zeros(0, 2), torch.zeros(0, dtype=torch.long)
        assert divergence(torch.sin, x, index, num_graphs)[1].tolist() == [0.0] * num_graphs
        directions = random_directions(x, index, num_graphs)
        assert projected_divergence(torch.sin, x, directions, index, num_graphs)[1].shape == (1, num_graphs)


def test_bad_arguments_are_rejected(x):
    with pytest.raises(ValueError, match=r"must give rows of shape \[13, 2\], but gave \[13\]"):
        divergence(lambda x: x.sum(-1), x, INDEX, 7)
    with pytest.raises(ValueError, match="'rademacher' or 'gaussian', but is 'sphere'"):
        random_directions(x, INDEX, 7, projection="sphere")
    with pytest.raises(ValueError, match="0 were asked for"):
        random_directions(x, INDEX, 7, count=0)
