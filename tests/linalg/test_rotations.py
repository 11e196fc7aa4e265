"""Random rotations against the Haar measure."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from graphscore.linalg.rotations import random_rotations

MANY = 40_000


@pytest.fixture(scope="module", params=[(2, False), (2, True), (3, False), (3, True), (4, False)], ids=str)
def sample(request):
    dim, reflections = request.param
    generator = torch.Generator().manual_seed(0)
    return dim, reflections, random_rotations(MANY, dim, reflections=reflections, generator=generator)


@pytest.mark.exact
def test_matrices_are_orthogonal_and_proper_unless_reflections_are_asked_for(sample):
    dim, reflections, matrices = sample
    assert matrices.dtype == torch.float64
    assert_close(matrices @ matrices.mT, torch.eye(dim).double().expand_as(matrices), rtol=0, atol=1e-12)
    share = float((torch.linalg.det(matrices) < 0).double().mean())
    assert share == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(MANY)) if reflections else share == 0


@pytest.mark.exact
def test_moments_are_those_of_the_haar_measure(sample):
    """Up to the fourth: ``E r_ij = 0``, ``E r_ij r_kl = δ_ik δ_jl / D``, and products of squares (Weingarten)."""
    dim, reflections, matrices = sample
    flat, error = matrices.flatten(1), 5 / math.sqrt(MANY)
    assert flat.mean(0).abs().max() < error
    products = flat.T @ flat / MANY
    if dim == 2 and not reflections:  # r_11 = r_22 and r_12 = -r_21
        angle = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
        assert stats.kstest(angle.numpy(), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3
        return
    assert_close(products, torch.eye(dim * dim).double() / dim, rtol=0, atol=error)
    squares = (flat**2).T @ flat**2 / MANY
    same, line = 3 / (dim * (dim + 2)), 1 / (dim * (dim + 2))
    other = (dim + 1) / (dim * (dim - 1) * (dim + 2))
    row, column = torch.arange(dim * dim) // dim, torch.arange(dim * dim) % dim
    in_line = (row[:, None] == row) | (column[:, None] == column)
    expected = torch.where(in_line, line, other).fill_diagonal_(same).double()
    assert_close(squares, expected, rtol=0, atol=error)


@pytest.mark.exact
def test_angles_of_rotations_in_space_have_the_density_of_the_haar_measure():
    matrices = random_rotations(MANY, 3, generator=torch.Generator().manual_seed(1))
    angle = ((matrices.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1).acos()
    assert stats.kstest(angle.numpy(), lambda a: (a - np.sin(a)) / math.pi).pvalue > 1e-3
