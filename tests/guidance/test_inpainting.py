from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import ops, times
from graphscore.fields import Field, replace
from graphscore.guidance import HarmonicRestraint, Inpainting
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, HeunSampler
from graphscore.samplers.resampling import ResamplingSampler
from graphscore.sdes import VESDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7], dtype=torch.float64)


@pytest.mark.exact
def test_independent_rows_are_conditioned_exactly(gaussian_data, sde):
    """Nothing is learnt of the others from known rows: these have their values, and the others stay as they are."""
    data = gaussian_data(sde)
    white, noisy = GaussianScore(data.process, "mean", 0.9), data.noisy(T)
    data.covariance = 0.81 * torch.eye(13).double()
    moments = data.given(*data.known_rows(), 0.0)
    x0_hat = Inpainting(white, "pos", "known", "target")(noisy, T)["pos"]
    assert_close(x0_hat, data.posterior_mean(noisy.pos, T, *moments), rtol=0, atol=1e-12)


EXACT = ["ddim", "heun", "dpm-solver++", "ancestral", "karras", "sde-dpm-solver++"]


@pytest.mark.exact
@pytest.mark.parametrize("name", EXACT)
def test_known_rows_are_at_the_noise_level_of_the_time(name, sde):
    """At every step they are ``alpha x0 + std eps`` with eps of unit variance: never clean at a noisy time."""
    batch = ragged_batch((0, 4, 1, 0, 5, 3, 0) * 100, dim=2)
    known, values = torch.rand(1300) < 0.5, torch.randn(1300, 2, dtype=torch.float64)
    batch = replace(batch, {"known": known, "values": values})
    process = ForwardProcess({Field("pos"): sde})
    model = Inpainting(GaussianScore(process, 0.5, 0.7), "pos", "known", "values")
    grid = times.karras_grid(12, sde, start=0.9, end=1e-3)
    start, seen = torch.full((700,), 0.9, dtype=torch.float64), []
    noisy = process.perturb(replace(batch, {"pos": values}), start, generator=torch.Generator().manual_seed(0))

    def callback(step, t, batch):
        time = torch.tensor(t, dtype=torch.float64)
        seen.append(((batch.pos - sde.alpha(time) * values) / sde.std(time))[known])

    SAMPLERS[name](model, grid).integrate(noisy.batch, torch.Generator().manual_seed(1), callback)
    numbers = seen[0].numel()
    for eps in seen:
        assert float(eps.mean()) == pytest.approx(0, abs=4 / numbers**0.5)
        assert float(eps.std()) == pytest.approx(1, rel=4 / (2 * numbers) ** 0.5)
    kept = [torch.allclose(eps, seen[0], rtol=0, atol=1e-9) for eps in seen]
    # Without fresh noise, it is that of the beginning.
    assert all(kept) if not SAMPLERS[name].stochastic else not any(kept[2:])


class UnitDraws(GraphGenerator):
    """Noise for copies of a graph of n nodes: 1 for node k in draw d of copy ``first + d n + k``, zero elsewhere."""

    def __init__(self, first: int, num_nodes: int) -> None:
        super().__init__([])
        self.first = first
        self.num_nodes = num_nodes

    def randn(self, index, num_graphs, width, dtype):
        noise = torch.zeros(num_graphs, self.num_nodes, dtype=dtype)
        here = self.first + self.num_draws * self.num_nodes
        noise[here : here + self.num_nodes] = torch.eye(self.num_nodes, dtype=dtype)
        self.num_draws += 1
        return noise.view(-1, 1).expand(-1, width)


def moment_errors(data, sampler, num_draws, target):
    """Errors of mean and covariance of the samples of a linear model, carried along exactly without sampling.

    Copies of one graph take each step together: one from zero, the others from unit vectors or with units of noise.
    """
    size = data.batch.num_nodes
    copies = 1 + size * (1 + num_draws)
    many = Batch.from_data_list(data.batch.to_data_list() * copies)
    unit = torch.zeros(copies, size, 2, dtype=torch.float64)
    unit[1 : 1 + size] = torch.eye(size)[..., None]
    alpha, std = data.sde.alpha(sampler.grid), data.sde.std(sampler.grid)
    mean, covariance = alpha[0] * data.mean, alpha[0] ** 2 * data.covariance + std[0] ** 2 * data.noise
    for t, s in pairwise(sampler.grid):
        generator = UnitDraws(1 + size, size)
        batch = replace(many, {"pos": unit.flatten(0, 1)})
        after = sampler.step(sampler.model, batch, t.expand(copies), s.expand(copies), None, generator)[0].pos
        after = after.view(copies, size, 2)
        assert generator.num_draws == num_draws
        linear, kicks = (after[1:] - after[0])[..., 0].split([size, size * num_draws])
        mean = after[0] + linear.T @ mean
        covariance = linear.T @ covariance @ linear + kicks.T @ kicks
    return tuple(float((got - exact).abs().max()) for got, exact in zip((mean, covariance), target, strict=True))


@pytest.fixture
def five(gaussian_data):
    """Five correlated nodes, two of which are known."""
    data = gaussian_data(VESDE(), sizes=(5,))
    data.batch.known = torch.tensor([True, False, True, False, False])
    data.batch.target = torch.randn(5, 2, dtype=torch.float64)
    return data


