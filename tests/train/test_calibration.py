"""The error that a denoiser predicts of itself: exact for Gaussian data, whose posterior is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore.denoiser import DataAdapter
from graphscore.fields import Field
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.sdes import SDE, VPSDE
from graphscore.train.calibration import Calibration, errors
from graphscore.train.metrics import LevelBins


def density(u: torch.Tensor, sde: SDE) -> torch.Tensor:
    return 0.05 + 0.9 * u


def make_batch(num: int = 400) -> Batch:
    return Batch.from_data_list([Data(x=torch.randn(1 + n % 4, 3, dtype=torch.float64)) for n in range(num)])


def gaussian(process: ForwardProcess, sureness: float = 1.0) -> DataAdapter:
    """The posterior mean of standard normal data, or a too sure one, whose slope is less."""
    _, sde = next(iter(process))

    def estimate(batch: Batch, t: torch.Tensor) -> torch.Tensor:
        slope = sde.alpha(t) / (sde.alpha(t) ** 2 + sde.std(t) ** 2)
        return sureness * slope[batch.batch][:, None] * batch.x

    return DataAdapter(estimate, process)


def found(model: DataAdapter, batch: Batch, t: torch.Tensor):
    places = torch.arange(batch.num_graphs)
    return errors(model, batch, t, GraphGenerator(places, 0), GraphGenerator(places, 1))


def test_the_predicted_error_of_gaussian_data_is_the_posterior_variance():
    process, batch = ForwardProcess({Field("x", width=3): VPSDE()}), make_batch()
    _, sde = next(iter(process))
    t = density(torch.rand(400, dtype=torch.float64), sde)
    predicted, actual = found(gaussian(process), batch, t)
    variance = sde.std(t) ** 2 / (sde.alpha(t) ** 2 + sde.std(t) ** 2)
    dims = 3 * torch.bincount(batch.batch)
    # Sums of squares of as many independent normal numbers, of the noise and of the probes.
    for sums in (predicted, actual):
        ratio = (sums / variance).sum() / dims.sum()
        assert abs(ratio - 1) < 4 * math.sqrt(2 / dims.sum())
    halved, _ = found(gaussian(process, 0.5), batch, t)
    torch.testing.assert_close(halved, 0.5 * predicted, rtol=1e-10, atol=0)


def test_it_works_in_inference_mode_and_leaves_no_gradients():
    process, batch = ForwardProcess({Field("x", width=3): VPSDE()}), make_batch(5)
    with torch.inference_mode():
        t = torch.full((5,), 0.5, dtype=torch.float64)
        predicted, actual = found(gaussian(process), batch, t)
    assert not predicted.requires_grad and bool((predicted > 0).all()) and bool((actual > 0).all())


def test_ratios_come_by_noise_level_over_all_ranks():
    process, batch = ForwardProcess({Field("x", width=3): VPSDE()}), make_batch()
    model = gaussian(process)
    bins = LevelBins(model, density)
    t = density(torch.arange(400, dtype=torch.float64) / 400, next(iter(process))[1])
    whole, halves = Calibration(bins), [Calibration(bins), Calibration(bins)]
    both = found(model, batch, t)
    whole.add(t, both)
    for k, half in enumerate(halves):
        half.add(t[k::2], type(both)(*(values[k::2] for values in both)))
    other = halves[1].sums
    ratios, summed = whole.ratios(lambda sums: sums), halves[0].ratios(lambda sums: sums + other)
    assert list(ratios) == list(summed) == whole.names
    for name, ratio in ratios.items():
        assert float(summed[name]) == pytest.approx(float(ratio)) and 0.6 < float(ratio) < 1.6
