"""Langevin steps: their bias is known exactly for Gaussians."""

from __future__ import annotations

import math

import pytest
import torch

from graphscore import times
from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import AnnealedLangevinSampler, PredictorCorrectorSampler
from graphscore.samplers.predictor_corrector import PREDICTORS
from graphscore.samplers.stochastic import langevin_step
from graphscore.sdes import SDES, VESDE
from graphscore.testing import GaussianScore, ragged_batch

PROCESSES = [name for name in SDES if name != "harmonic"]


def gaussian(process: str = "ve") -> GaussianScore:
    return GaussianScore(ForwardProcess({Field("pos"): SDES[process]()}), std=0.5)


class OneDraw(GraphGenerator):
    """Noise whose draw number ``which`` is 1, and all others 0: reads off the coefficients of a step."""

    def __init__(self, which: int) -> None:
        super().__init__([])
        self.which = which

    def randn(self, index, num_graphs, width, dtype):
        self.num_draws += 1
        return torch.full((len(index), width), float(self.num_draws - 1 == self.which), dtype=dtype)


def coefficients(step) -> tuple[float, float]:
    """A step ``x -> keep x + N(0, spread)`` of one number."""
    batch, counter = ragged_batch([1], dim=1), OneDraw(-1)
    keep = float(step(replace(batch, {"pos": torch.ones_like(batch.pos)}), counter).pos)
    zero = replace(batch, {"pos": torch.zeros_like(batch.pos)})
    return keep, sum(float(step(zero, OneDraw(draw)).pos) ** 2 for draw in range(counter.num_draws))


@pytest.mark.exact
@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("snr", [0.4, 0.2, 0.1, 0.05])
def test_bias_falls_with_the_square_of_snr(snr, process):
    """Langevin steps of size a settle at the variance ``v / (1 - a / (2 v))``, with ``a = 2 (snr std)^2``."""
    model, t = gaussian(process), torch.tensor([0.7]).double()
    ((field, sde),) = model.process
    v = float(model.marginal_std(field, t)) ** 2
    keep, spread = coefficients(lambda batch, generator: langevin_step(model, batch, t, snr, generator))
    bias = (snr * float(sde.std(t))) ** 2 / v
    assert spread / (1 - keep**2) == pytest.approx(v / (1 - bias), rel=1e-12)


@pytest.mark.exact
@pytest.mark.parametrize("predictor", ["euler-maruyama", "reverse-diffusion"])
def test_corrections_mend_what_the_predictor_gets_wrong(predictor):
    """The point of the method: with few steps, Euler-Maruyama alone ends far too wide."""
    sde, model = VESDE(), gaussian()
    grid = times.karras_grid(60, sde, end=1e-3)

    def error(sampler):
        variance = float(model.marginal_std(model.fields["pos"], grid[0])) ** 2
        for t, s in zip(grid[:-1].split(1), grid[1:].split(1), strict=True):
            keep, spread = coefficients(lambda b, g, t=t, s=s: sampler.step(model, b, t, s, None, g)[0])
            variance = keep**2 * variance + spread
        return abs(variance / float(model.marginal_std(model.fields["pos"], grid[-1])) ** 2 - 1)

    mended = PredictorCorrectorSampler(model, grid, num_corrections=2, predictor=predictor)
    assert error(mended) < error(PREDICTORS[predictor](model, grid)) / 2


@pytest.mark.exact
@pytest.mark.parametrize("process", PROCESSES)
def test_from_level_to_level_samples_are_scaled_as_the_data_are(process):
    """Where all data are one point m and nothing is drawn, ``alpha m`` stays ``alpha m``."""
    sde = SDES[process]()
    model, grid = GaussianScore(ForwardProcess({Field("pos"): sde}), mean=2.0, std=0.0), times.linear_grid(3, start=0.9)
    sampler, batch = AnnealedLangevinSampler(model, grid), ragged_batch([1], dim=1)
    start = replace(batch, {"pos": torch.full_like(batch.pos, 2 * float(sde.alpha(grid[0])))})
    end = sampler.integrate(start, OneDraw(-1)).batch.pos
    assert float(end) == pytest.approx(2 * float(sde.alpha(grid[-1])), rel=1e-12)


