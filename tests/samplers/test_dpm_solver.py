from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore import times
from graphscore.fields import Field
from graphscore.process import ForwardProcess
from graphscore.samplers import AdaptiveSampler, DPMSolverSampler, dpm_solver
from graphscore.sdes import SDES
from graphscore.testing import GaussianMixtureScore


@pytest.mark.exact
@pytest.mark.parametrize("process", ["rectified", "vp"])
@pytest.mark.parametrize("end", [1e-5, 1e-3])
def test_a_last_step_that_is_long_in_log_noise_does_not_extrapolate_too_far(process, end, monkeypatch):
    """Paths of a mixture on grids that are even in time, against those of an adaptive method."""
    model = GaussianMixtureScore(ForwardProcess({Field("pos"): SDES[process]()}), std=0.2, weights=[0.3, 0.7])
    generator = torch.Generator().manual_seed(0)
    batch = Batch.from_data_list([
        Data(pos=torch.randn(1, 2, dtype=torch.float64, generator=generator), means=means,
             edge_index=torch.zeros(2, 0, dtype=torch.long))
        for means in torch.randn(200, 1, 2, 2, dtype=torch.float64, generator=generator)
    ])  # fmt: skip
    grid = times.linear_grid(10, start=0.95, end=end)
    exact = AdaptiveSampler(model, grid, rtol=1e-8, atol=1e-8).integrate(batch).batch.pos

    def error() -> float:
        return float((DPMSolverSampler(model, grid).integrate(batch).batch.pos - exact).square().mean().sqrt())

    bounded = error()
    monkeypatch.setattr(dpm_solver, "MAX_RATIO", math.inf)
    assert bounded < 0.5 * error()
