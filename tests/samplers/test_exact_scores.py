"""Moments of samples on a ragged batch, with scores that are known.

How far every sampler is off with every process is measured without sampling, in ``test_orders.py``; here each sampler
and each process is seen at least once with real draws.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.testing import assert_close

from graphscore import ops, times
from graphscore.fields import Field
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, HeunSampler
from graphscore.sdes import SDES, VESDE
from graphscore.testing import GaussianMixtureScore, GaussianScore, ragged_batch

pytestmark = pytest.mark.exact

SIZES = (1, 2, 7, 60, 0)
COPIES = 40


def make(name: str, model, steps: int, end_level: float = 1e-3, **options):
    """A sampler from noise far above the data, of a level that every process reaches, to noise far below."""
    ((_, sde),) = model.process
    start, end = sde.time(torch.tensor([9.5, end_level], dtype=torch.float64)).tolist()
    if name == "euler":
        steps = 4 * steps  # in its own time, the noise of some processes falls exponentially
    return SAMPLERS[name](model, times.karras_grid(steps, sde, start=start, end=end), **options)


# Each sampler once, each process at least once.
CASES = list(zip(SAMPLERS, itertools.cycle(SDES), itertools.cycle([True, False]), strict=False))
# Those of a stream of noise, and those whose order is not measured.
MIXTURES = {"ancestral": "ve", "adaptive": "vp", "resampling": "sub-vp", "annealed-langevin": "edm"}


@pytest.mark.parametrize(("name", "process", "zero_mean"), CASES)
def test_moments_of_a_gaussian_on_a_ragged_batch(name, process, zero_mean):
    """One-node graphs among them: step sizes from the norms of each graph's sample would go astray there."""
    sde, field = SDES[process](), Field("pos", scale=2.0, zero_mean=zero_mean)
    model = GaussianScore(ForwardProcess({field: sde}), "mean", std=0.5)
    batch = ragged_batch(SIZES * COPIES, edgeless=(60,))
    batch.mean = torch.randn(70, 3, dtype=torch.float64).repeat(COPIES, 1)
    sampler = make(name, model, 120)
    # From exact samples at the first time: in the prior of some processes, a twentieth of the mean is missing.
    generator = torch.Generator().manual_seed(0)
    clean, start = model.sample(batch, generator, torch.float64), sampler.grid[0].expand(batch.num_graphs)
    sample = sampler.integrate(model.process.perturb(clean, start, generator=generator).batch, generator).batch.pos
    # Each of the 70 nodes has its own mean, known to 5 standard errors.
    mean = field.project(batch.mean, batch.batch, batch.num_graphs)
    error = (sample - mean).view(COPIES, 70, 3).mean(0)
    assert float(error.abs().max()) < 5 * 0.5 / COPIES**0.5
    nodes = ops.count(batch.batch, batch.num_graphs)[batch.batch]
    for size in SIZES[:-1]:
        residual = (sample - mean)[nodes == size]
        freedom = (size - 1) / size if zero_mean else 1
        standard_error = (2 / (freedom * residual.numel())) ** 0.5 if freedom else 0
        variance = float(residual.square().mean())
        # With 120 steps, methods of order 1 are up to 4 % off; Langevin dynamics lag, by 5 % of the width.
        bias = 0.1 if name == "annealed-langevin" else 0.04
        assert variance == pytest.approx(0.25 * freedom, rel=4 * standard_error + bias, abs=1e-10)


@pytest.mark.parametrize(("name", "process"), MIXTURES.items())
def test_a_mixture_keeps_its_weights_and_widths(name, process):
    sde = SDES[process]()
    model = GaussianMixtureScore(ForwardProcess({Field("pos"): sde}), std=0.1, weights=[0.7, 0.3])
    batch = ragged_batch((2, 0, 1) * 700, dim=1)
    batch.means = torch.tensor([[[-1.0], [1.0]]]).expand(batch.num_nodes, 2, 1)
    sampler = make(name, model, 150, 3e-3, denoise_last=False)
    x = sampler(batch, torch.Generator().manual_seed(0)).batch.pos
    # Both nodes of a pair come from one component, so that 1400 of the 2100 rows are independent.
    assert float((x > 0).float().mean()) == pytest.approx(0.3, abs=4 * (0.21 / 1400) ** 0.5)
    assert float((x - x.sign()).std()) == pytest.approx(0.1, rel=0.1)
    assert (x[0::3].sign() == x[1::3].sign()).all()


@pytest.mark.parametrize("name", ["ancestral", "heun"])
def test_rows_that_are_independent_stay_so(name):
    sde = VESDE()
    model = GaussianMixtureScore(ForwardProcess({Field("pos"): sde}), std=0.1, weights=[0.7, 0.3], per_graph=False)
    batch = ragged_batch((2, 0, 1) * 700, dim=1)
    batch.means = torch.tensor([[[-1.0], [1.0]]]).expand(batch.num_nodes, 2, 1)
    x = make(name, model, 150)(batch, torch.Generator().manual_seed(0)).batch.pos
    agree = x[0::3].sign() == x[1::3].sign()
    assert float(agree.float().mean()) == pytest.approx(0.58, abs=4 * (0.25 / 700) ** 0.5)


@pytest.mark.parametrize("process", SDES)
def test_denoising_at_the_end_gives_the_posterior_mean(process):
    model = GaussianScore(ForwardProcess({Field("pos"): SDES[process]()}), std=0.5)
    template, grid = ragged_batch(), times.linear_grid(5, start=0.9, end=0.1)
    raw, denoised = (
        HeunSampler(model, grid, denoise_last=last)(template, GraphGenerator(range(7))).batch for last in (False, True)
    )
    assert_close(denoised.pos, model(raw, torch.full((7,), 0.1).double())["pos"])