@pytest.mark.parametrize("options", [{"snr": 0.0}, {"snr": -1.0}, {"num_corrections": 0}])
@pytest.mark.parametrize("sampler", [PredictorCorrectorSampler, AnnealedLangevinSampler])
def test_bad_options_are_rejected(sampler, options):
    with pytest.raises(ValueError, match="must be positive"):
        sampler(gaussian(), times.linear_grid(3), **options)


def test_an_unknown_predictor_is_rejected():
    with pytest.raises(ValueError, match=r"Unknown predictor 'heun'; expected one of \['euler-maruyama', 'reverse"):
        PredictorCorrectorSampler(gaussian(), times.linear_grid(3), predictor="heun")


def test_corrections_use_the_noise_of_their_own_draws():
    """Predictor and corrector draw in turn: no number is used twice."""
    generator = GraphGenerator(range(7))
    PredictorCorrectorSampler(gaussian(), times.linear_grid(6), num_corrections=2)(ragged_batch(), generator)
    assert generator.num_draws == 1 + 6 * 3  # the prior, and in each step one predictor and two corrections


def test_pure_noise_is_no_obstacle_with_a_predictor_that_starts_there():
    process = ForwardProcess({Field("pos", width=3): SDES["rectified"]()})
    sampler = PredictorCorrectorSampler(GaussianScore(process), torch.tensor([1.0, 0.5]), predictor="reverse-diffusion")
    assert sampler(ragged_batch(), GraphGenerator(range(7))).batch.pos.isfinite().all()


@pytest.mark.exact
@pytest.mark.parametrize(("process", "std"), [("ve", 1.0), ("vp", 0.1), ("edm", 0.5)])
@pytest.mark.parametrize("steps", [1, 40, 200])
def test_annealed_langevin_keeps_the_width_of_gaussian_data(steps, std, process):
    """Its moments, exactly: on every grid, of one step or 200, and for data of any width."""
    sde = SDES[process]()
    model = GaussianScore(ForwardProcess({Field("pos"): sde}), std=std)
    start, end = sde.time(torch.tensor([9.5, 3e-3], dtype=torch.float64)).tolist()
    sampler = AnnealedLangevinSampler(model, times.karras_grid(steps, sde, start=start, end=end))
    # It is linear in its draws: a copy of one number for each draw, and one for the start.
    counter = OneDraw(-1)
    sampler.integrate(ragged_batch([1], dim=1), counter)
    batch = ragged_batch([1] * (counter.num_draws + 1), dim=1)

    class EachItsOwn(OneDraw):
        def randn(self, index, num_graphs, width, dtype):
            self.num_draws += 1
            return (index == self.num_draws - 1).to(dtype)[:, None]

    start_std = model.marginal_std(model.fields["pos"], sampler.grid[0])
    batch.pos = torch.where(torch.arange(len(batch.pos)) == counter.num_draws, start_std, 0.0)[:, None]
    width = sampler.integrate(batch, EachItsOwn(-1)).batch.pos.square().sum().sqrt()
    assert float(width / model.marginal_std(model.fields["pos"], sampler.grid[-1])) == pytest.approx(1, abs=0.05)
    assert counter.num_draws <= 800  # hundreds of evaluations, whatever the grid


def test_annealed_langevin_of_the_published_kind_is_refused_where_it_goes_wrong():
    """Five steps at each of 40 levels, the earlier default, made samples of an exact score 3.7 times too wide."""
    sde = VESDE()
    grid = times.karras_grid(40, sde, end=float(sde.time(torch.tensor(3e-3))))
    model, template = GaussianScore(ForwardProcess({Field("pos"): sde})), ragged_batch((3, 0, 1) * 400)
    with pytest.raises(ValueError, match=r"samples of field 'pos' would come out \d.\d+ times as wide"):
        AnnealedLangevinSampler(model, grid, snr=0.16, num_corrections=5)
    anyway = AnnealedLangevinSampler(model, grid, snr=0.16, num_corrections=5, tolerance=math.inf)
    assert float(anyway(template, torch.Generator().manual_seed(0)).batch.pos.std()) > 1.5
    mended = AnnealedLangevinSampler(model, grid)(template, torch.Generator().manual_seed(0)).batch
    assert float(mended.pos.std()) == pytest.approx(1, abs=0.05 + 4 / (2 * mended.pos.numel()) ** 0.5)
