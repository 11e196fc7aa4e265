"""What holds for every noise process: those of the registry, and two that are given by alpha and std alone."""

from __future__ import annotations

import itertools
import math

import pytest
import scipy.integrate
import torch
from torch.testing import assert_close

from graphscore import sdes
from graphscore.sdes import SDE, SDES, VESDE

T = torch.tensor([1e-9, 1e-5, 1e-3, 0.03, 0.2, 0.5, 0.77, 0.999, 1.0], dtype=torch.float64)


class PlainVE(SDE):
    """The process of ``VESDE`` without its closed forms."""

    def alpha(self, t):
        return VESDE().alpha(t)

    def std(self, t):
        return VESDE().std(t)


@pytest.fixture(params=[*SDES, "plain-ve", "linear-vp"])
def sde(request, vp) -> SDE:
    return {"plain-ve": PlainVE(), "linear-vp": vp}.get(request.param) or SDES[request.param]()


def test_a_process_says_how_to_make_it_again(sde):
    again = eval(repr(sde), vars(sdes) | {type(sde).__name__: type(sde)})
    assert type(again) is type(sde) and torch.equal(again.level(T), sde.level(T))


def test_the_process_starts_at_the_data_and_noise_rises(sde):
    assert_close(sde.alpha(T[:1]), torch.ones(1).double(), rtol=0, atol=1e-8)
    assert sde.std(T[0]) < 1e-4 and (sde.std(T).diff() > 0).all() and (sde.level(T).diff() > 0).all()


FUNCTIONS = ["alpha", "std", "level", "drift_rate", "diffusion", "time"]


def test_any_shape_in_float64_out(sde):
    for name, shape, dtype in itertools.product(FUNCTIONS, [(), (3,), (2, 3), (0,)], [torch.float32, torch.float64]):
        result = getattr(sde, name)(torch.full(shape, 0.5, dtype=dtype))
        assert result.shape == shape and result.dtype == torch.float64 and result.isfinite().all(), (name, dtype)


def test_expanded_times(sde):
    """Samplers give all graphs of a batch the same time, as a view of one number."""
    t = torch.tensor(0.3, dtype=torch.float64)
    for function in (getattr(sde, name) for name in FUNCTIONS):
        assert_close(function(t.expand(4)), function(t).repeat(4), rtol=1e-15, atol=0)


def test_time_inverts_level(sde):
    assert_close(sde.time(sde.level(T[1:])), T[1:], rtol=1e-12, atol=0)


def test_closed_forms_equal_the_derived_ones(sde):
    assert_close(sde.drift_rate(T), SDE.drift_rate(sde, T), rtol=1e-12, atol=1e-14)
    assert_close(sde.diffusion(T), SDE.diffusion(sde, T), rtol=1e-9, atol=0)
    assert_close(sde.level(T), SDE.level(sde, T), rtol=1e-12, atol=0)
    # Bisection knows a time to 2^-61, absolutely.
    assert_close(sde.time(sde.level(T)), SDE.time(sde, sde.level(T)), rtol=1e-12, atol=2.0**-60)


def test_derived_forms_of_the_variance_preserving_process(vp):
    beta = 0.1 + 19.9 * T
    assert_close(vp.drift_rate(T), -beta / 2, rtol=1e-12, atol=0)
    assert_close(vp.diffusion(T), beta.sqrt(), rtol=1e-7, atol=0)
    assert_close(vp.alpha(T) ** 2 + vp.std(T) ** 2, torch.ones(len(T)).double())


