from __future__ import annotations

import math

import mpmath
import pytest
import torch
from torch.testing import assert_close

from graphscore.fields import wrap
from graphscore.sdes import wrapped_normal

pytestmark = pytest.mark.exact

ANGLES = (0.0, 1e-8, 1e-3, 0.5, 1.0, 2.0, 2.9, 3.1, 3.1415, -3.141592, -math.pi)
WIDTHS = (1e-3, 0.01, 0.1, 0.3, 0.7, 1.0, 1.5, 1.999999, 2.0, 2.000001, 2.5, 3.0, 4.0, 5.0)


def column(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def exactly(x: float, std: float):
    """Log-density, score and its derivative with 50 digits, from far more images than needed."""
    with mpmath.workdps(50):
        angle, variance = mpmath.mpf(x), mpmath.mpf(std) ** 2
        images = [angle + 2 * mpmath.pi * k for k in range(-12, 13)]
        weights = [mpmath.exp(-(image**2) / (2 * variance)) for image in images]
        total = mpmath.fsum(weights)
        mean, square = (
            mpmath.fsum(w * image**power for w, image in zip(weights, images, strict=True)) / total for power in (1, 2)
        )
        log = mpmath.log(total / mpmath.sqrt(2 * mpmath.pi * variance))
        return float(log), float(-mean / variance), float((square - mean**2) / variance**2 - 1 / variance)


@pytest.mark.parametrize("std", WIDTHS)
def test_density_and_score_are_exact_to_rounding_in_both_series(std):
    """Up to the rounding of the angle itself, by which the score near the antipode changes a lot."""
    log, score = (f(column(ANGLES), column(std)) for f in (wrapped_normal.log_density, wrapped_normal.score))
    largest = 3 * float(wrapped_normal.score_variance(column(std))) ** 0.5
    for x, found_log, found_score in zip(ANGLES, log.tolist(), score.tolist(), strict=True):
        exact_log, exact_score, slope = exactly(x, std)
        assert found_log == pytest.approx(exact_log, rel=5e-16, abs=1e-15)
        assert abs(found_score - exact_score) <= 5e-16 * (math.pi * abs(slope) + largest)


@pytest.mark.parametrize("std", [0.1, 0.349, 0.351, 0.5, 1.0, 1.99, 2.01, 3.0, 5.0])
def test_mean_squared_score_is_its_integral(std):
    def integrand(x):
        log, score, _ = exactly(x, std)
        return math.exp(log) * score**2

    exact = 2 * mpmath.quad(integrand, mpmath.linspace(0, math.pi, 9))
    assert float(wrapped_normal.score_variance(column(std))) == pytest.approx(float(exact), rel=1e-13)


def test_limits_of_narrow_and_wide_distributions():
    std = column([1e-5, 0.1, 5.0, 5.5])
    exact = torch.cat([1 / std[:2] ** 2, 2 * (-(std[2:] ** 2)).exp()])
    assert_close(wrapped_normal.score_variance(std), exact, rtol=1e-10, atol=0)
    assert_close(wrapped_normal.score(column([0.3, -0.2]), column(0.1)), column([-30, 20]), rtol=1e-14, atol=0)


@pytest.mark.parametrize("std", [0.05, 0.8, 2.0, 2.1, 4.0])
def test_score_is_the_derivative_and_the_density_is_normal(std):
    x = torch.linspace(-7, 7, 40, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(wrapped_normal.log_density(x, column(std)).sum(), x)
    assert_close(wrapped_normal.score(x.detach(), column(std)), gradient, rtol=1e-10, atol=1e-10)
    circle = torch.arange(4000, dtype=torch.float64) * (2 * math.pi / 4000)
    density = wrapped_normal.log_density(circle, column(std)).exp()
    assert float(density.sum()) * 2 * math.pi / 4000 == pytest.approx(1, rel=1e-13)


def test_angles_in_range_stay_the_same_to_the_bit_and_others_lose_full_turns():
    inside = torch.linspace(-math.pi, 3.1415926, 1001, dtype=torch.float64)
    assert torch.equal(wrap(inside), inside)
    assert_close(wrap(inside + 6 * math.pi), inside, atol=1e-14, rtol=0)
    assert_close(wrap(inside - 4 * math.pi), inside, atol=1e-14, rtol=0)
    assert float(wrap(column(math.pi))) == -math.pi
