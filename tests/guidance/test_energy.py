from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from graphscore import ops, times
from graphscore.denoiser import DataAdapter
from graphscore.fields import Field
from graphscore.guidance import EnergyGuidance
from graphscore.process import ForwardProcess
from graphscore.samplers import HeunSampler
from graphscore.sdes import RectifiedSDE
from graphscore.testing import GaussianScore, observed_order

T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7], dtype=torch.float64)


def linear(batch):
    """``sum_i b_i . x_i``, with the numbers b in the attribute "mean" (any will do)."""
    return ops.sum((batch.pos * batch.mean).sum(-1), batch.batch, batch.num_graphs)


def springs(batch):
    """``1/2 sum_i || x_i - target_i ||^2`` over the known nodes."""
    difference = torch.where(batch.known[:, None], batch.pos - batch.target, 0.0)
    return ops.sum(difference.square().sum(-1) / 2, batch.batch, batch.num_graphs)


def tilted_mean(data, strength):
    """Gaussian data tilted by the linear energy keep their covariance, and have this mean."""
    return data.mean - data.covariance @ (strength * data.scale * data.batch.mean)


@pytest.mark.exact
@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("structured", [False, True])
def test_linear_energies_shift_the_mean_and_leave_the_covariance(gaussian_data, sde, zero_mean, structured):
    data = gaussian_data(sde, zero_mean=zero_mean, structured=structured)
    noisy = data.noisy(T)
    with torch.no_grad():
        x0_hat = EnergyGuidance(data.model, linear, strength=1.5)(noisy, T)["pos"]
    expected = data.posterior_mean(noisy.pos, T, tilted_mean(data, 1.5), data.covariance)
    assert_close(x0_hat, expected, rtol=0, atol=1e-10)
    assert_close(data.project(x0_hat), x0_hat, rtol=0, atol=1e-12)


@pytest.mark.exact
def test_samples_have_the_shifted_mean_and_the_same_covariance(gaussian_data, sde):
    data = gaussian_data(sde)
    model, steps = EnergyGuidance(data.model, linear, strength=1.5), [40, 80, 160]
    grids = [times.karras_grid(number, sde, start=0.9, end=1e-3) for number in steps]
    errors = [max(data.flow(HeunSampler(model, grid), tilted_mean(data, 1.5), data.covariance)) for grid in grids]
    assert errors[-1] < 1e-3
    assert observed_order(steps, errors) == pytest.approx(2, abs=0.2)


@pytest.mark.exact
@pytest.mark.parametrize("zero_mean", [False, True])
def test_the_error_of_weak_springs_is_of_second_order(gaussian_data, sde, zero_mean):
    data = gaussian_data(sde, zero_mean=zero_mean)
    noisy, weak = data.noisy(T), [0.04, 0.02, 0.01]
    observe = data.project(torch.diag(data.batch.known.double()).T).T

    def error(strength):
        x0_hat = EnergyGuidance(data.model, springs, strength)(noisy, T)["pos"]
        value = data.batch.target.nan_to_num() / data.scale
        exact = data.given(observe, value, 1 / (strength * data.scale**2))
        return float((x0_hat - data.posterior_mean(noisy.pos, T, *exact)).detach().norm())

    assert observed_order([1 / strength for strength in weak], [error(k) for k in weak]) == pytest.approx(2, abs=0.1)


@pytest.mark.exact
@pytest.mark.parametrize("structured", [False, True])
def test_the_cheap_covariance_is_exact_for_white_data_of_unit_variance(gaussian_data, sde, structured):
    data = gaussian_data(sde, structured=structured)
    unit, noisy = GaussianScore(data.process, "mean", 1.0), data.noisy(T)
    cheap, dear = (EnergyGuidance(unit, linear, through_network=through)(noisy, T)["pos"] for through in (False, True))
    assert_close(cheap, dear, rtol=0, atol=1e-12)
    assert not torch.allclose(cheap, unit(noisy, T)["pos"])


def test_steps_are_bounded_in_data_units(gaussian_data, sde):
    data = gaussian_data(sde, zero_mean=True)
    noisy = data.noisy(T)

    def step(max_step):
        guided = EnergyGuidance(data.model, linear, max_step=max_step)(noisy, T)["pos"].detach()
        return (guided - data.model(noisy, T)["pos"]) * data.scale

    far, near = step(None), step(0.05)
    assert float(far.norm(dim=1).max()) > 0.1
    assert float(near.norm(dim=1).max()) == pytest.approx(0.05)
    assert_close(data.project(near), near, rtol=0, atol=1e-12)
    assert_close(step(10.0), far)  # a bound that is not reached changes nothing
    directions = [torch.nn.functional.normalize(part.flatten(), dim=0) for part in (far[:4], near[:4])]
    assert_close(*directions, rtol=0, atol=1e-12)


def test_no_gradient_stays_behind_and_modules_are_registered(gaussian_data, sde):
    class Energy(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, batch):
            return self.weight * linear(batch)

    data = gaussian_data(sde)
    shift = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    inner = DataAdapter(lambda batch, t: batch.pos + shift, data.process)
    inner.shift = shift
    model = EnergyGuidance(inner, Energy())
    assert {name for name, _ in model.named_parameters()} == {"model.shift", "energy.weight"}
    noisy = data.noisy(T)
    with torch.no_grad():
        guided = model(noisy, T)["pos"]
    assert not guided.requires_grad and not noisy.pos.requires_grad
    assert shift.grad is None and model.energy.weight.grad is None
    assert model(noisy, T)["pos"].requires_grad  # where gradients are wanted, parameters have them


def test_energies_must_be_one_number_per_graph(gaussian_data, sde):
    data = gaussian_data(sde)
    noisy = data.noisy(T)
    for wrong in (lambda b: linear(b).sum(), lambda b: b.pos.sum(-1), lambda b: linear(b)[:, None]):
        with pytest.raises(ValueError, match=r"one number per graph, shape \[7\], but gave shape"):
            EnergyGuidance(data.model, wrong)(noisy, T)
    with pytest.raises(ValueError, match=r"does not depend on the fields \['pos'\]"):
        EnergyGuidance(data.model, lambda b: linear(b).detach())(noisy, T)


def test_models_that_stop_gradients_are_named(gaussian_data, sde):
    data = gaussian_data(sde)

    class Blocked(GaussianScore):
        def forward(self, batch, t):
            with torch.no_grad():
                return super().forward(batch, t)

    blocked = Blocked(data.process)
    with pytest.raises(ValueError, match="Blocked passes no gradient .* through_network=False"):
        EnergyGuidance(blocked, linear)(data.noisy(T), T)
    EnergyGuidance(blocked, linear, through_network=False)(data.noisy(T), T)


def test_bad_numbers_are_rejected(gaussian_data, sde):
    model = gaussian_data(sde).model
    for options in ({"strength": -1.0}, {"strength": math.inf}, {"strength": math.nan}, {"max_step": 0.0}):
        with pytest.raises(
            ValueError, match="EnergyGuidance: the strength must be finite and at least 0 and max_step pos"
        ):
            EnergyGuidance(model, linear, **options)


def test_the_derivative_is_not_asked_for_where_nothing_is_left_of_the_data():
    model = GaussianScore(ForwardProcess({Field("pos"): RectifiedSDE()}))
    grid = times.linear_grid(4)
    HeunSampler(EnergyGuidance(model, linear, through_network=False), grid)
    with pytest.raises(ValueError, match="EnergyGuidance divides by alpha"):
        HeunSampler(EnergyGuidance(model, linear), grid)
