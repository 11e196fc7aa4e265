from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import grad
from torch.testing import assert_close

from graphscore.nn import BesselBasis, CosineCutoff, ExpNormalBasis, GaussianBasis, PolynomialCutoff

BASES = (GaussianBasis, ExpNormalBasis, BesselBasis)
CUTOFFS = (CosineCutoff, PolynomialCutoff)


def column(*values: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype)[:, None].requires_grad_()


def derivatives(function, distance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Value and two derivatives of each output by its distance, ``[E, channels]`` each."""
    value = function(distance)
    first, second = torch.zeros_like(value), torch.zeros_like(value)
    for k in range(value.shape[1]):
        (slope,) = grad(value[:, k].sum(), distance, create_graph=True)
        (curvature,) = grad(slope.sum(), distance, retain_graph=True)
        first[:, k], second[:, k] = slope[:, 0].detach(), curvature[:, 0]
    return value.detach(), first, second


def test_gaussian_basis():
    output = GaussianBasis(6, stop=5.0).double()(torch.arange(6.0).double()[:, None])
    expected = torch.exp(-0.5 * (torch.arange(6.0)[:, None] - torch.arange(6.0)) ** 2).double()
    assert_close(output, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_gaussians_are_zero_and_near_ones_exact(dtype):
    distance = torch.linspace(0, 400, 4001, dtype=dtype)[:, None]
    found = GaussianBasis(16).to(dtype)(distance)
    exponent = (9 * (distance - torch.linspace(0, 5, 16, dtype=dtype)) ** 2) / 2
    limit = torch.finfo(dtype).tiny ** 0.5
    assert ((found == 0) | (found > limit)).all() and (found[exponent > 400] == 0).all()
    expected = torch.exp(-exponent.double())
    assert torch.allclose(found.double(), torch.where(expected > limit, expected, 0), rtol=1e-4, atol=1e-16)


def test_exp_normal_basis():
    """Each function has its maximum, 1, where the exponential meets its center; the first at 0, the last at the end."""
    basis = ExpNormalBasis(5, stop=3.0).double()
    centers = torch.linspace(1, math.exp(-5), 5).double()
    at = -centers.log() * 3 / 5
    assert_close(at[[0, -1]], torch.tensor([0.0, 3.0]).double(), rtol=0, atol=1e-6)
    expected = torch.exp(-(((centers[:, None] - centers) / (2 / 5 * (1 - math.exp(-5)))) ** 2))
    assert_close(basis(at[:, None]), expected, rtol=0, atol=1e-6)
    assert_close(basis(column(1e9)), basis(column(1e10)), rtol=0, atol=1e-12)


def test_exp_normal_basis_is_the_published_one_at_5():
    distance = torch.linspace(0, 6, 50).double()[:, None]
    start, count = math.exp(-5.0), 8
    beta = (2 / count * (1 - start)) ** -2
    expected = torch.exp(-beta * (torch.exp(-distance) - torch.linspace(start, 1, count).double()) ** 2)
    assert_close(ExpNormalBasis(count).double()(distance), expected.flip(1), rtol=0, atol=1e-6)


def test_bessel_basis():
    distance = torch.linspace(0.1, 8, 50).double()[:, None]
    n = torch.arange(1, 7)
    expected = math.sqrt(2 / 4) * torch.sin(n * math.pi * distance / 4) / distance
    basis = BesselBasis(6, cutoff=4.0).double()
    assert_close(basis(distance), expected, rtol=0, atol=1e-6)
    assert float(basis(column(4.0)).detach().abs().max()) < 1e-6


def test_bessel_basis_is_orthonormal_in_a_ball():
    distance = torch.linspace(0, 3, 6001).double()[:, None]
    values = BesselBasis(5, cutoff=3.0).double()(distance) * distance
    products = torch.trapezoid(values[:, :, None] * values[:, None], distance[:, :, None], dim=0)
    assert_close(products, torch.eye(5).double(), rtol=0, atol=1e-6)


def test_bessel_basis_near_zero():
    """To second order ``sqrt(2 / c) w (1 - (w d)^2 / 6)``, also where the square underflows."""
    basis = BesselBasis(4, cutoff=2.0).double()
    distance = column(0.0, 1e-300, 1e-12, 1e-8, 1e-5)
    value, slope, curvature = derivatives(basis, distance)
    w = basis.frequencies
    d = distance.detach()
    assert_close(value, (w * (1 - (w * d) ** 2 / 6)).expand_as(value), rtol=1e-12, atol=0)
    assert_close(slope, -(w**3) * d / 3, rtol=1e-8, atol=0)
    assert_close(curvature, (-(w**3) / 3).expand_as(curvature), rtol=1e-8, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bessel_basis_has_no_seam(dtype):
    """Where the series meets the sine, two derivatives agree."""
    basis = BesselBasis(1, cutoff=math.pi).to(dtype)
    parts = [torch.stack(derivatives(basis, column(d, dtype=dtype))) for d in (0.05 - 1e-6, 0.05 + 1e-6)]
    assert_close(parts[0], parts[1], rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-6)


def test_bessel_basis_is_exact_in_the_series_too():
    d = torch.linspace(0.03, 0.0499, 20).double()[:, None]
    basis = BesselBasis(1, cutoff=math.pi).double()
    assert_close(basis(d), math.sqrt(2 / math.pi) * d.sin() / d, rtol=1e-14, atol=0)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bases_are_finite_anywhere_with_two_derivatives(basis, dtype):
    distance = column(0.0, 1e-30, 1e-10, 1e-3, 0.049, 0.051, 1.0, 5.0, 7.0, 1e4, 1e12, dtype=dtype)
    for values in derivatives(basis(8).to(dtype), distance):
        assert values.shape == (11, 8) and values.dtype == dtype and values.isfinite().all()


@pytest.mark.parametrize("basis", BASES)
def test_bases_scale_with_their_length(basis):
    distance = torch.linspace(0, 9, 40).double()[:, None]
    one, three = basis(6, 1.0).double()(distance / 3), basis(6, 3.0).double()(distance)
    assert_close(one / one[0, 0], three / three[0, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("function", [*BASES, *CUTOFFS])
def test_shapes_and_constants(function):
    module = function()
    width = getattr(module, "channels", 1)
    assert not module.state_dict() and not list(module.parameters())
    assert module(torch.zeros(0, 1)).shape == (0, width) and module(torch.zeros(2, 3, 1)).shape == (2, 3, width)
    assert module.double()(torch.zeros(1, 1).double()).dtype == torch.float64


def test_cosine_cutoff():
    output = CosineCutoff(4.0)(column(0.0, 1.0, 2.0, 3.0, 4.0, 4.1, 1e6))
    expected = column(1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0.0, 0.0, 0.0)
    assert_close(output, expected)
    assert (output[4:] == 0).all()


@pytest.mark.parametrize("p", [2, 3, 6])
def test_polynomial_cutoff(p):
    x = torch.linspace(0, 1, 11, dtype=torch.float64)[:, None]
    # Its slope has a double zero at the cutoff, and a zero of order p - 1 at 0.
    fine = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    slope = -p * (p + 1) * (p + 2) / 2 * fine ** (p - 1) * (1 - fine) ** 2
    expected = 1 + torch.cumulative_trapezoid(slope, fine)[19_999::20_000]
    assert_close(PolynomialCutoff(3.0, p)(3 * x)[1:, 0], expected, rtol=0, atol=1e-9)
    assert float(PolynomialCutoff(3.0, p)(x[:1])) == 1


@pytest.mark.parametrize(("cutoff", "smooth"), [(CosineCutoff, 1), (PolynomialCutoff, 2)])
def test_cutoffs_end_smoothly(cutoff, smooth):
    values = derivatives(cutoff(3.0), column(3.0 - 1e-9, 3.0, 3.0 + 1e-9, 100.0))
    for order, value in enumerate(values):
        assert order > smooth or float(value.abs().max()) < 1e-7
        assert (value[2:] == 0).all()
    # The next derivative jumps.
    assert smooth == 2 or float(values[2][0]) > 0.1


@given(distance=st.floats(0, 1e6), more=st.floats(0, 10), length=st.floats(0.1, 100))
@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_cutoffs_fall_from_1_to_0(cutoff, distance, more, length):
    near, far = cutoff(length)(column(distance, distance + more)).flatten().tolist()
    assert -1e-12 <= far <= near + 1e-12 <= 1 + 2e-12
    assert cutoff(length)(column(0.0)) == 1


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_no_cutoff(cutoff):
    value, slope, curvature = derivatives(cutoff(math.inf), column(0.0, 1.0, 1e12))
    assert (value == 1).all() and (slope == 0).all() and (curvature == 0).all()


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("arguments", [(0, 5.0), (4, 0.0), (4, -1.0), (4, math.inf)])
def test_bad_bases_are_rejected(basis, arguments):
    with pytest.raises(ValueError, match=rf"{basis.__name__}: needs channels >= \d and a finite \w+ > 0, but got"):
        basis(*arguments)


@pytest.mark.parametrize("cutoff", CUTOFFS)
@pytest.mark.parametrize("length", [0.0, -1.0, math.nan])
def test_bad_cutoffs_are_rejected(cutoff, length):
    with pytest.raises(ValueError, match="cutoff"):
        cutoff(length)


def test_bad_exponents_are_rejected():
    with pytest.raises(ValueError, match="exponent >= 2, but got"):
        PolynomialCutoff(exponent=1)
