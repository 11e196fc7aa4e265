"""Karras' published sampler against a plain transcription of the paper's algorithms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from graphscore import times
from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import AdaptiveSampler, EDMHeunSampler, HeunSampler
from graphscore.sdes import EDMSDE, SDES
from graphscore.testing import GaussianMixtureScore, ragged_batch

pytestmark = pytest.mark.exact

SIZES = (0, 4, 1, 0, 5, 3, 0)


def problem(process):
    sde = SDES[process]()
    batch = ragged_batch(SIZES)
    batch.means = torch.randn(13, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = GaussianMixtureScore(ForwardProcess({Field("pos"): sde}), std=0.3)
    return sde, model, model.process.prior(batch, GraphGenerator(range(7)), torch.float64)


class Recorded(GraphGenerator):
    """Keeps what it drew, for the transcription to take the same noise."""

    def __init__(self, seeds):
        super().__init__(seeds)
        self.drawn = []

    def randn(self, *arguments, **options):
        self.drawn.append(super().randn(*arguments, **options))
        return self.drawn[-1]


def algorithm_2(denoise, x, levels, noise, churn=0.0, lowest=0.0, highest=math.inf, scale=1.0):
    """Algorithm 2 of Karras et al. (2022), line by line, and algorithm 1 if there is no churn; s = 1, sigma(t) = t."""
    t, steps = [*levels, 0.0], len(levels)
    for i in range(steps):
        gamma = min(churn / steps, math.sqrt(2) - 1) if lowest <= t[i] <= highest and i < steps - 1 else 0.0
        raised = min(t[i] + gamma * t[i], t[0])  # not beyond the first level, of which a model knows nothing
        if gamma > 0:
            x = x + math.sqrt(raised**2 - t[i] ** 2) * scale * noise[i]
        slope = (x - denoise(x, raised)) / raised
        following = x + (t[i + 1] - raised) * slope
        if t[i + 1] != 0:
            other = (following - denoise(following, t[i + 1])) / t[i + 1]
            following = x + (t[i + 1] - raised) * (slope + other) / 2
        x = following
    return x


@pytest.mark.parametrize(
    "options",
    [{}, {"churn": 3.0}, {"churn": 40.0, "noise_scale": 1.01, "min_level": 0.05, "max_level": 2.0}],
    ids=["algorithm 1", "churn", "churn within bounds"],
)
def test_as_published(options):
    sde, model, start = problem("edm")
    grid = times.karras_grid(9, sde, end=0.002 / 80)
    levels = [(80 ** (1 / 7) + i / 9 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(10)]  # equation 5
    sampler, generator = EDMHeunSampler(model, grid, **options), Recorded(range(7))
    x = sampler.integrate(start, generator).batch
    x = model(x, sampler.grid[-1].expand(7))["pos"]

    def denoise(x, level):
        t = torch.full((7,), level / EDMSDE().sigma_max, dtype=torch.float64)
        return model(replace(start, {"pos": x}), t)["pos"]

    names = {"churn": "churn", "noise_scale": "scale", "min_level": "lowest", "max_level": "highest"}
    expected = algorithm_2(
        denoise, start.pos, levels, generator.drawn, **{names[key]: value for key, value in options.items()}
    )
    assert sampler.stochastic == bool(options) == bool(generator.drawn)
    assert_close(x, expected, rtol=1e-9, atol=1e-9)


def test_the_two_kinds_of_heun_differ_in_the_correction_as_stated():
    """One step: the same prediction, and a correction 1 / r times as large."""
    sde, model, start = problem("vp")
    t, s = (sde.time(torch.tensor(level).double()) for level in (2.0, 0.8))
    grid, x0 = torch.stack([t, s]), model(start, t.expand(7))["pos"]
    ours, theirs = (kind(model, grid).integrate(start).batch.pos for kind in (HeunSampler, EDMHeunSampler))
    ratio = 0.8 / 2.0
    predicted = sde.alpha(s) * (ratio * start.pos / sde.alpha(t) + (1 - ratio) * x0)
    assert_close((ours - predicted) / ratio, theirs - predicted)


@pytest.mark.parametrize("process", ["ve", "vp", "edm"])
def test_it_converges_to_the_flow(process):
    sde, model, start = problem(process)
    high, low = sde.time(torch.tensor([5.0, 0.05], dtype=torch.float64)).tolist()
    start = model.process.prior(start, GraphGenerator(range(7)), torch.float64, high)
    grids = [times.log_snr_grid(steps, sde, start=high, end=low) for steps in (32, 64)]
    exact = AdaptiveSampler(model, grids[0][[0, -1]], rtol=1e-9, atol=1e-9).integrate(start).batch.pos
    errors = [float((EDMHeunSampler(model, grid).integrate(start).batch.pos - exact).abs().max()) for grid in grids]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.3)
