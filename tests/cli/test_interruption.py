"""A training that is stopped from outside: what it leaves, says and returns."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pytest
import torch

from graphscore.experiment.training import run as experiment
from graphscore.runtime.checkpoint import load_checkpoint
from graphscore.train.interruption import Interrupted

TRAIN = [
    "train", "--config", "digits", "--set", "training.max_steps=5", "--set", "training.batch_size=4", "--set",
    "network.backbone={name: egnn, hidden_channels: 16, num_layers: 1, cond_channels: 8}", "--out",
]  # fmt: skip
# Before it runs the command line of a process of its own: a signal comes during the third step.
PROGRAM = """
import os, signal
from graphscore.train.task import ScoreMatchingTask

forward = ScoreMatchingTask.forward

def interrupted(task, batch, step, **options):
    if step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return forward(task, batch, step, **options)

ScoreMatchingTask.forward = interrupted
from graphscore.cli import main
main()
"""
# What ``torchrun --standalone --nproc-per-node 2`` does, with forks in the place of new interpreters.
TORCHRUN = """
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from graphscore.cli import main

def rank():
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code

config = LaunchConfig(1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id="run", start_method="fork")
elastic_launch(config, rank)()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signal to a process")
def test_a_terminated_training_is_saved_and_goes_on_as_if_nothing_had_happened(run, forked, tmp_path):
    stopped = forked(PROGRAM, *TRAIN, "run", cwd=tmp_path)
    assert stopped.returncode == 143, stopped.stderr
    told = " ".join(stopped.stderr.split())
    assert "after 3 of 5 steps by SIGTERM" in told and "run/last.ckpt" in told and "--resume" in told
    assert "Traceback" not in told and "Wrote" not in stopped.stdout
    assert load_checkpoint(tmp_path / "run").info["steps"] == 3  # a model that can be used, too

    states = []
    for out, command in (("run", ["train", "--resume"]), ("whole", TRAIN)):
        trained = run(*command, out)
        assert trained.code == 0, trained.err
        states.append(load_checkpoint(tmp_path / out).state)
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_processes_that_torchrun_starts_write_the_run_of_one(run, forked, tmp_path):
    """With unequal shares of the seven graphs of a step, one graph to validate on, and three to sample."""
    options = ["--set", "training.batch_size=7", "--set", "training.num_validation_graphs=1", "--set"]
    options += ["training.log_every=1", "--set"]
    options += ["training.best={metric: recall, every: 5, num_graphs: 3, num_steps: 2}", "--out"]
    command = [*TRAIN[:-1], *options]
    alone = run(*command, "run1")
    launched = forked(TORCHRUN, *command, "run2", cwd=tmp_path)
    assert alone.code == 0, alone.err
    assert launched.returncode == 0, launched.stderr
    rows = []
    for number, out in ((1, alone.out), (2, launched.stdout)):
        assert out.count("Wrote") == 1 and out.count("Training on") == 1
        assert load_checkpoint(tmp_path / f"run{number}").info["steps"] == 5
        with (tmp_path / f"run{number}" / "logs" / "metrics.csv").open(newline="") as file:
            names = ("loss", "val_loss", "sampled_recall")
            rows.append([[float(row[name] or 0) for name in names] for row in csv.DictReader(file)])
    assert len(rows[0]) == 5 and min(rows[0][-1]) > 0
    assert np.array(rows[1]) == pytest.approx(np.array(rows[0]), rel=1e-4)


@pytest.mark.parametrize(
    ("interrupt", "told"), [(KeyboardInterrupt(), "stopped"), (Interrupted("Go on.", 2), "Go on.")]
)
def test_a_command_that_is_interrupted_says_so_and_returns_130(interrupt, told, run, monkeypatch):
    """In the middle of anything, or of a training that has saved its state."""

    def interrupted(*_, **__):
        raise interrupt

    monkeypatch.setattr(experiment, "train_model", interrupted)
    result = run(*TRAIN, "run")
    assert result.code == 130 and told in result.err.splitlines()[-1]
