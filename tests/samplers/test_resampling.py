"""Resampling: which times it visits, what it forgets, and that it keeps the law of what it samples."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close

from graphscore import times
from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, AncestralSampler, HeunSampler, Sampler
from graphscore.samplers.resampling import ResamplingSampler
from graphscore.sdes import VESDE, RectifiedSDE
from graphscore.testing import GaussianScore, observed_order, ragged_batch

GRID = times.linear_grid(4, end=0.2)


class Spy(Sampler):
    """Does nothing, and notes each step's times and memory."""

    order = 1
    stochastic = False

    def __init__(self, model, grid, denoise_last=True, notes=None):
        super().__init__(model, grid, denoise_last)
        self.notes = [] if notes is None else notes

    def step(self, model, batch, t, s, memory, generator):
        model(batch, t)
        self.notes.append((round(float(t[0]), 3), round(float(s[0]), 3), memory))
        return batch, len(self.notes)


def model_of(sde):
    return GaussianScore(ForwardProcess({Field("pos"): sde}), 0.7, 0.5)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "resampling"])
def test_a_single_pass_is_the_method_itself(name, vp):
    model, grid = model_of(vp), times.karras_grid(6, vp, end=1e-3)
    samplers = SAMPLERS[name](model, grid), ResamplingSampler(model, grid, method=name, num_resamples=1)
    assert torch.equal(*(sampler(ragged_batch(), GraphGenerator(range(7))).batch.pos for sampler in samplers))


def test_steps_are_repeated_and_memory_does_not_outlive_noise():
    sampler = ResamplingSampler(model_of(VESDE()), GRID, method=Spy, num_resamples=3)
    generator = GraphGenerator(range(7))
    sampler(ragged_batch(), generator)
    # Between the last pass of a step and the first of the next one, no noise is added: memory is kept.
    steps = [(1.0, 0.8), (0.8, 0.6), (0.6, 0.4), (0.4, 0.2)]
    memories = [(None, None, None), (3, None, None), (6, None, None), (9, None, None)]
    expected = [(*step, memory) for step, three in zip(steps, memories, strict=True) for memory in three]
    assert sampler.method.notes == expected
    assert generator.num_draws == 1 + 4 * 2  # the prior, and the ways back


def test_several_steps_are_taken_back_together():
    notes = []
    sampler = ResamplingSampler(
        model_of(VESDE()), times.linear_grid(5, end=0.5), method=Spy, num_resamples=2, jump=2, options={"notes": notes}
    )
    sampler(ragged_batch())
    pairs = [(1.0, 0.9), (0.9, 0.8)], [(0.8, 0.7), (0.7, 0.6)]
    visited = [*pairs[0], *pairs[0], *pairs[1], *pairs[1], (0.6, 0.5)]  # a step that is left over is taken once
    assert [note[:2] for note in notes] == visited
    assert [note[2] is None for note in notes] == [number in (0, 2, 6) for number in range(9)]


@pytest.mark.parametrize("jump", [1, 2])
def test_the_way_back_is_the_exact_transition(vp, jump):
    """A method that does nothing shows the noise that is added, from the last time to the first that is repeated."""
    model, batch = model_of(vp), ragged_batch([1] * 2_000, dim=1)
    visited = [torch.full((2_000,), time, dtype=torch.float64) for time in (0.3, 0.2, 0.1)][-1 - jump :]
    batch.pos = torch.full_like(batch.pos, 2.0)
    sampler, memory = ResamplingSampler(model, GRID, method=Spy, num_resamples=2, jump=jump), None
    generator = torch.Generator().manual_seed(0)
    for t, s in pairwise(visited):
        batch, memory = sampler.step(model, batch, t, s, memory, generator)
    scale, spread = vp.transition(visited[-1][0], visited[0][0])
    assert float(batch.pos.mean()) == pytest.approx(2 * float(scale), abs=4 * float(spread) / 2_000**0.5)
    assert float(batch.pos.std()) == pytest.approx(float(spread), rel=4 / 4_000**0.5)


class OneDraw(GraphGenerator):
    """Noise whose draw number ``which`` is 1, and all others 0: reads off the coefficients of a step."""

    def __init__(self, which: int) -> None:
        super().__init__([])
        self.which = which

    def randn(self, index, num_graphs, width, dtype):
        self.num_draws += 1
        return torch.full((len(index), width), float(self.num_draws - 1 == self.which), dtype=dtype)


def variance_error(sampler, sde):
    """Relative error of the variance at the end, from the exact one at the start: carried along without sampling."""
    t, s = sampler.grid[:-1], sampler.grid[1:]
    batch = ragged_batch([1] * len(t), dim=1)  # graph number i takes the i-th step

    def step(value, generator):
        filled = replace(batch, {"pos": torch.full_like(batch.pos, value)})
        return sampler.step(sampler.model, filled, t, s, None, generator)[0].pos

    counter = OneDraw(-1)
    shift = step(0.0, counter)
    keep = step(1.0, OneDraw(-1)) - shift
    spread = sum((step(0.0, OneDraw(draw)) - shift) ** 2 for draw in range(counter.num_draws))
    exact = sampler.model.marginal_std(Field("pos"), sampler.grid) ** 2
    variance = exact[0]
    for factor, noise in zip(keep.flatten(), spread.flatten(), strict=True):
        variance = factor**2 * variance + noise
    return abs(float(variance / exact[-1]) - 1)


@pytest.mark.exact
@pytest.mark.parametrize("kind", [AncestralSampler, HeunSampler])
def test_the_law_stays_and_its_error_has_the_order_of_the_method(kind, vp):
    model, steps = model_of(vp), [64, 128, 256]

    def error(number):
        grid = times.karras_grid(number, vp, end=1e-3)
        return variance_error(ResamplingSampler(model, grid, method=kind, num_resamples=4), vp)

    assert observed_order(steps, [error(number) for number in steps]) == pytest.approx(kind.order, abs=0.2)


def test_options_go_to_the_method_and_denoising_is_its_own():
    model = model_of(VESDE())
    sampler = ResamplingSampler(model, GRID, False, "ancestral", options={"eta": 0.3})
    assert sampler.method.eta == 0.3 and not sampler.denoise_last
    raw, denoised = (
        ResamplingSampler(model, GRID, last)(ragged_batch(), GraphGenerator(range(7))).batch for last in (False, True)
    )
    assert_close(denoised.pos, model(raw, GRID[-1].expand(7))["pos"])


def test_bad_arguments_are_rejected():
    model = model_of(VESDE())
    for options in ({"num_resamples": 0}, {"jump": 0}):
        with pytest.raises(ValueError, match="num_resamples and jump must be positive"):
            ResamplingSampler(model, GRID, **options)
    with pytest.raises(ValueError, match="Unknown sampler 'leap'"):
        ResamplingSampler(model, GRID, method="leap")
    with pytest.raises(ValueError, match="EulerMaruyamaSampler divides by alpha"):
        ResamplingSampler(model_of(RectifiedSDE()), GRID, method="euler-maruyama")
