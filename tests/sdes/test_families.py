"""Constants and digits of the single families."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from torch.testing import assert_close

from graphscore.sdes import EDMSDE, VPSDE, CosineVPSDE, GeometricVESDE, RectifiedSDE, SubVPSDE

TIMES = [1e-12, 1e-9, 1e-6, 1e-3, 0.03, 0.3, 0.77, 0.999]


def integral(t):
    return mpmath.mpf("0.1") * t + mpmath.mpf("19.9") * t**2 / 2


def theta(t):
    return mpmath.pi / 2 * (t + mpmath.mpf("0.008")) / mpmath.mpf("1.008")


STDS = {
    "geometric": (GeometricVESDE(), lambda t: mpmath.sqrt(mpmath.expm1(2 * t * mpmath.log(5000))) / 100),
    "vp": (VPSDE(), lambda t: mpmath.sqrt(-mpmath.expm1(-integral(t)))),
    "sub-vp": (SubVPSDE(), lambda t: -mpmath.expm1(-integral(t))),
    "cosine": (CosineVPSDE(), lambda t: mpmath.sqrt(1 - (mpmath.cos(theta(t)) / mpmath.cos(theta(0))) ** 2)),
}


@pytest.mark.exact
@pytest.mark.parametrize("name", STDS)
def test_std_has_all_digits_at_all_times(name):
    """Against 60 digits; the plain formulas lose half of theirs in float64 at t = 1e-8."""
    sde, formula = STDS[name]
    with mpmath.workdps(60):
        exact = [float(formula(mpmath.mpf(t))) for t in TIMES]
    std = sde.std(torch.tensor(TIMES, dtype=torch.float64))
    assert_close(std, torch.tensor(exact, dtype=torch.float64), rtol=1e-13, atol=0)


@pytest.mark.parametrize("sde", [VPSDE(), CosineVPSDE(), CosineVPSDE(offset=0.0)], ids=repr)
def test_variance_is_preserved(sde):
    t = torch.tensor(TIMES, dtype=torch.float64)
    assert_close(sde.alpha(t) ** 2 + sde.std(t) ** 2, torch.ones_like(t), rtol=1e-14, atol=0)


def test_sub_variance_lies_below():
    t = torch.tensor(TIMES, dtype=torch.float64)
    assert (SubVPSDE().std(t) <= VPSDE().std(t)).all()
    assert_close(SubVPSDE().std(t), VPSDE().std(t) ** 2, rtol=1e-12, atol=0)


def test_ends():
    one = torch.ones(1, dtype=torch.float64)
    assert float(GeometricVESDE(0.01, 50.0).std(one)) == pytest.approx(50, rel=1e-7)
    assert float(EDMSDE(80.0).std(one / 2)) == 40
    assert float(CosineVPSDE(0.0).alpha(one / 2)) == pytest.approx(math.sqrt(0.5))
    for sde in (CosineVPSDE(), RectifiedSDE()):
        assert 0 < float(sde.alpha(one)) < 1e-11 and float(sde.std(one)) == pytest.approx(1)
    t = torch.tensor([0.2, 0.7]).double()
    assert_close(RectifiedSDE().alpha(t) + RectifiedSDE().std(t), torch.ones(2).double())


def test_the_sign_of_the_drift_is_that_of_decay():
    t = torch.tensor([0.3, 0.9]).double()
    for sde in (VPSDE(), SubVPSDE(), CosineVPSDE(), RectifiedSDE()):
        assert (sde.drift_rate(t) < 0).all(), sde
    for sde in (GeometricVESDE(), EDMSDE()):
        assert (sde.drift_rate(t) == 0).all(), sde


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: GeometricVESDE(0.0, 1.0), "0 < sigma_min < sigma_max"),
        (lambda: GeometricVESDE(2.0, 1.0), "0 < sigma_min < sigma_max"),
        (lambda: EDMSDE(-1.0), "sigma_max must be positive"),
        (lambda: VPSDE(0.0, 20.0), "VPSDE: needs 0 < beta_min <= beta_max"),
        (lambda: SubVPSDE(5.0, 1.0), "SubVPSDE: needs 0 < beta_min <= beta_max"),
        (lambda: CosineVPSDE(-0.1), "offset must be finite and at least 0"),
    ],
)
def test_bad_constants_are_rejected(make, match):
    with pytest.raises(ValueError, match=match):
        make()
