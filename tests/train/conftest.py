"""Small trainings: graphs, a task, options, and the log of a run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.objectives import OBJECTIVES, WEIGHTS
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.train.engine import RESUME_FILE
from graphscore.train.metrics import SPEEDS
from graphscore.train.options import TrainingOptions
from graphscore.train.task import ScoreMatchingTask


def uniform_density(u: torch.Tensor, sde: object) -> torch.Tensor:
    """Module-level, so that spawned ranks can import it."""
    return 1e-3 + 0.2 * u


def _make_graphs(num: int) -> list[Data]:
    generator = torch.Generator().manual_seed(1)
    graphs = []
    for number in range(num):
        size = 2 + number % 4
        pairs = torch.cartesian_prod(torch.arange(size), torch.arange(size))
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        shape = torch.eye(5, 3)[:size] + 0.1 * torch.randn(size, 3, generator=generator)
        graphs.append(Data(pos=2 * shape, edge_index=pairs.T, num_nodes=size))
    return graphs


def _make_task(backbone: nn.Module | None = None) -> ScoreMatchingTask:
    torch.manual_seed(0)
    process = ForwardProcess({Field("pos", zero_mean=True, width=3): VESDE()})
    network = ScoreNetwork(EGNN(16, 2, cond_channels=8) if backbone is None else backbone, {"pos": 3})
    objective = OBJECTIVES["denoising"].bind(weight=WEIGHTS["edm"])
    return ScoreMatchingTask(Denoiser(network, process), uniform_density, objective, "mean", seed=3)


def _config(**changes: Any) -> TrainingOptions:
    values: dict[str, Any] = {
        "max_steps": 11,
        "batch_size": 6,
        "warmup_steps": 2,
        "checkpoint_every": 4,
        "validate_every": 5,
        "seed": 3,
    }
    return TrainingOptions(**{**values, **changes})


def _read_history(out: Path) -> list[dict[str, str]]:
    with (out / "logs" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _without_speeds(history: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name not in SPEEDS} for row in history]


def _assert_same_run(path: Path, other: Path) -> None:
    states = [torch.load(folder / RESUME_FILE, weights_only=True)["state_dict"] for folder in (path, other)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(
            states[1][name], value, rtol=2e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
    for row, expected in zip(*(_without_speeds(_read_history(folder)) for folder in (other, path)), strict=True):
        numbers = {name: float(value) for name, value in expected.items() if value}
        assert {name: float(value) for name, value in row.items() if value} == pytest.approx(
            numbers, rel=1e-4, abs=1e-9, nan_ok=True
        )
        assert "val_loss" in numbers or "loss" in numbers


@pytest.fixture
def make_graphs():
    return _make_graphs


@pytest.fixture
def make_task():
    return _make_task


@pytest.fixture
def config():
    return _config


@pytest.fixture
def read_history():
    return _read_history


@pytest.fixture
def without_speeds():
    return _without_speeds


@pytest.fixture
def assert_same_run():
    return _assert_same_run
