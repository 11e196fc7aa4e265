"""Sampling from given values that are diffused first: exact laws for Gaussian data, both ends of the noise."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import ops, times
from graphscore.fields import Field
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, AncestralSampler, HeunSampler
from graphscore.sdes import EDMSDE, VESDE, VPSDE, HarmonicSDE, RectifiedSDE
from graphscore.testing import GaussianScore, ragged_batch

MEAN, STD, SCALE = 0.4, 0.7, 1.5
SIZES = (0, 4, 1, 3)


def make(name, *arguments):
    quick = {"num_corrections": 2, "tolerance": math.inf} if name == "annealed-langevin" else {}
    return SAMPLERS[name](*arguments, **quick)


def gaussian(sde, **options) -> GaussianScore:
    return GaussianScore(ForwardProcess({Field("pos", scale=SCALE, **options): sde}), MEAN, STD)


def posterior_gain(sde, t: float) -> tuple[float, float, float]:
    """Scale, shift and variance of what the exact flow makes of ``alpha x0 + std eps``: it maps N(m_t, v_t) to data."""
    alpha, std = (float(f(torch.tensor(t, dtype=torch.float64))) for f in (sde.alpha, sde.std))
    stretch = STD / math.sqrt(alpha**2 * STD**2 + std**2)
    return stretch * alpha, MEAN * (1 - stretch * alpha), (stretch * std) ** 2


@pytest.mark.exact
@pytest.mark.parametrize("sde", [VESDE(5.0), VPSDE(), RectifiedSDE(), EDMSDE(4.0)])
@pytest.mark.parametrize("t", [0.2, 0.6])
def test_the_flow_gives_the_known_normal_distribution(sde, t):
    """With data N(m, c^2), the start x0 ends as N(m + k (x0 - m), s^2): path by path, for the very noise it got."""
    grid = times.cut_grid(times.log_snr_grid(500, sde, start=0.95, end=1e-4), t)
    batch, first = ragged_batch((5,) * 40), []
    sampler = HeunSampler(gaussian(sde), grid)
    sample = sampler(batch, GraphGenerator(range(40)), lambda k, _, noisy: k or first.append(noisy.pos), from_data=True)
    scale, shift, variance = posterior_gain(sde, t)
    alpha, std = (f(torch.tensor(t, dtype=torch.float64)) for f in (sde.alpha, sde.std))
    eps = (first[0] / SCALE - alpha * batch.pos / SCALE) / std
    expected = scale * batch.pos / SCALE + shift + math.sqrt(variance) * eps
    assert_close(sample.batch.pos / SCALE, expected, rtol=0, atol=1e-3)
    assert float(eps.std()) == pytest.approx(1, rel=4 / (2 * eps.numel()) ** 0.5)
    assert float(eps.mean()) == pytest.approx(0, abs=4 / eps.numel() ** 0.5)


@pytest.mark.exact
@pytest.mark.parametrize("sde", [VESDE(5.0), VPSDE()])
def test_the_sde_gives_the_known_normal_distribution(sde):
    """The reverse SDE forgets more of the start than the flow: it draws from p(x0 | xt), and keeps gain^2 of it."""
    t, num, x0 = 0.3, 2000, 2.0
    grid = times.cut_grid(times.linear_grid(1000, start=0.95, end=1e-4), t)
    batch = ragged_batch((1,) * num, edgeless=(1,))
    batch.pos = torch.full((num, 3), x0 * SCALE, dtype=torch.float64)
    found = AncestralSampler(gaussian(sde), grid)(batch, GraphGenerator(range(num)), from_data=True).batch.pos / SCALE
    alpha, std = (float(f(torch.tensor(t, dtype=torch.float64))) for f in (sde.alpha, sde.std))
    gain = alpha * STD**2 / (alpha**2 * STD**2 + std**2)  # E[x0 | xt] = m + gain (xt - alpha m)
    mean = MEAN + gain * alpha * (x0 - MEAN)
    spread = math.sqrt((gain * std) ** 2 + STD**2 * std**2 / (alpha**2 * STD**2 + std**2))
    assert float(found.mean()) == pytest.approx(mean, abs=4 * spread / (3 * num) ** 0.5 + 5e-3)
    assert float(found.std()) == pytest.approx(spread, rel=4 / (6 * num) ** 0.5 + 0.01)


@pytest.mark.parametrize("name", SAMPLERS)
def test_with_almost_no_noise_the_start_comes_back(name):
    """In its place, too, although the process of zero-mean fields does not see it."""
    model = gaussian(VESDE(), zero_mean=True)
    batch = ragged_batch(SIZES)
    batch.pos = batch.pos + 7.0
    grid = times.cut_grid(torch.tensor([1.0, 0.1, 2e-9, 1e-9]), 4e-9)
    assert len(grid) == 3
    sample = make(name, model, grid)(batch, GraphGenerator(range(4)), from_data=True).batch
    assert_close(sample.pos, batch.pos, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_with_all_noise_samples_are_those_of_the_prior(name):
    """Where alpha all but vanishes."""
    sde = VPSDE(beta_max=60.0)
    model, batch = gaussian(sde), ragged_batch(SIZES)
    grid = times.cut_grid(times.karras_grid(3, sde, start=0.9, end=1e-2), 1.0)
    assert float(sde.alpha(grid[0])) < 1e-5
    sampler = make(name, model, grid)
    started, plain = (
        sampler(batch, GraphGenerator(range(4)), from_data=start).batch.pos.double() for start in (True, False)
    )
    assert_close(started, plain, rtol=1e-3, atol=1e-4)


def test_the_prior_of_exploding_variance_is_moved_to_the_start():
    model, batch, first = gaussian(VESDE()), ragged_batch(SIZES), []
    sampler = HeunSampler(model, 3, prior_scale=0.5)
    for start in (True, False):
        sampler(batch, GraphGenerator(range(4)), lambda k, _, noisy: k or first.append(noisy.pos), from_data=start)
    assert_close(first[0], first[1] + batch.pos, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_starts_do_not_mix(name):
    """A sample from a start depends neither on batch mates nor on order, and the seed says which it is."""
    springs = HarmonicSDE(VPSDE())
    process = ForwardProcess({Field("pos", zero_mean=True): springs, Field("x"): VPSDE()})
    sampler = make(name, GaussianScore(process, 0.3, 0.6, springs), times.karras_grid(3, VPSDE(), start=0.5))
    graphs, seeds = ragged_batch(SIZES).to_data_list(), [3, 8, 1, 2**35]

    def sample(order):
        batch = Batch.from_data_list([graphs[i] for i in order])
        return sampler(batch, GraphGenerator([seeds[i] for i in order]), from_data=True).batch

    together = sample(range(4))
    assert torch.equal(sample(range(4)).pos, together.pos)
    for order in ([3, 0, 2, 1], [2], [1, 1]):
        for place, graph in enumerate(sample(order).to_data_list()):
            for field in ("pos", "x"):
                assert_close(graph[field], together[order[place]][field], rtol=0, atol=1e-10)


def test_the_template_is_neither_touched_nor_ignored():
    batch = ragged_batch(SIZES)
    before = batch.pos.clone()
    sampler = HeunSampler(gaussian(VESDE(), zero_mean=True), times.karras_grid(3, VESDE(), start=0.1))
    one = sampler(batch, GraphGenerator(range(4)), from_data=True).batch.pos
    assert torch.equal(batch.pos, before)
    means = (ops.mean(pos, batch.batch, 4) for pos in (one, before))
    assert_close(*means)
    batch.pos = 2 * batch.pos
    assert not torch.allclose(sampler(batch, GraphGenerator(range(4)), from_data=True).batch.pos, one)
    del batch.pos
    with pytest.raises(ValueError, match="no attribute 'pos'"):
        sampler(batch, from_data=True)


@given(st.integers(1, 30), st.floats(1e-3, 1.0))
def test_cut_grids_fall_from_the_start_through_the_same_times(num_steps, start):
    grid = times.karras_grid(num_steps, VPSDE(), start=0.97, end=1e-4)
    cut = times.cut_grid(grid, start)
    assert float(cut[0]) == min(start, float(grid[0])) and float(cut[-1]) == float(grid[-1])
    assert bool((cut.diff() < 0).all()) and set(cut[1:].tolist()) <= set(grid.tolist())
    below = grid[grid < cut[0]]
    if len(below) > 1 and start < grid[0]:  # no step is much shorter than the next one was
        assert cut[0] - cut[1] >= (below[0] - below[1]) / 2
    assert len(cut) - 1 >= len(below) - 1


@pytest.mark.parametrize("start", [0.0, -0.1, 1.1, math.nan])
def test_times_out_of_range_are_refused(start):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        times.cut_grid(times.linear_grid(3), start)


def test_a_start_that_is_cleaner_than_samples_is_refused():
    with pytest.raises(ValueError, match="cleaner than samples, whose last time is 0.1"):
        times.cut_grid(times.linear_grid(3, end=0.1), 0.1)
