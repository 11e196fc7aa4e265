"""Every sampler against scores that are known: moments, and the measured order of convergence."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore import ops, times
from graphscore.fields import Field, replace
from graphscore.generators import GraphGenerator
from graphscore.process import ForwardProcess
from graphscore.samplers import SAMPLERS, HeunSampler, PredictorCorrectorSampler
from graphscore.sdes import VESDE
from graphscore.testing import GaussianMixtureScore, GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)


@pytest.fixture(params=["ve", "vp"])
def sde(request, vp):
    return vp if request.param == "vp" else VESDE()


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("zero_mean", [False, True])
def test_moments_of_a_gaussian_on_a_ragged_batch(name, sde, zero_mean):
    """One-node graphs among them: step sizes from the norms of each graph's sample would go astray there."""
    field = Field("pos", scale=2.0, zero_mean=zero_mean)
    process = ForwardProcess({field: sde})
    model = GaussianScore(process, "mean", std=0.5)
    batch = ragged_batch(SIZES * 300)
    batch.mean = torch.randn(13, 3).repeat(300, 1)
    grid = times.karras_grid(150, sde.time, sde.level, end=1e-4)
    # From exact samples at time 1: in the prior of this process, a twentieth of the mean is missing.
    generator = torch.Generator().manual_seed(0)
    start = process.perturb(model.sample(batch, generator), torch.ones(batch.num_graphs), generator=generator).batch
    sample = SAMPLERS[name](model, grid).integrate(start, generator).pos
    # Each of the 13 nodes has its own mean, known to 4 standard errors.
    mean = field.project(batch.mean, batch.batch, batch.num_graphs)
    error = (sample - mean).view(300, 13, 3).mean(0)
    assert float(error.abs().max()) < 4 * 0.5 / 300**0.5
    nodes = ops.count(batch.batch, batch.num_graphs)[batch.batch]
    for size in (1, 3, 4, 5):
        residual = (sample - mean)[nodes == size]
        freedom = (size - 1) / size if zero_mean else 1
        standard_error = (2 / (freedom * residual.numel())) ** 0.5 if freedom else 0
        variance = float(residual.square().mean())
        # With 150 steps, methods of order 1 are up to 3 % too wide.
        assert variance == pytest.approx(0.25 * freedom, rel=4 * standard_error + 0.03, abs=1e-10)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("per_graph", [False, True])
def test_a_mixture_keeps_its_weights_and_widths(name, per_graph):
    sde = VESDE()
    model = GaussianMixtureScore(ForwardProcess({Field("pos"): sde}), std=0.1, weights=[0.7, 0.3], per_graph=per_graph)
    batch = ragged_batch((2, 0, 1) * 700, dim=1)
    batch.means = torch.tensor([[[-1.0], [1.0]]]).expand(batch.num_nodes, 2, 1)
    grid = times.karras_grid(200, sde.time, sde.level, end=1e-5)
    x = SAMPLERS[name](model, grid, denoise_last=False)(batch, torch.Generator().manual_seed(0)).pos
    independent = 1400 if per_graph else 2100
    assert float((x > 0).float().mean()) == pytest.approx(0.3, abs=4 * (0.21 / independent) ** 0.5)
    width = (0.01 + float(sde.std(torch.tensor(1e-5))) ** 2) ** 0.5
    assert float((x - x.sign()).std()) == pytest.approx(width, rel=0.1)
    agree = x[0::3].sign() == x[1::3].sign()  # the two nodes of each pair
    assert float(agree.float().mean()) == (1 if per_graph else pytest.approx(0.58, abs=4 * (0.25 / 700) ** 0.5))


def slope(steps: list[int], errors: list[float]) -> float:
    """Order of convergence: minus the slope of log error over log steps."""
    x, y = (torch.tensor(v, dtype=torch.float64).log() for v in (steps, errors))
    return -float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


GRIDS = {
    "linear": lambda steps, sde: times.linear_grid(steps, start=0.8, end=0.2),
    "karras": lambda steps, sde: times.karras_grid(steps, sde.time, sde.level, end=1e-3),
}


