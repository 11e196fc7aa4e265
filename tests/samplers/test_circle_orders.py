"""Measured orders of convergence on the circle, against exact mixtures of wrapped normal distributions."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline, RectBivariateSpline
from torch_geometric.data import Batch, Data

from graphscore import times
from graphscore.fields import Field, wrap
from graphscore.process import ForwardProcess
from graphscore.samplers import SAMPLERS, AdaptiveSampler
from graphscore.sdes import GeometricVESDE, RectifiedSDE
from graphscore.testing import GivenDraws, WrappedMixtureScore, normal_quadrature, observed_order

pytestmark = pytest.mark.exact

# Processes, and noise levels to start at.
SDES = {"geometric-ve": (GeometricVESDE(0.01, 3.2), 3.0), "geodesic": (RectifiedSDE(), 0.95)}
FIXED = {name: sampler for name, sampler in SAMPLERS.items() if sampler.order is not None}
OPTIONS = {"predictor-corrector": {"snr": 1e-3}, "karras": {"churn": 4.0}}


def make(process: str, **options) -> WrappedMixtureScore:
    field = Field("angle", periodic=True)
    return WrappedMixtureScore(ForwardProcess({field: SDES[process][0]}), std=0.4, weights=[0.3, 0.7], **options)


def make_grid(model, steps: int, high: float, low: float = 0.1) -> torch.Tensor:
    ((_, sde),) = model.process
    start, end = sde.time(torch.tensor([high, low], dtype=torch.float64)).tolist()
    return times.log_snr_grid(steps, sde, start=start, end=end)


@functools.cache
def problem(process: str):
    """Noisy angles of graphs of several sizes, and where the exact flow leads them."""
    model, generator = make(process, per_graph=True), torch.Generator().manual_seed(0)
    graphs = [
        Data(
            angle=torch.zeros(size, 2).double(),
            means=2 * math.pi * torch.rand(size, 2, 2, dtype=torch.float64, generator=generator),
            num_nodes=size,
        )
        for size in (1, 2, 0, 5)
    ]
    grid = make_grid(model, 1, SDES[process][1])
    clean = model.sample(Batch.from_data_list(graphs), generator)
    noisy = model.process.perturb(clean, grid[:1].expand(4), generator=generator).batch
    return model, noisy, AdaptiveSampler(model, grid, rtol=1e-10, atol=1e-10).integrate(noisy).batch.angle


@pytest.mark.parametrize("process", SDES)
@pytest.mark.parametrize("name", [name for name, sampler in FIXED.items() if not sampler.stochastic])
def test_paths_of_angles_reach_the_declared_order(name, process):
    model, noisy, exact = problem(process)
    steps, errors = (100, 200, 400), []
    for number in steps:
        grid = make_grid(model, number, SDES[process][1])
        errors.append(float((SAMPLERS[name](model, grid).integrate(noisy).batch.angle - exact).abs().max()))
    assert observed_order(steps, errors) == pytest.approx(SAMPLERS[name].order, abs=0.2), errors


def observables(x):
    return np.stack([np.cos(x), np.sin(x), np.cos(2 * x)], -1)


def single(values) -> Batch:
    """Many graphs of one angle each, with data around -0.9 and 1.1."""
    batch = Batch.from_data_list([Data(angle=torch.as_tensor(values)[:, None], num_nodes=len(values))])
    batch.means = torch.tensor([[[-0.9], [1.1]]]).double().expand(len(batch.angle), 2, 1)
    return batch


def marginal(model, t) -> np.ndarray:
    """The exact distribution at time t: probabilities of the points of :data:`CIRCLE`."""
    means = single([0.0]).means
    graphs = [Data(angle=torch.full((1, 1), x).double(), means=means, num_nodes=1) for x in CIRCLE.tolist()]
    density = model.log_density(Batch.from_data_list(graphs), t.expand(len(CIRCLE))).exp().numpy()
    return density * (2 * math.pi / len(CIRCLE))


CIRCLE = np.arange(96) * (2 * math.pi / 96) - math.pi


def along(values) -> CubicSpline:
    """A smooth function on the circle through its values at the points of :data:`CIRCLE`."""
    spline = CubicSpline(np.append(CIRCLE, math.pi), np.append(values, values[:1], 0), bc_type="periodic")
    return lambda x: spline(wrap(torch.as_tensor(x)).numpy())


def moment_error(sampler) -> float:
    """Largest error of the expected observables at the end of a sampler without memory.

    By Kolmogorov's backward equation: from the last step to the first, the expectations are tabulated as functions of
    the angle before the step, with Gauss-Hermite quadrature over the step's draws and periodic splines in between.
    """
    grid, model = sampler.grid, sampler.model
    counter = GivenDraws([torch.zeros(1, 1).double()] * 9)
    sampler.step(model, single([0.0]), grid[:1], grid[1:2], None, counter)
    nodes, weights = normal_quadrature(14 if counter.num_draws == 1 else 8)
    draws = np.stack(np.meshgrid(*[nodes] * counter.num_draws, indexing="ij"), -1).reshape(-1, counter.num_draws)
    factors = np.stack(np.meshgrid(*[weights] * counter.num_draws, indexing="ij"), -1).reshape(len(draws), -1).prod(1)
    drawn = [torch.from_numpy(np.tile(draws[:, k], len(CIRCLE)))[:, None] for k in range(counter.num_draws)]
    table, here = observables(CIRCLE), single(np.repeat(CIRCLE, len(draws)))
    for number in range(len(grid) - 2, -1, -1):
        t, s = grid[number : number + 1], grid[number + 1 : number + 2]
        end = sampler.step(model, here, t, s, None, GivenDraws(drawn))[0].angle[:, 0].numpy()
        table = np.einsum("xds,d->xs", along(table)(end).reshape(len(CIRCLE), -1, 3), factors)
    return float(np.abs(marginal(model, grid[0]) @ table - marginal(model, grid[-1]) @ observables(CIRCLE)).max())


def moment_error_with_memory(sampler) -> float:
    """The same for multistep methods: tables over the angle, and the previous posterior mean relative to it."""
    grid, model = sampler.grid, sampler.model
    nodes, weights = normal_quadrature(8)
    offsets = np.linspace(-6, 6, 25)

    def step(number, x, offset):
        memory, repeated = None, np.repeat(x, len(nodes))
        if number:
            previous = torch.from_numpy(np.repeat(x + offset, len(nodes)))[:, None]
            memory = (grid[number - 1 : number], {"angle": previous})
        drawn = GivenDraws([torch.from_numpy(np.tile(nodes, len(x)))[:, None]])
        t, s = grid[number : number + 1], grid[number + 1 : number + 2]
        end, (_, x0_hat) = sampler.step(model, single(repeated), t, s, memory, drawn)
        return end.angle[:, 0].numpy(), (x0_hat["angle"] - end.angle)[:, 0].numpy()

    def before(number, later):
        x, offset = (a.ravel() for a in np.meshgrid(CIRCLE, offsets if number else [0.0], indexing="ij"))
        return np.einsum("xds,d->xs", later(*step(number, x, offset)).reshape(len(x), len(nodes), 3), weights)

    def later(x, offset):
        return observables(x)

    for number in range(len(grid) - 2, 0, -1):
        table = before(number, later).reshape(len(CIRCLE), len(offsets), 3)
        around = np.concatenate([CIRCLE[-9:] - 2 * math.pi, CIRCLE, CIRCLE[:9] + 2 * math.pi])
        repeated = np.concatenate([table[-9:], table, table[:9]])
        splines = [RectBivariateSpline(around, offsets, repeated[..., k]) for k in range(3)]

        def later(x, offset, splines=splines):
            inside = wrap(torch.as_tensor(x)).numpy()
            return np.stack([spline.ev(inside, offset) for spline in splines], -1)

    table = before(0, later)
    return float(np.abs(marginal(model, grid[0]) @ table - marginal(model, grid[-1]) @ observables(CIRCLE)).max())


@pytest.mark.parametrize("name", [name for name, sampler in FIXED.items() if sampler.stochastic])
def test_moments_of_angles_reach_the_declared_order(name):
    model = make("geometric-ve")
    measure = moment_error_with_memory if name == "sde-dpm-solver++" else moment_error
    steps = (16, 32, 64)
    samplers = [SAMPLERS[name](model, make_grid(model, n, 3.0, 0.2), **OPTIONS.get(name, {})) for n in steps]
    errors = [measure(sampler) for sampler in samplers]
    assert observed_order(steps, errors) > SAMPLERS[name].order - 0.2, errors
