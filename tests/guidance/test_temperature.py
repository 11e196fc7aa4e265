"""Scores times a factor: exactly so at each noise level, and what it does to samples of Gaussian data."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore.fields import Field
from graphscore.guidance import LowTemperature
from graphscore.process import ForwardProcess
from graphscore.samplers import AncestralSampler
from graphscore.sdes import GeometricVESDE, RectifiedSDE
from graphscore.testing import GaussianScore, ragged_batch
from graphscore.times import log_snr_grid

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7], dtype=torch.float64)


@pytest.mark.exact
@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("strength", [0.75, 1.0, 2.0])
def test_the_score_is_that_of_the_model_times_the_strength(sde, gaussian_data, structured, strength):
    data = gaussian_data(sde, structured=structured)
    batch = data.noisy(T)
    guided = LowTemperature(data.model, strength)
    assert_close(guided.score(batch, T)["pos"], strength * data.model.score(batch, T)["pos"], rtol=1e-9, atol=1e-9)
    if strength == 1:
        assert torch.equal(guided(batch, T)["pos"], data.model(batch, T)["pos"])


@pytest.mark.exact
def test_angles_move_on_along_their_shift():
    process = ForwardProcess({Field("pos", periodic=True): GeometricVESDE(0.05, 3.2)})

    class Shifted(GaussianScore):
        def forward(self, batch, t):
            return {"pos": batch.pos + 0.25}

    batch = ragged_batch(SIZES, dim=2)
    found = LowTemperature(Shifted(process, "pos", 1.0), 3.0)(batch, T)["pos"]
    assert_close(found, batch.pos + 0.75)


@pytest.mark.parametrize("strength", [1.0, 1.5, 3.0])
def test_gaussian_data_have_the_variance_of_their_temperature(sde, strength):
    """Times ``1 / (2 k - 1)``, whatever the process: ``x / alpha`` obeys one equation in the level for all."""
    for process in (sde, RectifiedSDE()):
        model = LowTemperature(GaussianScore(ForwardProcess({Field("pos"): process}), std=0.4), strength)
        sampler = AncestralSampler(model, log_snr_grid(1200, process, end=1e-3), denoise_last=False)
        found = sampler(ragged_batch((10,) * 1000, dim=2), torch.Generator().manual_seed(0)).batch.pos
        # 20,000 values have 1 % of standard error, and 1,200 steps 1.5 % of bias.
        assert found.var() == pytest.approx(0.16 / (2 * strength - 1), rel=0.04)


@pytest.mark.parametrize("strength", [0.5, float("nan"), -1.0])
def test_strengths_without_a_temperature_are_refused(gaussian_data, sde, strength):
    with pytest.raises(ValueError, match="strength must be more than 0.5"):
        LowTemperature(gaussian_data(sde).model, strength)