def path_error(name, steps, grid, sde):
    """Largest distance of any node from the exact probability flow, started from exact samples of ``p_start``."""
    field = Field("pos", zero_mean=True)
    process = ForwardProcess({field: sde})
    model, batch = GaussianScore(process, "mean", std=0.5), ragged_batch(SIZES)
    batch.mean = torch.randn(13, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    times_ = GRIDS[grid](steps, sde)
    start, end = (time.expand(7) for time in (times_[0], times_[-1]))
    clean = model.sample(batch, torch.Generator().manual_seed(2), torch.float64)
    noisy = process.perturb(clean, start, generator=torch.Generator().manual_seed(3)).batch
    result = SAMPLERS[name](model, times_).integrate(noisy)
    return float((result.pos - model.flow(noisy, start, end).pos).abs().max())


@pytest.mark.parametrize("grid", GRIDS)
def test_heun_paths_converge_to_the_exact_flow_with_order_2(sde, grid):
    steps = [32, 64, 128, 256]
    errors = [path_error("heun", number, grid, sde) for number in steps]
    assert slope(steps, errors) == pytest.approx(HeunSampler.order, abs=0.1)
    assert errors[-1] < 2e-3


class OneDraw(GraphGenerator):
    """Noise whose draw number ``which`` is 1, and all others 0: reads off the coefficients of a step."""

    def __init__(self, which: int) -> None:
        super().__init__([])
        self.which = which

    def randn(self, index, num_graphs, width, dtype):
        self.num_draws += 1
        return torch.full((len(index), width), float(self.num_draws - 1 == self.which), dtype=dtype)


def coefficients(sampler):
    """The steps of a linear score, ``x -> keep x + shift + N(0, spread)``: three lists over the grid.

    All steps at once: graph number i of a batch of one-node graphs takes the i-th step.
    """
    t, s = sampler.grid[:-1], sampler.grid[1:]
    batch = ragged_batch([1] * len(t), dim=1)
    batch.mean = torch.ones_like(batch.pos)

    def step(value, generator):
        return sampler.step(replace(batch, {"pos": torch.full_like(batch.pos, value)}), t, s, None, generator)[0].pos

    counter = OneDraw(-1)
    shift = step(0.0, counter)
    keep = step(1.0, OneDraw(-1)) - shift
    kicks = [step(0.0, OneDraw(draw)) - shift for draw in range(counter.num_draws)]
    spread = sum((kick**2 for kick in kicks), torch.zeros_like(shift))
    return zip(*(values.flatten().tolist() for values in (keep, shift, spread)), strict=True)


def moment_errors(name, steps, grid, sde, **options):
    """Relative errors of mean and variance at the end, from exact ones at the start: carried along without sampling."""
    process = ForwardProcess({Field("pos"): sde})
    model = GaussianScore(process, "mean", std=0.5)
    sampler = SAMPLERS[name](model, GRIDS[grid](steps, sde), **options)
    ends = sampler.grid[[0, -1]]
    exact_means, exact_variances = sde.alpha(ends), model.marginal_std(process.fields["pos"], ends) ** 2
    mean, variance = float(exact_means[0]), float(exact_variances[0])
    for keep, shift, spread in coefficients(sampler):
        mean, variance = keep * mean + shift, keep**2 * variance + spread
    return abs(mean / float(exact_means[1]) - 1), abs(variance / float(exact_variances[1]) - 1)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_variances_converge_with_the_stated_order(name, sde, grid):
    """Sharp, because the variance is carried along exactly. The bias of the corrector is the next test's."""
    steps = [128, 256, 512, 1024]
    options = {"snr": 1e-3} if name == "predictor-corrector" else {}
    errors = [moment_errors(name, number, grid, sde, **options)[1] for number in steps]
    assert slope(steps, errors) == pytest.approx(SAMPLERS[name].order, abs=0.12), errors


def test_means_converge_with_the_stated_order(vp):
    steps = [64, 128, 256, 512]
    for name, options in (("euler-maruyama", {}), ("predictor-corrector", {"snr": 1e-3})):
        errors = [moment_errors(name, number, "karras", vp, **options)[0] for number in steps]
        assert slope(steps, errors) == pytest.approx(SAMPLERS[name].order, abs=0.1), errors
    # In the variables of the Heun sampler, the mean does not move at all.
    assert moment_errors("heun", 4, "karras", vp)[0] < 1e-12


@pytest.mark.parametrize("snr", [0.4, 0.2, 0.1, 0.05])
def test_corrector_bias_falls_with_the_square_of_snr(snr, sde):
    """Langevin steps of size a settle at the variance ``v / (1 - a / (2 v))``, with ``a = 2 (snr std)^2``."""
    field, t = Field("pos"), torch.tensor(0.7).double()
    model = GaussianScore(ForwardProcess({field: sde}), "mean", std=0.5)
    v = float(model.marginal_std(field, t)) ** 2
    ((keep, _, spread),) = coefficients(PredictorCorrectorSampler(model, torch.stack([t, t * (1 - 1e-12)]), snr=snr))
    bias = (snr * float(sde.std(t))) ** 2 / v
    assert spread / (1 - keep**2) == pytest.approx(v / (1 - bias), rel=1e-6)


def test_the_predictor_corrector_mends_the_start():
    """What Euler-Maruyama with few steps gets wrong, corrections mend: the point of the method."""
    sde = VESDE()
    plain = moment_errors("euler-maruyama", 60, "karras", sde)[1]
    mended = moment_errors("predictor-corrector", 60, "karras", sde, snr=0.16, num_corrections=2)[1]
    assert mended < plain / 2


def test_denoising_at_the_end_gives_the_posterior_mean(sde):
    model = GaussianScore(ForwardProcess({Field("pos"): sde}), std=0.5)
    template, grid = ragged_batch(SIZES), times.linear_grid(5, end=0.1)
    raw, denoised = (
        HeunSampler(model, grid, denoise_last=last)(template, GraphGenerator(range(7))) for last in (False, True)
    )
    assert_close(denoised.pos, model(raw, torch.full((7,), 0.1).double())["pos"])
