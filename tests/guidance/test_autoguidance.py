from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore.denoiser import ScoreModel
from graphscore.fields import Field
from graphscore.guidance import Autoguidance
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import HeunSampler
from graphscore.testing import ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7], dtype=torch.float64)


class Gaussian(ScoreModel):
    """Exact model of ``x0 ~ N(0, width^2)``."""

    def __init__(self, process: ForwardProcess, width: float) -> None:
        super().__init__(process)
        self.width = width

    def forward(self, batch, t):
        ((_, sde),) = self.process
        alpha, std = (c[batch.batch, None] for c in (sde.alpha(t), sde.std(t)))
        return {"pos": alpha * self.width**2 / (alpha**2 * self.width**2 + std**2) * batch.pos}


@pytest.fixture
def models(sde):
    """A good model, and one whose samples are too wide."""
    process = ForwardProcess({Field("pos"): sde})
    return Gaussian(process, 0.5), Gaussian(process, 0.8)


@pytest.mark.exact
@pytest.mark.parametrize("strength", [0.0, 1.0, 1.5, 3.0])
def test_the_score_is_that_of_the_product_of_densities(sde, models, strength):
    """Precisions of Gaussians add, at each noise level."""
    batch = ragged_batch(SIZES, dim=2)
    alpha, std = (c[batch.batch, None] for c in (sde.alpha(T), sde.std(T)))
    good, weak = (1 / (alpha**2 * model.width**2 + std**2) for model in models)
    expected = -(strength * good + (1 - strength) * weak) * batch.pos
    assert_close(Autoguidance(*models, strength).score(batch, T)["pos"], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.exact
def test_only_the_given_levels_are_guided(sde, models):
    batch = ragged_batch(SIZES, dim=2)
    low, high = sorted(sde.level(T).tolist())[2:5:2]
    some = Autoguidance(*models, 2.0, (low, high))(batch, T)["pos"]
    inside = ((low <= sde.level(T)) & (sde.level(T) <= high))[batch.batch, None]
    everywhere = Autoguidance(*models, 2.0)(batch, T)["pos"]
    assert torch.equal(some, torch.where(inside, everywhere, models[0](batch, T)["pos"]))
    assert 0 < inside.sum() < len(inside)


def test_samples_become_narrower_than_those_of_the_good_model(models):
    batch, widths = ragged_batch([2000], dim=3), []
    for model in (models[1], models[0], Autoguidance(*models, 2.0)):
        result = HeunSampler(model, 20)(batch, GraphGenerator([0]))
        widths.append(result.batch.pos.std().item())
        assert result.num_evaluations.tolist() == [41 * model.evaluations_per_call]
    assert widths[0] == pytest.approx(0.8, rel=0.05) and widths[1] == pytest.approx(0.5, rel=0.05)
    assert widths[2] < 0.9 * widths[1]


def test_models_of_two_processes_are_refused(sde, models):
    other = Gaussian(ForwardProcess({Field("pos", scale=2.0): sde}), 0.8)
    with pytest.raises(ValueError, match=r"two models of one process.* and the weaker one .*scale=2.0"):
        Autoguidance(models[0], other, 2.0)
    with pytest.raises(ValueError, match="levels must rise from 0 or more, but are 2.0 and 0.5"):
        Autoguidance(*models, 2.0, levels=(2.0, 0.5))