@pytest.mark.exact
def test_resampling_conditions_correlated_rows(five):
    """Its error falls as one over the number of resamples; without, it is larger than the spread that is left."""
    exact = five.given(*five.known_rows(), 0.0)
    assert float(exact[1].diagonal().max()) ** 0.5 < 0.4
    model = Inpainting(five.model, "pos", "known", "target")
    grid = times.karras_grid(40, five.sde, end=1e-3)
    errors = torch.tensor(
        [
            moment_errors(five, ResamplingSampler(model, grid, method="heun", num_resamples=number), number - 1, exact)
            for number in (1, 4, 8, 16, 32)
        ]
    )
    means, covariances = errors.T
    assert float(means[0]) > 0.7 and float(means[-1]) < 0.06
    assert float(covariances[0]) > 0.03 and float(covariances[-1]) < 2e-3
    assert (means[1:-1] > 1.7 * means[2:]).all() and (covariances[:-1] > 1.5 * covariances[1:]).all()


@pytest.mark.exact
def test_a_restraint_of_infinite_strength_needs_no_resampling(five):
    """The other way to fix rows, at the same number of steps."""
    exact = five.given(*five.known_rows(), 0.0)
    model = HarmonicRestraint(five.model, "pos", "known", "target", math.inf, num_iterations=2)
    grid = times.karras_grid(40, five.sde, end=1e-3)
    assert max(five.flow(HeunSampler(model, grid), *exact)) < 5e-3


def fragment(zero_mean=True, scale=1.7):
    """A model of coordinates in space whose known nodes lie anywhere, turned anyhow; and a batch for it."""
    field = Field("pos", scale=scale, zero_mean=zero_mean)
    batch = ragged_batch(SIZES)
    known = torch.tensor([1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0]).bool()  # all, some or none of a graph's nodes
    values = 3 * torch.randn(13, 3, dtype=torch.float64) + 20
    values[~known] = torch.nan
    batch = replace(batch, {"known": known, "values": values, "pos": field.project(batch.pos, batch.batch, 7)})
    return GaussianScore(ForwardProcess({field: VESDE()}), std=0.8), batch


def distances(x):
    return torch.cdist(x, x)


@pytest.mark.parametrize("rigid", [False, True])
def test_a_fragment_is_placed_where_the_model_predicts_it(rigid):
    model, batch = fragment()
    plain, x0_hat = (m(batch, T)["pos"] for m in (model, Inpainting(model, "pos", "known", "values", rigid)))
    assert torch.equal(x0_hat[~batch.known], plain[~batch.known])
    assert float(ops.mean(x0_hat, batch.batch, 7).abs().max()) < 1e-14
    for graph in (1, 4):
        rows = batch.known & (batch.batch == graph)
        placed, values, predicted = x0_hat[rows], batch["values"][rows] / 1.7, plain[rows]
        assert_close(placed.mean(0), predicted.mean(0))
        assert_close(distances(placed), distances(values))
        turned = placed - placed.mean(0)
        same = torch.allclose(turned, values - values.mean(0))
        assert same != rigid
        # The covariance of fragment and prediction is symmetric and positive only at the best rotation.
        moment = turned.T @ (predicted - predicted.mean(0))
        assert torch.allclose(moment, moment.T) == rigid


@pytest.mark.parametrize("rigid, zero_mean", [(False, True), (True, True), (True, False)])
def test_placed_samples_have_the_fragment_where_it_is(rigid, zero_mean):
    model, batch = fragment(zero_mean)
    inpainting = Inpainting(model, "pos", "known", "values", rigid)
    grid = times.karras_grid(10, VESDE(), end=1e-3)
    sample = SAMPLERS["ancestral"](inpainting, grid)(batch, GraphGenerator(range(7))).batch
    sample = replace(sample, {"pos": sample.pos.double()})
    placed = inpainting.place(sample)
    tolerance = {"rtol": 0, "atol": 1e-4}  # samples of a model without parameters are float32
    assert_close(placed.pos[batch.known], batch["values"][batch.known], **tolerance)
    for graph in range(7):
        before, after = (x[batch.batch == graph] for x in (sample.pos, placed.pos))
        assert_close(distances(before), distances(after), **tolerance)  # moved as a whole
        assert torch.equal(before, after) == (graph not in (1, 2, 4))


def test_a_fragment_that_is_not_free_is_not_moved():
    model, batch = fragment(zero_mean=False)
    inpainting = Inpainting(model, "pos", "known", "values")
    x0_hat = inpainting(batch, T)["pos"]
    assert torch.equal(x0_hat[batch.known], (batch["values"] / 1.7)[batch.known])
    assert torch.equal(inpainting.place(batch).pos, batch.pos)


def test_wrong_attributes_are_named():
    model, batch = fragment()
    with pytest.raises(ValueError, match="Inpainting: the process has no field 'x'; it has \\['pos'\\]"):
        Inpainting(model, "x", "known", "values")
    with pytest.raises(ValueError, match="'pos' is a field, which sampling overwrites"):
        Inpainting(model, "pos", "known", "pos")
    with pytest.raises(ValueError, match="no tensor 'mask'; it has"):
        Inpainting(model, "pos", "mask", "values")(batch, T)
    with pytest.raises(ValueError, match="'known' must be of type bool, but is torch.float32"):
        Inpainting(model, "pos", "known", "values")(replace(batch, {"known": torch.ones(13)}), T)
    with pytest.raises(ValueError, match="'values' must have shape \\[13, 3\\], but has \\[13, 2\\]"):
        Inpainting(model, "pos", "known", "values")(replace(batch, {"values": torch.ones(13, 2)}), T)
    with pytest.raises(ValueError, match="'known' must have shape \\[13\\], but has \\[7\\]"):
        Inpainting(model, "pos", "known", "values")(replace(batch, {"known": torch.ones(7).bool()}), T)
