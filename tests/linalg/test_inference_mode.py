"""Everything that samples or scores works inside ``torch.inference_mode()`` and ``torch.no_grad()``."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from graphscore import ops, times
from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.guidance import (
    GUIDANCE,
    ClassifierFreeGuidance,
    Condition,
    DistanceRestraint,
    EnergyGuidance,
    HarmonicRestraint,
    Inpainting,
    LowTemperature,
    ParticleGuidance,
)
from graphscore.linalg.autograd import TensorMemo
from graphscore.nn import EGNN, Category, ScoreNetwork
from graphscore.objectives import OBJECTIVES
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, HeunSampler, log_density
from graphscore.sdes import VPSDE, HarmonicSDE
from graphscore.testing import ragged_batch

SIZES = (3, 0, 3, 1)
GRID = times.linear_grid(2, start=0.5, end=0.1)
MODES = {"inference": torch.inference_mode, "no-grad": torch.no_grad}
FIELD = Field("pos", zero_mean=True)


def problem():
    """A network, and a batch with all that the kinds of guidance read; both depend on nothing but the seed."""
    torch.manual_seed(0)
    batch = ragged_batch(SIZES, edgeless=())
    batch.group = torch.tensor([0, 1, 0, 2])
    batch.known = torch.arange(batch.num_nodes) % 3 == 0
    batch.target = torch.randn(batch.num_nodes, 3, dtype=torch.float64)
    batch.pair_index = batch.edge_index[:, :2]
    batch.low, batch.high = torch.zeros(2).double(), torch.ones(2).double()
    return batch


def model(sde) -> Denoiser:
    torch.manual_seed(0)
    network = ScoreNetwork(EGNN(8, 2, cond_channels=4), {"pos": 3}, {"z": Category(4)})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return Denoiser(network, ForwardProcess({FIELD: sde})).double()


def energy(batch):
    return ops.sum(batch.pos.square().sum(-1), batch.batch, batch.num_graphs)


GUIDED = {
    "classifier-free": lambda inner: ClassifierFreeGuidance(inner, [Condition("z", 0, "node")], 2.0),
    "inpainting": lambda inner: Inpainting(inner, "pos", "known", "target", rigid=True),
    "energy": lambda inner: EnergyGuidance(inner, energy),
    "harmonic-restraint": lambda inner: HarmonicRestraint(inner, "pos", "known", "target", 1.0),
    "distance-restraint": lambda inner: DistanceRestraint(inner, "pos", "pair_index", ("low", "high"), 1.0),
    "particle": lambda inner: ParticleGuidance(inner, "pos", "group", 1.0, 1.0, rigid=True),
    "low-temperature": lambda inner: LowTemperature(inner, 1.5),
}


def assert_same_everywhere(run):
    """What comes out does not depend on the mode of the caller, wherever the batch was made."""
    expected, outside = run(problem()), problem()
    for mode in MODES.values():
        with mode():
            assert_close(run(problem()), expected)
            assert_close(run(outside), expected)
    # What was kept inside inference mode must not stand in the way of derivatives later on.
    assert_close(run(outside), expected)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers(name):
    guided = EnergyGuidance(model(HarmonicSDE(VPSDE())), energy)
    quick = {"num_corrections": 1, "tolerance": math.inf} if name == "annealed-langevin" else {}
    sampler = SAMPLERS[name](guided, GRID, **quick)
    assert_same_everywhere(lambda batch: sampler(batch, GraphGenerator(range(4))).batch.pos)


@pytest.mark.parametrize("name", GUIDANCE)
def test_guidance_called_by_itself(name):
    guided, t = GUIDED[name](model(HarmonicSDE(VPSDE()))), torch.full((4,), 0.5).double()
    assert_same_everywhere(lambda batch: guided(batch, t.clone())["pos"].detach())


def test_log_densities():
    inner = model(HarmonicSDE(VPSDE()))
    assert_same_everywhere(lambda batch: log_density(inner, batch, rtol=1e-2, atol=1e-2).nats)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives(name):
    """As in validation: derivatives by the input must not come out as zero where none are recorded."""
    inner, t = model(HarmonicSDE(VPSDE())), torch.tensor([0.2, 0.5, 0.7, 0.3]).double()
    objective = OBJECTIVES[name].bind(**({"target": model(VPSDE())} if name == "explicit" else {}))
    assert_same_everywhere(
        lambda batch: objective(
            inner, batch, t.clone(), reduce="mean", generator=torch.Generator().manual_seed(0)
        )["pos"].detach()
    )  # fmt: skip


def test_samples_of_inference_mode_can_be_differentiated_later():
    with torch.inference_mode():
        sample = HeunSampler(model(VPSDE()), GRID)(problem(), GraphGenerator(range(4))).batch
    assert not sample.pos.is_inference() and not sample.batch.is_inference()


@pytest.mark.parametrize("through", ["guidance", "density", "objective"])
def test_a_model_made_inside_inference_mode_says_what_to_do(through):
    with torch.inference_mode():
        inner = model(VPSDE())
    batch, t = problem(), torch.full((4,), 0.5).double()
    with pytest.raises(ValueError, match=r"was made inside torch.inference_mode\(\).*make or load the model before"):
        if through == "guidance":
            EnergyGuidance(inner, energy)(batch, t)
        elif through == "density":
            log_density(inner, batch)
        else:
            OBJECTIVES["implicit"](inner, batch, t, reduce="mean")


def test_a_memo_holds_while_all_its_tensors_stay_the_same():
    memo, first, second = TensorMemo(), torch.zeros(2), torch.zeros(2)
    made = memo.get([first, second], "a", object)
    assert memo.get([first, second], "a", object) is made
    assert memo.get([first, second], "b", object) is not made
    assert memo.get([first, second.clone()], "a", object) is not made
    made = memo.get([first, second], "a", object)
    second += 1
    assert memo.get([first, second], "a", object) is not made
    with torch.inference_mode():
        untracked = torch.zeros(2)
        assert memo.get([first, untracked], "a", object) is not memo.get([first, untracked], "a", object)
        assert memo.get([first], "c", lambda: torch.zeros(2) + 1).is_inference() is False
    del first
    assert len(memo) == 0
