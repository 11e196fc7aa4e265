"""Measured orders of convergence of every sampler for every process, with nothing estimated by sampling."""

from __future__ import annotations

import functools
import statistics

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline, RectBivariateSpline
from torch_geometric.data import Batch, Data

from graphscore import ops, times
from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, AdaptiveSampler
from graphscore.sdes import SDES, HarmonicSDE
from graphscore.testing import GaussianMixtureScore, GaussianScore, GivenDraws, normal_quadrature, observed_order

pytestmark = pytest.mark.exact

SIZES = (1, 2, 7, 60, 0)
STEPS = (16, 32, 64)
FIXED = {name: sampler for name, sampler in SAMPLERS.items() if sampler.order is not None}
# The corrector's bias does not fall with the step size: it is measured elsewhere.
OPTIONS = {"predictor-corrector": {"snr": 1e-3}, "karras": {"churn": 4.0}}


def grid_between_levels(kind: str, sde, steps: int, high: float = 5.0, low: float = 0.05):
    """From noise well above the data (0.5) to well below: where all processes have the same work to do."""
    start, end = sde.time(torch.tensor([high, low], dtype=torch.float64)).tolist()
    grid = times.karras_grid if kind == "karras" else times.log_snr_grid
    return grid(steps, sde, start=start, end=end)


def chains(sizes) -> list[Data]:
    """Chains with a direction v of unit length: for springs along them, their slowest wave."""
    graphs = []
    for size in sizes:
        place = torch.arange(size, dtype=torch.float64)
        wave = torch.cos(torch.pi * (place + 0.5) / max(size, 1)) if size > 1 else torch.ones(size).double()
        first = torch.arange(max(size - 1, 0))
        graphs.append(
            Data(
                pos=torch.zeros(size, 1).double(),
                v=(wave / wave.norm().clamp(min=1e-12))[:, None],
                edge_index=torch.stack([first, first + 1]),
                num_nodes=size,
            )
        )
    return graphs


class UnitDraws(GraphGenerator):
    """Draw number k is the direction v in the graphs for which ``which`` is k, and nothing elsewhere."""

    def __init__(self, batch, which) -> None:
        super().__init__([])
        self.directions = batch.v
        self.which = which

    def randn(self, index, num_graphs, width, dtype):
        drawn = self.which[index] == self.num_draws
        self.num_draws += 1
        return torch.where(drawn[:, None], self.directions, 0.0).to(dtype)


def variance_along(model, batch, t):
    """Exact variance of each graph along v at time t: both data and noise have v as a mode."""
    ((field, sde),) = model.process
    spread = ops.sum((batch.v * sde.covariance(batch, field).multiply(batch.v)).sum(-1), batch.batch, batch.num_graphs)
    return (sde.alpha(t) * model.std) ** 2 + sde.std(t) ** 2 * spread


NUM_DRAWS: dict[tuple[type, int], int] = {}  # of a sampler on a grid of so many times, whatever the process


