from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch.testing import assert_close

from graphscore import times
from graphscore.rng import GraphGenerator
from graphscore.sdes import SDES, VESDE
from graphscore.times import GRIDS

SDE = VESDE()


def test_stratified_puts_one_number_into_each_stratum_in_random_order():
    u = times.stratified(64, generator=torch.Generator().manual_seed(0))
    assert u.dtype == torch.float64 and u.shape == (64,)
    assert (u * 64).floor().sort().values.tolist() == list(range(64))
    assert u.tolist() != u.sort().values.tolist()
    again = times.stratified(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(u, again)


def test_each_stratified_number_alone_is_uniform():
    generator = torch.Generator().manual_seed(0)
    first = torch.stack([times.stratified(3, generator=generator)[0] for _ in range(4000)])
    assert scipy.stats.kstest(first.numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("num_graphs", [0, 1])
def test_stratified_of_few_graphs(num_graphs):
    assert times.stratified(num_graphs).shape == (num_graphs,)


def test_stratified_rejects_per_graph_generators():
    with pytest.raises(ValueError, match="couple the graphs"):
        times.stratified(2, generator=GraphGenerator([1, 2]))


def test_uniform_covers_its_range():
    t = times.uniform(torch.tensor([0.0, 0.5, 1.0]).double(), eps=0.2)
    assert_close(t, torch.tensor([0.2, 0.6, 1.0]).double())


@pytest.mark.parametrize("eps", [0, 1, -0.1])
def test_uniform_rejects_a_bad_eps(eps):
    with pytest.raises(ValueError, match="eps"):
        times.uniform(torch.rand(3), eps=eps)


def test_log_normal_levels_are_log_normal():
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    log_level = SDE.level(times.log_normal(u, SDE, mean=-0.5, std=0.7)).log()
    assert scipy.stats.kstest(log_level.numpy(), "norm", args=(-0.5, 0.7)).statistic < 1e-3


def test_log_normal_times_are_clipped():
    t = times.log_normal(torch.tensor([0.0, 0.5, 1.0]).double(), SDE, std=10.0, eps=1e-3)
    assert t[0] == 1e-3 and t[2] == 1 and 1e-3 < t[1] < 1


def test_linear_grid():
    grid = times.linear_grid(4, start=0.9, end=0.1)
    assert grid.dtype == torch.float64
    assert_close(grid, torch.tensor([0.9, 0.7, 0.5, 0.3, 0.1]).double())


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_karras_grid_falls_evenly_in_the_root_of_the_level(rho):
    grid = times.karras_grid(50, SDE, start=0.9, end=1e-4, rho=rho)
    assert grid.shape == (51,) and grid[0] == 0.9 and grid[-1] == 1e-4
    assert (grid.diff() < 0).all()
    steps = (SDE.level(grid) ** (1 / rho)).diff()
    assert_close(steps, steps.mean().expand(50), rtol=1e-9, atol=0)


def test_log_snr_grid_falls_evenly_in_the_logarithm_of_the_level():
    grid = times.log_snr_grid(50, SDE, start=0.9, end=1e-4)
    assert grid.shape == (51,) and grid[0] == 0.9 and grid[-1] == 1e-4
    steps = SDE.level(grid).log().diff()
    assert (steps < 0).all()
    assert_close(steps, steps.mean().expand(50), rtol=1e-9, atol=0)


@pytest.mark.parametrize("process", SDES)
@pytest.mark.parametrize("name", GRIDS)
def test_grids_of_configurations_end_at_the_smallest_noise(name, process):
    """Whatever the number of steps: never only the noisiest slice of the way."""
    sde = SDES[process]()
    for num_steps in (1, 2, 50):
        grid = GRIDS[name](num_steps, sde)
        assert len(grid) == num_steps + 1 and (grid.diff() < 0).all()
        assert float(sde.level(grid[-1])) == pytest.approx(10**-2.5) and grid[0] == sde.max_time
        assert float(sde.level(grid[0])) > 9
    assert GRIDS[name](3, sde, start=0.5, end=0.1)[[0, -1]].tolist() == [0.5, 0.1]


@pytest.mark.parametrize(
    "arguments", [{"num_steps": 0}, {"end": 0.0}, {"start": 1.5}, {"start": 0.1, "end": 0.2}, {"end": math.nan}]
)
def test_bad_grids_are_rejected(arguments):
    arguments = {"num_steps": 5, **arguments}
    with pytest.raises(ValueError, match="time grid"):
        times.linear_grid(**arguments)
    with pytest.raises(ValueError, match="time grid"):
        times.karras_grid(arguments.pop("num_steps"), SDE, **arguments)
