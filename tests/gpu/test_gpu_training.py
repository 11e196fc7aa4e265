"""Training on an accelerator equals that on the CPU, resumes to the last bit, and does not wait for the device."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from graphscore.runtime.precision import double_device
from graphscore.train.ema import EMA
from graphscore.train.engine import fit
from graphscore.train.metrics import SPEEDS, LevelBins, LossMeans
from graphscore.train.optimizers import make_optimizer
from graphscore.train.options import TrainingOptions

pytestmark = pytest.mark.gpu

STEPS = 6


class Interruption(Exception):  # noqa: N818 (not an error)
    """Stand-in for the death of the process."""


class Interrupt(Callback):
    """Kills the run in its fifth step, after the checkpoint of the third."""

    def on_before_backward(self, trainer, pl_module, loss):
        if trainer.global_step == 4:
            raise Interruption


def options(**changes: Any) -> TrainingOptions:
    values = {"batch_size": 6, "warmup_steps": 2, "checkpoint_every": 3, "validate_every": 3, "log_every": 2, "seed": 3}
    return TrainingOptions(STEPS, **{**values, "memory_gb": None, **changes})


@pytest.fixture
def trainer_options(device, monkeypatch):
    """Sums in a fixed order, as Lightning asks for them; settings of the process are restored."""
    if device.type not in ("cpu", "cuda", "mps"):
        pytest.skip(f"Lightning has no accelerator {device.type}")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    yield {"accelerator": device.type, "deterministic": "warn"}
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def rows(folder: Path) -> list[dict[str, str]]:
    """The log without speeds."""
    with (folder / "logs" / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if name not in SPEEDS} for row in csv.DictReader(file)]


@pytest.mark.parametrize("precision", ["float32", "tfloat32", "bfloat16"])
def test_a_run_on_the_device_resumes_bit_for_bit(precision, make_task, make_graphs, trainer_options, device, tmp_path):
    graphs, val, chosen = make_graphs(10), make_graphs(4), options(precision=precision)
    whole, task = make_task(), make_task()
    start = [parameter.detach().clone() for parameter in whole.parameters()]
    devices = []
    watch = Callback()
    watch.on_train_batch_end = lambda trainer, module, *_: devices.append(module.device.type)
    more = {**trainer_options, "callbacks": [watch]}
    expected = fit(whole, chosen, graphs, val, tmp_path / "whole", progress=False, trainer_options=more)
    assert set(devices) == {device.type} and len(devices) == STEPS
    more = {**trainer_options, "callbacks": [Interrupt()]}
    with pytest.raises(Interruption):
        fit(task, chosen, graphs, val, tmp_path / "cut", progress=False, trainer_options=more)
    task = make_task()
    found = fit(
        task, chosen, graphs, val, tmp_path / "cut", resume=True, progress=False, trainer_options=trainer_options
    )
    for mine, other, first in zip(task.parameters(), whole.parameters(), start, strict=True):
        assert torch.equal(mine.cpu(), other.cpu()) and not torch.equal(mine.cpu(), first)
    for mine, other in zip(found.averages[0].parameters(), expected.averages[0].parameters(), strict=True):
        assert torch.equal(mine.cpu(), other.cpu())
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_a_run_on_the_device_learns_what_one_on_the_cpu_does(make_task, make_graphs, trainer_options, tmp_path):
    graphs, chosen, weights, losses = make_graphs(10), options(), [], []
    for accelerator in ("cpu", trainer_options["accelerator"]):
        task = make_task()
        more = {**trainer_options, "accelerator": accelerator}
        done = fit(task, chosen, graphs, graphs[:4], tmp_path / accelerator, progress=False, trainer_options=more)
        weights.append(torch.cat([parameter.detach().cpu().flatten() for parameter in task.parameters()]))
        losses.append(done.metrics["val_loss"])
    assert (weights[1] - weights[0]).norm() < 1e-4 * weights[0].norm()
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_the_loss_and_its_gradient_are_the_same_on_the_device(make_task, batch, device):
    wide = double_device(device) == device
    batch.pos = batch.pos.double() if wide else batch.pos
    task, moved = make_task(batch.pos.dtype), make_task(batch.pos.dtype).to(device)
    expected = task(batch, 5).loss
    expected.backward()
    found = moved(batch.to(device), 5).loss
    found.backward()
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if wide else {"rtol": 1e-3, "atol": 1e-3}
    torch.testing.assert_close(found.detach().cpu(), expected.detach(), **tolerance)
    for mine, other in zip(moved.parameters(), task.parameters(), strict=True):
        torch.testing.assert_close(mine.grad.cpu(), other.grad, **tolerance)


def test_a_step_does_not_wait_for_the_device(make_task, batch, device, never_waits):
    """Loss, gradient, its norm, the optimiser, the average and the sums of the log."""
    task, moved = make_task().to(device), batch.to(device)
    optimizer, average = make_optimizer(task.parameters()), EMA(task.model)
    losses = LossMeans(["pos"], LevelBins(task.model, task.density))

    def take(step: int) -> None:
        optimizer.zero_grad()
        out = task(moved, step)
        out.loss.backward()
        losses.add(out)
        nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        average.update(task.model, step)

    take(0)  # libraries load their kernels once
    with never_waits():
        take(1)