def moment_error(sampler) -> float:
    """Relative error of mean or variance along v, of the worst graph and quarter of the way.

    The sampler is a linear map of its draws. One run of the sampler itself on many copies of the graphs gives that map:
    one copy for each draw, one for the start and one for the mean. (At a single time, errors can cancel by chance.)
    """
    model = sampler.model
    ((_, sde),) = model.process
    sizes = SIZES if isinstance(sde, HarmonicSDE) else (1, 2, 0)  # without springs, all rows fare alike
    graphs = chains(sizes)
    key = type(sampler), len(sampler.grid)
    if key not in NUM_DRAWS:
        counting = Batch.from_data_list(graphs)
        counting.mean = torch.zeros_like(counting.pos)
        counter = UnitDraws(counting, torch.full((len(graphs),), -1))
        sampler.integrate(counting, counter)
        NUM_DRAWS[key] = counter.num_draws
    copies = NUM_DRAWS[key] + 2
    batch = Batch.from_data_list(graphs * copies)
    which = torch.arange(copies).repeat_interleave(len(graphs))
    copy = which[batch.batch][:, None]
    batch.mean = torch.where(copy == copies - 1, batch.v, 0.0)
    first = sampler.grid[0]
    start = variance_along(model, batch, first).sqrt()[batch.batch, None] * batch.v
    batch.pos = torch.where(copy == copies - 2, start, sde.alpha(first) * batch.mean)
    # The mean is no mode of the draws: in its copy nothing is drawn.
    draws = torch.where(which < copies - 2, which, -1)
    filled, errors = torch.tensor(sizes) > 0, [0.0]

    def measure(step, t, state):
        if step == 0 or step % ((len(sampler.grid) - 1) // 4):
            return
        time = torch.tensor(t, dtype=torch.float64)
        along = ops.sum((state.pos * batch.v).sum(-1), batch.batch, batch.num_graphs).view(copies, len(graphs))
        exact = variance_along(model, batch, time).view(copies, -1)[0]
        relative = torch.stack([along[-1] / sde.alpha(time), along[:-1].square().sum(0) / exact]) - 1
        errors.append(float(relative[:, filled].abs().max()))

    generator = UnitDraws(batch, draws)
    sampler.integrate(batch, generator, measure)
    assert len(errors) == 5 and generator.num_draws == copies - 2
    return max(errors)


@functools.cache
def gaussian_order(name: str, process: str, kind: str) -> float:
    sde = SDES[process]()
    model = GaussianScore(ForwardProcess({Field("pos"): sde}), "mean", std=0.5)
    grids = [grid_between_levels(kind, sde, steps) for steps in STEPS]
    return observed_order(STEPS, [moment_error(SAMPLERS[name](model, grid, **OPTIONS.get(name, {}))) for grid in grids])


# Even steps in log noise, a special case of uneven ones, with some of the processes.
GRIDS = [(process, "karras") for process in SDES] + [
    (process, "log-snr") for process in ("vp", "rectified", "harmonic")
]


@pytest.mark.parametrize(("process", "kind"), GRIDS)
@pytest.mark.parametrize("name", FIXED)
def test_moments_of_a_gaussian_reach_the_declared_order(name, process, kind):
    """On chains of 1, 2, 7 and 60 nodes and an empty graph, springs included."""
    assert gaussian_order(name, process, kind) > SAMPLERS[name].order - 0.2


@pytest.mark.parametrize("name", FIXED)
def test_the_declared_order_is_not_too_low(name):
    """Where errors cancel by chance a method looks better than it is; over all processes it does not."""
    orders = [gaussian_order(name, process, kind) for process, kind in GRIDS]
    assert statistics.median(orders) == pytest.approx(SAMPLERS[name].order, abs=0.2)


@functools.cache
def mixture_problem(process: str):
    """A mixture on the ragged batch, and where the exact flow leads from level 5 to 0.05."""
    sde = SDES[process]()
    model = GaussianMixtureScore(ForwardProcess({Field("pos", zero_mean=True): sde}), std=0.5)
    generator = torch.Generator().manual_seed(1)
    graphs = [
        # The larger the graph, the closer the means: components stay hard to tell apart for as long.
        Data(
            pos=torch.zeros(size, 3).double(),
            means=torch.randn(size, 3, 3, dtype=torch.float64, generator=generator) / max(size, 1) ** 0.5,
            edge_index=torch.zeros(2, 0, dtype=torch.long),
            num_nodes=size,
        )
        for size in SIZES
    ]
    batch = Batch.from_data_list(graphs)
    grid = grid_between_levels("log-snr", sde, 1)
    clean = model.sample(batch, torch.Generator().manual_seed(2))
    noisy = model.process.perturb(clean, grid[:1].expand(len(SIZES)), generator=torch.Generator().manual_seed(3)).batch
    return sde, model, noisy, AdaptiveSampler(model, grid, rtol=1e-10, atol=1e-10).integrate(noisy).batch.pos


# Half of all pairs, each method and each process several times: steps that are made of noise levels are the same for
# all processes, up to their scale. Euler's method, whose are not, is tried on each.
PATHS = [
    (name, process)
    for row, name in enumerate(name for name, sampler in FIXED.items() if not sampler.stochastic)
    for column, process in enumerate(name for name, sde in SDES.items() if sde is not HarmonicSDE)
    if (row + column) % 2 == 0 or name == "euler"
]


@pytest.mark.parametrize(("name", "process"), PATHS)
def test_paths_of_a_mixture_reach_the_declared_order(name, process):
    sde, model, noisy, exact = mixture_problem(process)
    errors = []
    for steps in STEPS:
        end = SAMPLERS[name](model, grid_between_levels("log-snr", sde, steps)).integrate(noisy).batch.pos
        errors.append(float((end - exact).abs().max()))
    assert observed_order(STEPS, errors) == pytest.approx(SAMPLERS[name].order, abs=0.2), errors


def observables(x):
    """What is expected of a number x: three columns."""
    return np.stack([x, x**2, np.cos(2 * x)], -1)


def numbers(values) -> Batch:
    """Many single numbers of the mixture with means at -1 and 1."""
    batch = Batch.from_data_list([Data(pos=torch.as_tensor(values)[:, None], edge_index=torch.zeros(2, 0).long())])
    batch.means = torch.tensor([[[-1.0], [1.0]]]).double().expand(len(batch.pos), 2, 1)
    return batch


def exactly(function, model, t):
    """The expectation of a function under the exact marginal at time t."""
    ((_, sde),) = model.process
    nodes, weights = normal_quadrature(60)
    alpha, std = float(sde.alpha(t)), float(sde.std(t))
    spread = ((alpha * model.std) ** 2 + std**2) ** 0.5
    parts = zip(model.weights, (-1.0, 1.0), strict=True)
    return sum(share * weights @ function(alpha * mean + spread * nodes) for share, mean in parts)


def mixture_error(sampler) -> float:
    """Largest error of the expected observables of one number, at the end of a sampler without memory.

    By Kolmogorov's backward equation: from the last step to the first, the expectations are tabulated as functions of
    the state before the step, with Gauss-Hermite quadrature over the step's draws and splines in between.
    """
    grid, model = sampler.grid, sampler.model
    ((_, sde),) = model.process
    widths = (sde.alpha(grid) ** 2 + sde.std(grid) ** 2).sqrt().numpy()
    counter = GivenDraws([torch.zeros(1, 1).double()] * 9)
    sampler.step(model, numbers([0.0]), grid[:1], grid[1:2], None, counter)
    nodes, weights = normal_quadrature(12)
    draws = np.stack(np.meshgrid(*[nodes] * counter.num_draws, indexing="ij"), -1).reshape(-1, counter.num_draws)
    factors = np.stack(np.meshgrid(*[weights] * counter.num_draws, indexing="ij"), -1).reshape(len(draws), -1).prod(1)
    line = np.linspace(-7, 7, 281)
    drawn = [torch.from_numpy(np.tile(draws[:, k], len(line)))[:, None] for k in range(counter.num_draws)]
    batch, table = numbers(np.zeros(len(line) * len(draws))), observables(line * widths[-1])
    for number in range(len(grid) - 2, -1, -1):
        later = CubicSpline(line * widths[number + 1], table)
        here = replace(batch, {"pos": torch.from_numpy(np.repeat(line, len(draws)) * widths[number])[:, None]})
        t, s = grid[number : number + 1], grid[number + 1 : number + 2]
        end = sampler.step(model, here, t, s, None, GivenDraws(drawn))[0].pos[:, 0].numpy()
        table = np.einsum("xds,d->xs", later(end).reshape(len(line), -1, 3), factors)
    start = CubicSpline(line * widths[0], table)
    return float(np.abs(exactly(start, model, grid[0]) - exactly(observables, model, grid[-1])).max())


def mixture_error_with_memory(sampler) -> float:
    """The same for multistep methods, of one draw a step: tables over the state and the previous posterior mean."""
    grid, model = sampler.grid, sampler.model
    ((_, sde),) = model.process
    widths = (sde.alpha(grid) ** 2 + sde.std(grid) ** 2).sqrt().numpy()
    nodes, weights = normal_quadrature(8)
    line, means = np.linspace(-6.5, 6.5, 161), np.linspace(-9, 9, 41)

    def go(number, x, previous):
        """End states and posterior means of a step, for each row of x and each node of the draw."""
        batch = numbers(np.repeat(x, len(nodes)))
        drawn = [torch.from_numpy(np.tile(nodes, len(x)))[:, None]]
        t, s = grid[number : number + 1], grid[number + 1 : number + 2]
        memory = None
        if number:
            memory = (grid[number - 1 : number], {"pos": torch.from_numpy(np.repeat(previous, len(nodes)))[:, None]})
        end, (_, x0_hat) = sampler.step(model, batch, t, s, memory, GivenDraws(drawn))
        return end.pos[:, 0].numpy(), x0_hat["pos"][:, 0].numpy()

    def before(number, later):
        x, previous = (a.ravel() for a in np.meshgrid(line * widths[number], means, indexing="ij"))
        if number == 0:
            x, previous = line * widths[0], None
        values = later(*go(number, x, previous)).reshape(len(x), len(nodes), 3)
        return np.einsum("xds,d->xs", values, weights)

    def later(x, x0_hat):
        return observables(x)

    for number in range(len(grid) - 2, 0, -1):
        table = before(number, later).reshape(len(line), len(means), 3)
        splines = [RectBivariateSpline(line * widths[number], means, table[..., k]) for k in range(3)]

        def later(x, x0_hat, splines=splines):
            return np.stack([spline.ev(x, x0_hat) for spline in splines], -1)

    start = CubicSpline(line * widths[0], before(0, later))
    return float(np.abs(exactly(start, model, grid[0]) - exactly(observables, model, grid[-1])).max())


@pytest.mark.parametrize("process", ["rectified"])
@pytest.mark.parametrize("name", [name for name, sampler in FIXED.items() if sampler.stochastic])
def test_moments_of_a_mixture_reach_the_declared_order(name, process):
    """Weak order where the score is not linear."""
    sde = SDES[process]()
    model = GaussianMixtureScore(ForwardProcess({Field("pos"): sde}), std=0.4, weights=[0.3, 0.7], per_graph=False)
    measure = mixture_error_with_memory if name == "sde-dpm-solver++" else mixture_error
    grids = [grid_between_levels("log-snr", sde, number, high=4.0, low=0.1) for number in STEPS]
    errors = [measure(SAMPLERS[name](model, grid, **OPTIONS.get(name, {}))) for grid in grids]
    assert observed_order(STEPS, errors) > SAMPLERS[name].order - 0.2, errors
