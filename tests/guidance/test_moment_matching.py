"""Restraints of linear residuals against Gaussian conditioning."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from graphscore import times
from graphscore.denoiser import ScoreModel
from graphscore.fields import Field, replace
from graphscore.guidance import HarmonicRestraint
from graphscore.process import ForwardProcess
from graphscore.samplers import HeunSampler
from graphscore.sdes import VESDE
from graphscore.testing import GaussianScore, observed_order, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7], dtype=torch.float64)


@pytest.mark.exact
@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("strength", [0.7, math.inf])
def test_a_linear_restraint_is_gaussian_conditioning(gaussian_data, sde, zero_mean, structured, strength):
    """The posterior mean of data that are conditioned first and diffused then, at every noise level."""
    data = gaussian_data(sde, zero_mean=zero_mean, structured=structured)
    model = HarmonicRestraint(data.model, "pos", "known", "target", strength, num_iterations=12)
    noisy = data.noisy(T)
    # A strength in 1 / unit^2 is one of strength * scale^2 in units of the scale.
    moments = data.given(*data.known_rows(), 1 / (strength * data.scale**2))
    with torch.no_grad():
        x0_hat = model(noisy, T)["pos"]
    assert_close(x0_hat, data.posterior_mean(noisy.pos, T, *moments), rtol=0, atol=1e-9)
    assert float((x0_hat - data.model(noisy, T)["pos"]).abs().max()) > 0.1


@pytest.mark.exact
@pytest.mark.parametrize(("zero_mean", "strength"), [(False, 0.7), (True, math.inf)])
def test_samples_have_the_conditional_mean_and_covariance(gaussian_data, zero_mean, strength):
    sde = VESDE()
    data = gaussian_data(sde, zero_mean=zero_mean)
    model = HarmonicRestraint(data.model, "pos", "known", "target", strength, num_iterations=5)
    moments = data.given(*data.known_rows(), 1 / (strength * data.scale**2))
    steps = [20, 40, 80]
    grids = [times.karras_grid(number, sde, end=1e-3) for number in steps]
    errors = [max(data.flow(HeunSampler(model, grid), *moments)) for grid in grids]
    assert errors[-1] < 1e-3
    assert observed_order(steps, errors) == pytest.approx(2, abs=0.2)


@pytest.mark.exact
@pytest.mark.parametrize("strength", [0.7, math.inf])
def test_the_cheap_covariance_is_exact_for_white_data_of_unit_variance(gaussian_data, sde, strength):
    data = gaussian_data(sde)
    unit = GaussianScore(data.process, "mean", 1.0)
    models = [
        HarmonicRestraint(unit, "pos", "known", "target", strength, 1, through_network=through)
        for through in (False, True)
    ]
    noisy = data.noisy(T)
    cheap, dear = (model(noisy, T)["pos"] for model in models)
    assert_close(cheap, dear, rtol=0, atol=1e-12)
    assert not torch.allclose(cheap, unit(noisy, T)["pos"])


class CorrelatedFields(ScoreModel):
    """Two fields, of which each node's numbers are correlated: covariance [[1, r], [r, 1]]."""

    correlation = 0.8

    def forward(self, batch, t):
        fields = list(self.process)
        alpha, std = (
            torch.stack([function(sde, t)[batch.batch] for _, sde in fields], 1)
            for function in (lambda sde, t: sde.alpha(t), lambda sde, t: sde.std(t))
        )
        prior = torch.tensor([[1.0, self.correlation], [self.correlation, 1.0]], dtype=torch.float64)
        seen = alpha[:, :, None] * prior * alpha[:, None, :] + torch.diag_embed(std**2)
        gain = prior * alpha[:, None, :] @ torch.linalg.inv(seen)
        values = torch.stack([batch[field.name] for field, _ in fields], 1)
        mean = gain @ values
        return {field.name: mean[:, number] for number, (field, _) in enumerate(fields)}


@pytest.mark.exact
def test_what_is_known_of_one_field_moves_the_others(vp):
    process = ForwardProcess({Field("a", scale=2.0): vp, Field("b", scale=0.5): VESDE()})
    model = CorrelatedFields(process)
    batch = ragged_batch()
    generator = torch.Generator().manual_seed(0)
    a, b, target = torch.randn(3, 13, 1, dtype=torch.float64, generator=generator)
    batch = replace(batch, {"a": a, "b": b, "target": 2.0 * target, "all": torch.ones(13, dtype=torch.bool)})
    x0_hat = HarmonicRestraint(model, "a", "all", "target", math.inf)(batch, T)
    # Given x0 of a, b is N(r a, 1 - r^2) before its own noisy value is seen.
    std, rest = VESDE().std(T)[batch.batch, None], 1 - 0.8**2
    expected = (0.8 * target * std**2 + b * rest) / (rest + std**2)
    assert_close(x0_hat, {"a": target, "b": expected}, rtol=0, atol=1e-10)


@pytest.mark.parametrize("through_network", [True, False])
def test_steps_are_bounded_and_keep_the_mean(gaussian_data, sde, through_network):
    data = gaussian_data(sde, zero_mean=True)
    noisy = data.noisy(T)

    def steps(max_step):
        model = HarmonicRestraint(data.model, "pos", "known", "target", 5.0, 8, through_network, max_step)
        step = (model(noisy, T)["pos"].detach() - data.model(noisy, T)["pos"]) * data.scale
        return step, torch.stack([part.norm(dim=1).amax() for part in step.split(SIZES) if len(part) > 1])

    _, longest = steps(None)
    limit = float(longest.mean())
    assert (longest > limit).any() and (longest < limit).any()
    near, bound = steps(limit)
    assert_close(bound, longest.clamp(max=limit), rtol=0, atol=1e-12)
    assert_close(data.project(near), near, rtol=0, atol=1e-12)