@pytest.mark.parametrize("s, t", [(1e-6, 0.3), (0.1, 0.2), (0.2, 0.9), (0.5, 1.0)])
def test_drift_and_diffusion_integrate_to_the_kernel(sde, s, t):
    """From time s to t: ``std_t^2 = (alpha_t/alpha_s)^2 std_s^2 + int (alpha_t/alpha_u)^2 g(u)^2 du``."""
    t = min(t, sde.max_time)

    def at(function, u):
        return float(function(torch.tensor(u, dtype=torch.float64)))

    drift = scipy.integrate.quad(lambda u: at(sde.drift_rate, u), s, t, epsabs=1e-13)[0]
    assert math.log(at(sde.alpha, t) / at(sde.alpha, s)) == pytest.approx(drift, abs=1e-12)
    added = scipy.integrate.quad(
        lambda u: (at(sde.alpha, t) / at(sde.alpha, u) * at(sde.diffusion, u)) ** 2, s, t, epsrel=1e-11
    )[0]
    kept = (at(sde.alpha, t) / at(sde.alpha, s) * at(sde.std, s)) ** 2
    assert at(sde.std, t) ** 2 == pytest.approx(kept + added, rel=1e-9)


def test_the_kernel_equals_simulated_forward_paths(sde):
    """Euler-Maruyama of ``dx = f x dt + g dw``: 5000 paths, whose variance has a relative standard error of 2 %."""
    paths, steps, x0 = 5000, 2000, 1.7
    generator = torch.Generator().manual_seed(0)
    end = 1.0 if sde.max_time == 1 else 0.9  # where the drift has a pole at time 1, steps there would be too long
    grid = torch.linspace(0, end, steps + 1, dtype=torch.float64).clamp(min=1e-12)
    middle, dt = (grid[1:] + grid[:-1]) / 2, grid.diff()
    drift, diffusion = sde.drift_rate(middle) * dt, sde.diffusion(middle) * dt.sqrt()
    x = torch.full((paths,), x0, dtype=torch.float64)
    for step in range(steps):
        x = x + drift[step] * x + diffusion[step] * torch.randn(paths, dtype=torch.float64, generator=generator)
        if step + 1 in (steps // 5, steps // 2, steps):
            t = grid[step + 1]
            mean, std = float(sde.alpha(t)) * x0, float(sde.std(t))
            assert float(x.mean()) == pytest.approx(mean, abs=4 * std / paths**0.5)
            assert float(x.var()) == pytest.approx(std**2, rel=4 * (2 / paths) ** 0.5)


@pytest.mark.parametrize("s, t", [(1e-6, 0.3), (0.2, 0.9), (0.5, 1.0)])
def test_transitions_compose_to_the_kernel(sde, s, t):
    s, t = (torch.tensor([time], dtype=torch.float64) for time in (s, t))
    scale, added = sde.transition(s, t)
    assert_close(scale * sde.alpha(s), sde.alpha(t), rtol=1e-12, atol=0)
    assert_close((scale * sde.std(s)) ** 2 + added**2, sde.std(t) ** 2, rtol=1e-12, atol=0)
    assert_close(sde.transition(t, t)[1], torch.zeros(1).double(), rtol=0, atol=1e-7 * float(sde.std(t)))


def test_rates_are_derivatives(sde):
    """Against central differences of 5 digits, away from the root at 0."""
    t = torch.tensor([0.1, 0.3, 0.6, 0.9], dtype=torch.float64)
    for name in ("alpha", "std"):
        function, rate = getattr(sde, name), getattr(sde, f"{name}_rate")
        assert_close(rate(t), (function(t + 1e-5) - function(t - 1e-5)) / 2e-5, rtol=1e-6, atol=1e-6)
        assert rate(torch.ones(1)).isfinite().all()


def test_drift_keeps_type_and_takes_one_time_per_row(sde):
    x, t = torch.randn(4, 2), torch.tensor([0.1, 0.2, 0.5, 0.9])
    drift = sde.drift(x, t)
    assert drift.dtype == x.dtype
    assert_close(drift, torch.stack([float(sde.drift_rate(t[i])) * x[i] for i in range(4)]))


def test_prior_std_is_that_of_time_one(sde):
    assert sde.prior_std() == float(sde.std(torch.ones(()).double()))
