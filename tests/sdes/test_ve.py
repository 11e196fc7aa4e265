from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
import torch
from torch.testing import assert_close

from graphscore.sdes import VESDE


@pytest.mark.parametrize("sigma", [1.5, 25.0, 500.0])
def test_std_has_all_digits_at_all_times(sigma):
    """Against 60 digits; computed as ``sigma ** (2 t) - 1`` in float64, half the digits are lost at t = 1e-8."""
    times = [10.0**e for e in range(-12, 1)] + [0.3, 0.77]
    with localcontext() as context:
        context.prec = 60
        log = Decimal(sigma).ln()
        exact = [float((((2 * Decimal(t) * log).exp() - 1) / (2 * log)).sqrt()) for t in times]
    std = VESDE(sigma).std(torch.tensor(times, dtype=torch.float64))
    assert_close(std, torch.tensor(exact, dtype=torch.float64), rtol=1e-14, atol=0)


def test_small_noise_is_brownian():
    assert float(VESDE().std(torch.tensor(1e-12).double())) == pytest.approx(1e-6, rel=1e-10)


def test_the_constants_of_the_tutorial():
    sde = VESDE(25.0)
    assert sde.prior_std() == pytest.approx(math.sqrt((25**2 - 1) / (2 * math.log(25))), rel=1e-14)
    assert float(sde.diffusion(torch.tensor(0.5).double())) == pytest.approx(5, rel=1e-14)
    assert repr(sde) == "VESDE(sigma=25.0)"


def test_times_in_float32_lose_nothing_more():
    t = torch.tensor([1e-7, 1e-3, 0.5])
    assert torch.equal(VESDE().std(t), VESDE().std(t.double()))


def test_time_inverts_the_smallest_levels():
    t = torch.tensor([1e-15, 1e-12, 1e-9, 1.0], dtype=torch.float64)
    assert_close(VESDE().time(VESDE().level(t)), t, rtol=1e-14, atol=0)


@pytest.mark.parametrize("sigma", [1.0, 0.5, -3.0, math.inf, math.nan])
def test_bad_sigmas_are_rejected(sigma):
    with pytest.raises(ValueError, match="sigma"):
        VESDE(sigma)
