"""Training on Lightning: resuming after a crash, a signal or a full disk."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch_geometric.data import Data

from graphscore.objectives import Objective
from graphscore.train.engine import RESUME_FILE, fit, loop
from graphscore.train.interruption import Interrupted
from graphscore.train.memory import MemoryModel, MemoryPlan

OPTIONS = {"accelerator": "cpu"}


class Interruption(Exception):  # noqa: N818 (not an error)
    """Stand-in for the death of the process."""


class InterruptedGraphs(list):
    """Graphs that raise at the n-th access: a run that dies in the middle."""

    def __init__(self, graphs: list[Data], after: int) -> None:
        super().__init__(graphs)
        self.left = after

    def __getitem__(self, number):
        self.left -= 1
        if self.left < 0:
            raise Interruption
        return super().__getitem__(number)


class SlowGraphs(list):
    """Graphs that worker processes are busy with when a signal comes."""

    def __getitem__(self, number):
        time.sleep(0.02)
        return super().__getitem__(number)


class Signal(Callback):
    """Sends a signal within a step, as a terminal does to a process and its workers, and a queue to the process."""

    def __init__(self, signum: int, step: int, early: bool = False) -> None:
        self.signum, self.step, self.early = signum, step, early

    def on_fit_start(self, trainer, pl_module):
        if self.early:
            os.kill(os.getpid(), self.signum)

    def on_before_backward(self, trainer, pl_module, loss):
        if trainer.global_step == self.step and not self.early:
            workers = (
                [worker.pid for worker in multiprocessing.active_children()] if self.signum == signal.SIGINT else []
            )
            for process in (*workers, os.getpid()):
                os.kill(process, self.signum)


@pytest.mark.parametrize(
    ("precision", "cut"),
    [
        pytest.param("float32", None, id="killed"),
        pytest.param("bfloat16", Signal(signal.SIGINT, 2), id="ctrl-c-with-workers"),
        pytest.param("float32", Signal(signal.SIGINT, 10), id="ctrl-c-in-the-last-step"),
        pytest.param("float32", Signal(signal.SIGTERM, 4), id="terminated-before-a-validation"),
        pytest.param("float32", Signal(signal.SIGTERM, 0, early=True), id="terminated-before-the-first-step"),
    ],
)
def test_resuming_equals_an_uninterrupted_run_bit_for_bit(
    make_graphs, make_task, config, read_history, without_speeds, precision, cut, tmp_path, capfd
):
    graphs, val = make_graphs(10), make_graphs(4)
    whole_task, settings = make_task(), config(precision=precision, log_every=3)
    whole = fit(whole_task, settings, graphs, val, tmp_path / "whole", progress=False, trainer_options=OPTIONS)

    first, handlers = make_task(), [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    workers, fed = (2, SlowGraphs(graphs)) if precision == "bfloat16" else (0, graphs)
    with pytest.raises(Interruption if cut is None else Interrupted) as stopped:
        fit(
            first, config(precision=precision, workers=workers, log_every=3),
            InterruptedGraphs(graphs, 6 * 6 + 2) if cut is None else fed, val, tmp_path / "cut", progress=False,
            trainer_options={**OPTIONS, "callbacks": cut},
        )  # fmt: skip
    assert handlers == [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    assert capfd.readouterr().err.count("stopping when this step is done") == (cut is not None)  # not by each worker
    if cut is not None:
        assert stopped.value.exit_code == 128 + cut.signum
        assert f"after {cut.step + 1} of 11 steps" in str(stopped.value) and "--resume" in str(stopped.value)
        assert torch.load(tmp_path / "cut" / RESUME_FILE, weights_only=True)["global_step"] == cut.step + 1
    if cut is None or cut.step < 10:
        assert not torch.equal(next(first.parameters()), next(whole_task.parameters()))
    second = make_task()
    torch.manual_seed(12345)  # the global generator must not matter
    resumed = fit(second, settings, graphs, val, tmp_path / "cut", resume=True, progress=False, trainer_options=OPTIONS)
    for (name, expected), value in zip(
        whole.averages[0].named_parameters(), resumed.averages[0].parameters(), strict=True
    ):
        assert torch.equal(expected, value), name
    for (name, expected), value in zip(whole_task.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(expected, value), name
    history, expected = (without_speeds(read_history(tmp_path / name)) for name in ("cut", "whole"))
    assert history == expected and [row["step"] for row in history if row["loss"]] == ["2", "5", "8"]
    assert [row["step"] for row in history if row["val_loss"]] == ["4", "9"]


def test_a_resumed_run_keeps_to_the_memory_that_it_began_with(make_graphs, make_task, config, tmp_path, monkeypatch):
    """What is free now, or measured now, would give other micro-batches."""
    seen = []

    class Watched(Objective):
        def __call__(self, model, batch, t, **options):
            seen.append(batch.num_graphs)
            return super().__call__(model, batch, t, **options)

    plans = iter([MemoryPlan(1000, MemoryModel(100, 300, 0, 0)), MemoryPlan(1000, MemoryModel(100, 200, 0, 0))])
    monkeypatch.setattr(loop, "plan_memory", lambda *_: next(plans))
    for changes in ({}, {"max_steps": 13}, {"max_steps": 15, "memory_gb": 2.0}):
        task = make_task()
        task.objective = Watched(task.objective.function, task.objective.options)
        fit(
            task, config(**changes), make_graphs(10), [], tmp_path, resume=bool(changes), progress=False,
            trainer_options=OPTIONS,
        )  # fmt: skip
        assert set(seen) == ({3} if len(changes) < 2 else {4, 2})
        seen.clear()


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one_whole(
    make_graphs, make_task, config, tmp_path, monkeypatch
):
    whole, save = [], torch.save

    def full(content, file):
        if whole:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(content, file)
        file.flush()
        whole.append(Path(file.name).read_bytes())

    monkeypatch.setattr(torch, "save", full)
    words = rf"{RESUME_FILE} could not be written \(No space left on device\); .* is whole: make space, and go on by"
    with pytest.raises(OSError, match=words):
        fit(make_task(), config(), make_graphs(6), [], tmp_path, progress=False, trainer_options=OPTIONS)
    assert (tmp_path / RESUME_FILE).read_bytes() == whole[0]
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [RESUME_FILE]


def test_nothing_to_resume_is_said_before_any_work(make_graphs, make_task, config, tmp_path):
    with pytest.raises(FileNotFoundError, match="Nothing to resume"):
        fit(make_task(), config(), make_graphs(3), [], tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()
