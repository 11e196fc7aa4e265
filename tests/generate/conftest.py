"""A small sampler, templates of several sizes, and their samples side by side."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import CompleteGraph
from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.generate.jobs import generate as stream
from graphscore.nn import EGNN, Category, ScoreNetwork
from graphscore.process import ForwardProcess
from graphscore.samplers import EulerMaruyamaSampler, Sampler
from graphscore.sdes import VESDE
from graphscore.times import linear_grid


@pytest.fixture
def sampler() -> Sampler:
    torch.manual_seed(0)
    process = ForwardProcess({Field("pos", zero_mean=True, width=3, scale=2.0): VESDE()})
    network = ScoreNetwork(EGNN(8, 2, cond_channels=4), {"pos": 3}, {"z": Category(10)})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return EulerMaruyamaSampler(Denoiser(network, process).double().eval(), linear_grid(6))


def _template(size: int, **more: object) -> Data:
    return Data(z=torch.arange(size) % 3, edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=size, **more)


_TEMPLATES = [_template(n) for n in (4, 1, 7, 4, 2)]


class Result(NamedTuple):
    """Outcomes side by side."""

    samples: list[list[Data]]
    failures: list[str | None]
    numbers: list[list[int]]


def _generate(*args: Any, **options: Any) -> Result:
    outcomes = list(stream(*args, **options))
    numbers = [[sample.sample - 1 for sample in outcome.samples] for outcome in outcomes]
    return Result([outcome.samples for outcome in outcomes], [outcome.failure for outcome in outcomes], numbers)


def _first_noise(sampler: Sampler, templates: list[Data], seed: int = 3) -> list[list[torch.Tensor]]:
    """The noise that the samples of each template start from."""
    found: dict[tuple[int, int], torch.Tensor] = {}

    def trace(jobs, step, t, batch):
        if step == 0:
            found.update(zip(jobs, batch.pos.split(batch.ptr.diff().tolist()), strict=True))

    _generate(sampler, templates, num=2, seed=seed, transform=CompleteGraph(), trace=trace)
    return [[found[number, k] for k in range(2)] for number in range(len(templates))]


@pytest.fixture
def template():
    return _template


@pytest.fixture
def templates():
    return _TEMPLATES


@pytest.fixture
def generate():
    return _generate


@pytest.fixture
def first_noise():
    return _first_noise
