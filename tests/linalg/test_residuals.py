"""Conjugate residuals against direct solutions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from graphscore.linalg.residuals import conjugate_residuals

SIZES = (0, 4, 1, 0, 5, 3, 0)


def blocks(generator, rank=None, sizes=SIZES):
    """A symmetric matrix of one block for each graph."""
    parts = []
    for size in sizes:
        factor = torch.randn(size, min(size, rank or size), dtype=torch.float64, generator=generator)
        parts.append(factor @ factor.T + (0 if rank else 0.1) * torch.eye(size))
    return torch.block_diag(*parts)


INDEX = torch.repeat_interleave(torch.arange(7), torch.tensor(SIZES))


@pytest.mark.exact
def test_the_solver_ends_after_as_many_iterations_as_rows():
    generator = torch.Generator().manual_seed(0)
    matrix, target = blocks(generator), torch.randn(13, dtype=torch.float64, generator=generator)
    for iterations in (5, 50):  # and stays there
        solution = conjugate_residuals(lambda u: matrix @ u, target, INDEX, 7, iterations)
        assert_close(solution, torch.linalg.solve(matrix, target), rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("iterations", [1, 2, 3, 10, 100])
def test_the_solver_finds_least_squares_of_singular_systems(dtype, iterations):
    generator = torch.Generator().manual_seed(0)
    matrix, target = blocks(generator, rank=2), torch.randn(13, dtype=torch.float64, generator=generator)
    best = target - matrix @ torch.linalg.pinv(matrix, hermitian=True) @ target
    assert float(best.norm()) > 1  # no solution
    matrix, target = matrix.to(dtype), target.to(dtype)
    rest = target - matrix @ conjugate_residuals(lambda u: matrix @ u, target, INDEX, 7, iterations)
    assert float(rest.norm()) <= float(target.norm())
    if iterations > 1:
        assert_close(rest.double(), best, rtol=0, atol=1e-10 if dtype == torch.float64 else 1e-4)


def test_the_residual_never_grows_even_if_the_matrix_is_not_symmetric():
    generator = torch.Generator().manual_seed(0)
    matrix = blocks(generator) + torch.block_diag(*[torch.randn(n, n, generator=generator) for n in (4, 1, 5, 3)])
    target = torch.randn(13, 2, dtype=torch.float64, generator=generator)
    before = target.norm(dim=1).new_full((7,), math.inf)
    for iterations in range(1, 15):
        rest = target - matrix @ conjugate_residuals(lambda u: matrix @ u, target, INDEX, 7, iterations)
        after = torch.zeros(7).double().index_add(0, INDEX, rest.square().sum(1))
        assert (after <= before * (1 + 1e-12)).all()
        before = after


def test_the_solver_leaves_zeros_alone():
    solution = conjugate_residuals(lambda u: 2 * u, torch.zeros(13, 3), INDEX, 7, 5)
    assert torch.equal(solution, torch.zeros(13, 3))
