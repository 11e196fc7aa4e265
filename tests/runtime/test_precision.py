"""Training and sampling on another device, with float64 and without it, that a stub of tensors stands for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser, ScoreAdapter
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.objectives import OBJECTIVES, WEIGHTS
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.runtime import precision
from graphscore.samplers import SAMPLERS
from graphscore.sdes import EDMSDE, SDE, VESDE, VPSDE, HarmonicSDE
from graphscore.times import karras_grid
from graphscore.train.augmentation import RandomRotation, SignFlips
from graphscore.train.metrics import LevelBins, LossMeans
from graphscore.train.task import ScoreMatchingTask

QUICK = {
    "annealed-langevin": {"num_corrections": 2, "tolerance": math.inf},
    "adaptive": {"rtol": 0.1, "atol": 0.1},
}
WIDTHS = pytest.mark.parametrize("float64", [True, False], ids=["float64", "no float64"])


def make_batch() -> Batch:
    generator, graphs = torch.Generator().manual_seed(1), []
    for size in (2, 5, 3):
        ends = torch.stack([torch.arange(size - 1), torch.arange(1, size)])
        pos, code = (torch.randn(size, 3, generator=generator) for _ in range(2))
        graphs.append(Data(pos=pos, code=code, edge_index=torch.cat([ends, ends.flip(0)], dim=1), num_nodes=size))
    return Batch.from_data_list(graphs)


def make_model(sde: SDE) -> Denoiser:
    torch.manual_seed(0)
    network = ScoreNetwork(EGNN(8, 2, cond_channels=8), {"pos": 3})
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return Denoiser(network, ForwardProcess({Field("pos", zero_mean=True, width=3): sde}))


def density(u: torch.Tensor, sde: SDE) -> torch.Tensor:
    return 1e-2 + 0.9 * u


def augment(batch: Batch, generator: GraphGenerator) -> Batch:
    return SignFlips(["code"])(RandomRotation()(batch, generator), generator)


@WIDTHS
@pytest.mark.parametrize(
    ("sde", "objective", "augmented", "waits"),
    [
        (VESDE(5.0), OBJECTIVES["denoising"].bind(weight=WEIGHTS["edm"]), None, False),
        (EDMSDE(), OBJECTIVES["flow-matching"], None, False),
        (VPSDE(), OBJECTIVES["sliced"], None, False),
        (HarmonicSDE(VPSDE()), OBJECTIVES["denoising"].bind(align={"pos": "noise"}), augment, True),
        (VPSDE(), OBJECTIVES["denoising"].bind(align={"pos": "target"}), augment, True),
    ],
    ids=["denoising", "flow matching", "sliced", "springs and turned noise", "turned targets"],
)
def test_a_training_step_elsewhere_is_the_same_and_does_not_wait(
    sde, objective, augmented, waits, float64, stub_device
):
    """The device is waited for only where springs or superpositions need float64 or a solver."""
    task = ScoreMatchingTask(make_model(sde), density, objective, "mean", seed=3, augment=augmented)
    batch = make_batch()
    expected, bins = task(batch, 0).loss, LevelBins(task.model, density)
    expected.backward()
    with stub_device(float64) as device:
        elsewhere, moved = device.copy(task), batch.to(device.device)
        device.waits = []
        out = elsewhere(moved, 0)
        (loss := out.loss).backward()
        if float64:
            LossMeans(["pos"], bins).add(out)
        assert bool(device.waits) == waits, device.waits
        assert loss.device == device.device
    torch.testing.assert_close(loss.numbers, expected.detach(), rtol=1e-4, atol=0)
    for mine, other in zip(elsewhere.parameters(), task.parameters(), strict=True):
        assert (mine.grad.numbers - other.grad).norm() < 1e-4 * (other.grad.norm() + 1)


@WIDTHS
@pytest.mark.parametrize("name", SAMPLERS)
def test_sampling_elsewhere_gives_the_same_samples_and_does_not_wait(name, float64, stub_device):
    # The stub has no forward-mode derivatives, by which others get the rates of their times.
    sde = EDMSDE() if float64 else VPSDE()
    model, template = make_model(sde), make_batch()
    grid = karras_grid(3, sde, start=0.9, end=0.01)
    quick = QUICK.get(name, {})
    expected = SAMPLERS[name](model, grid, **quick)(template, GraphGenerator([3, 1, 4]))
    with stub_device(float64) as device:
        sampler, moved = SAMPLERS[name](device.copy(model), grid, **quick), template.to(device.device)
        device.waits = []
        found = sampler(moved, GraphGenerator([3, 1, 4]))
        assert not device.waits or name == "adaptive", device.waits  # it waits to see who has arrived, on any device
    torch.testing.assert_close(found.batch.pos.numbers, expected.batch.pos, rtol=1e-3, atol=1e-4)


def test_noise_without_float64_is_the_same_to_the_digits_of_its_type(stub_device):
    index = torch.arange(20_000) // 10_000
    expected = GraphGenerator([5, 2**40]).randn(index, 2, 3, torch.float64)
    with stub_device(float64=False) as device:
        found = GraphGenerator([5, 2**40]).randn(device.tensor(index), 2, 3, torch.float32)
    torch.testing.assert_close(found.numbers.double(), expected, rtol=0, atol=5e-6)
    assert expected.abs().max() > 4  # tails, too


def test_a_function_of_ones_own_finds_its_times_beside_the_batch(stub_device):
    seen = []

    def score(batch: Batch, t: torch.Tensor) -> torch.Tensor:
        seen.append((t.device, t.dtype))
        return -batch.pos / (1 + t[batch.batch, None])

    process = ForwardProcess({Field("pos", width=3): VPSDE()})
    batch, t = make_batch(), torch.full((3,), 0.5, dtype=torch.float64)
    expected = ScoreAdapter(score, process)(batch, t)["pos"]
    with stub_device(float64=False) as device:
        moved = batch.to(device.device)
        found = ScoreAdapter(score, process)(moved, t.to(precision.double_device(moved.batch.device)))["pos"]
    assert seen == [(torch.device("cpu"), torch.float64), (stub_device.device, torch.float32)]
    torch.testing.assert_close(found.numbers.double(), expected.double(), rtol=1e-5, atol=1e-6)
