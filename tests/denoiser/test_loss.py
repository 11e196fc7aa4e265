"""A model's own loss against the objectives that it is made of."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.testing import assert_close

from graphscore import times
from graphscore.denoiser import NoiseAdapter
from graphscore.denoiser.self_conditioning import SelfConditioning
from graphscore.fields import Field
from graphscore.guidance import EnergyGuidance
from graphscore.objectives import OBJECTIVES, WEIGHTS, denoising_score_matching
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.sdes import VESDE, VPSDE
from graphscore.testing import GaussianScore, ragged_batch

T = torch.linspace(0.1, 0.9, 7, dtype=torch.float64)
PROCESS = ForwardProcess({Field("pos", scale=2.0, zero_mean=True): VESDE(), Field("x"): VPSDE()})
MODEL = GaussianScore(PROCESS, std=0.5)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    return (losses["pos"] + losses["x"]).mean()


@pytest.mark.exact
def test_by_default_it_is_denoising_at_stratified_uniform_times():
    batch, source = ragged_batch(), seeded()
    t = times.uniform(times.stratified(7, generator=source))
    expected = denoising_score_matching(MODEL, batch, t, reduce="mean", generator=source)
    assert torch.equal(MODEL.loss(batch, generator=seeded()), by_hand(expected))
    torch.manual_seed(5)
    once = MODEL.loss(batch)
    torch.manual_seed(5)
    assert torch.equal(MODEL.loss(batch), once) and not torch.equal(MODEL.loss(batch), once)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("weight", [None, "edm", "likelihood"])
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "explicit"])
def test_every_part_can_be_given(name, weight, reduce):
    batch, options = ragged_batch(), {} if weight is None else {"weight": WEIGHTS[weight]}
    expected = OBJECTIVES[name](MODEL, batch, T, reduce=reduce, generator=GraphGenerator(range(7)), **options)
    given = {"objective": OBJECTIVES[name], "t": T, "reduce": reduce, **options}
    losses = MODEL.losses(batch, generator=GraphGenerator(range(7)), **given)
    assert losses.keys() == expected.keys() and all(torch.equal(losses[field], expected[field]) for field in losses)
    assert_close(MODEL.loss(batch, generator=GraphGenerator(range(7)), **given), by_hand(expected))
    if name == "denoising":
        del given["objective"]
        assert_close(MODEL.losses(batch, generator=GraphGenerator(range(7)), **given), expected, rtol=0, atol=0)


def test_the_density_of_times_is_told_the_first_process():
    batch, source = ragged_batch(), seeded()
    t = times.log_normal(times.stratified(7, generator=source), VESDE(), mean=-0.3)
    expected = denoising_score_matching(MODEL, batch, t, reduce="mean", generator=source)
    found = MODEL.loss(batch, times=lambda u, sde: times.log_normal(u, sde, mean=-0.3), generator=seeded())
    assert torch.equal(found, by_hand(expected))


def test_all_score_models_have_it_and_it_trains_them_without_touching_the_batch():
    scale = torch.nn.Parameter(torch.tensor(0.3).double())
    process = ForwardProcess({Field("pos"): VPSDE()})
    inner = NoiseAdapter(lambda batch, t: scale * batch.pos, process)
    energy = EnergyGuidance(inner, lambda batch: batch.pos.sum() * torch.ones(7).double(), 0.0)
    batch = ragged_batch()
    before = copy.deepcopy(batch)
    for model in (inner, SelfConditioning(inner), energy):
        (gradient,) = torch.autograd.grad(model.loss(batch, generator=seeded()), [scale])
        assert float(gradient.abs()) > 0
    assert all(torch.equal(batch[key], before[key]) for key in ("pos", "x", "edge_index"))


def test_what_makes_no_sense_is_named():
    batch = ragged_batch()
    with pytest.raises(ValueError, match="Give the times t, or the density `times`.*not both"):
        MODEL.loss(batch, t=T, times=times.uniform)
    for wrong in (denoising_score_matching, "denoising"):
        with pytest.raises(ValueError, match="must be a value of graphscore.objectives.OBJECTIVES, or Objective"):
            MODEL.loss(batch, t=T, objective=wrong)
    with pytest.raises(ValueError, match="cannot do without the options .'target'"):
        MODEL.loss(batch, t=T, objective=OBJECTIVES["explicit"])
    with pytest.raises(ValueError, match="pass a torch.Generator"):
        MODEL.loss(batch, generator=GraphGenerator(range(7)))
    with pytest.raises(ValueError, match="one time per graph"):
        MODEL.loss(batch, t=T[:3])
    with pytest.raises(ValueError, match="Expected a PyG Batch"):
        MODEL.loss(batch[1])
