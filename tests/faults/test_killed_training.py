"""Trainings that are killed at any moment, really: they go on to the files of one that was left alone, bit for bit."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import graphscore
from graphscore.runtime.checkpoint import load_checkpoint
from graphscore.runtime.locking import owned
from graphscore.train.metrics import SPEEDS

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL"),
]

CONFIG = [
    "--config", "digits", "--set", "training.max_steps=60", "--set", "training.batch_size=8", "--set",
    "network.backbone={name: egnn, hidden_channels: 16, num_layers: 1, cond_channels: 8}", "--set",
    "training.checkpoint_every=3", "--set", "training.validate_every=4", "--set", "training.keep_every=25", "--set",
    "training.log_every=5", "--set", "training.num_validation_graphs=16", "--set", "training.ema_decay=[0.9, 0.99]",
    "--set", "training.best={metric: recall, every: 7, num_graphs: 4, num_steps: 2}",
]  # fmt: skip
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(graphscore.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
# A training that kills itself at a moment of its work: "step" as the gradient of the step is known, or while a file is
# half written whose name begins with the word. At "worker" it kills a process that loads batches, and from "full" on no
# file can grow beyond so many bytes.
PROGRAM = """
import multiprocessing, os, resource, signal, sys, time
from pathlib import Path

moment, step = sys.argv.pop(1), int(sys.argv.pop(1))
done = 0

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

from graphscore.train.task import ScoreMatchingTask
forward = ScoreMatchingTask.forward

def counted(task, batch, number, **options):
    global done
    done = number
    if moment == "step" and number == step:
        kill()
    if moment == "worker" and number == step:
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        time.sleep(1)  # so that it has ended
    if moment == "full" and number == step:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
    return forward(task, batch, number, **options)

ScoreMatchingTask.forward = counted
from graphscore.runtime import atomic
replace = os.replace

def killed(source, target):
    if Path(target).name.startswith(moment) and done >= step:
        with open(source, "r+b") as file:
            file.truncate(os.path.getsize(source) // 2)
        kill()
    replace(source, target)

atomic.os.replace = killed
from lightning.pytorch.loggers import CSVLogger
log = CSVLogger.log_metrics

def torn(self, metrics, number=None):
    log(self, metrics, number)
    if moment == "row" and number >= step:
        path = Path(self.log_dir) / "metrics.csv"
        path.write_bytes(path.read_bytes()[:-20])
        kill()

CSVLogger.log_metrics = torn
from graphscore.cli import main
main()
"""


@pytest.fixture(scope="module")
def train(forked):
    def call(*arguments: Any, moment: tuple[str, int] = ("none", 0), cwd: Path) -> subprocess.CompletedProcess[str]:
        return forked(PROGRAM, *moment, "train", *arguments, cwd=cwd)

    return call


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = train(*CONFIG, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def history(run: Path) -> list[dict[str, str]]:
    with (run / "logs" / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in SPEEDS} for row in csv.DictReader(file)]


def assert_equal(run: Path, whole: Path) -> None:
    """Weights, averages, optimiser, best and kept models, and the log."""
    assert history(run) == history(whole)
    names = [path.relative_to(whole) for path in whole.rglob("*.safetensors")]
    assert len(names) == 2 * 5 and names == [path.relative_to(run) for path in run.rglob("*.safetensors")]
    for name in names:
        states = [load_checkpoint(folder / name) for folder in (run, whole)]
        assert states[0].info == states[1].info
        assert all(torch.equal(value, states[1].state[key]) for key, value in states[0].state.items()), name
    ends = [torch.load(folder / "last.ckpt", weights_only=True) for folder in (run, whole)]
    moments = [end["optimizer_states"][0]["state"] for end in ends]
    assert moments[0].keys() == moments[1].keys() != set()
    for key, values in moments[0].items():
        assert all(torch.equal(value, moments[1][key][name]) for name, value in values.items())
    assert not list(run.glob(".*.ckpt*")), "unfinished files must not pile up"


def test_a_run_killed_in_a_step_in_a_checkpoint_and_in_a_row_of_the_log_ends_as_if_left_alone(train, whole, tmp_path):
    command = (*CONFIG, "--out", "run")
    for moment in (("step", 1), ("last.ckpt", 20), ("row", 40)):
        assert train(*command, moment=moment, cwd=tmp_path).returncode == -signal.SIGKILL
        command = ("--resume", "run")
    done = train(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_equal(tmp_path / "run", whole)


def test_a_full_disk_and_a_killed_process_that_loads_batches_are_told_and_cost_nothing(train, whole, tmp_path):
    """The system refuses to write more than some bytes of a file, as on a full disk: to a part of ``last.ckpt``."""
    stopped = train(*CONFIG, "--out", "run", moment=("full", 20), cwd=tmp_path)
    told = " ".join(stopped.stderr.split())
    assert stopped.returncode == 2 and "run/last.ckpt could not be written (File too large)" in told, told
    assert "run/last.ckpt is whole: make space, and go on by `graphscore train --resume run`" in told
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 18
    assert not list((tmp_path / "run").glob(".last*"))

    stopped = train("--resume", "run", "--set", "training.workers=2", moment=("worker", 40), cwd=tmp_path)
    told = " ".join(stopped.stderr.split())
    assert stopped.returncode == 2 and "A process that loads batches has ended" in told and "Killed" in told, told
    assert "run/last.ckpt is whole: go on by `graphscore train --resume run`" in told
    done = train("--resume", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_equal(tmp_path / "run", whole)


@pytest.mark.soak
def test_a_run_killed_twenty_times_at_random_moments_ends_as_if_left_alone(train, whole, tmp_path):
    """By a clock, wherever the process happens to be: at start-up, too."""
    command, draw, environment = [*CONFIG, "--out", "run"], random.Random(0), ENVIRONMENT
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-m", "graphscore", "train", *command], env=environment, cwd=tmp_path,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(draw.uniform(2, 14))
        process.kill()
        process.wait()
        command = ["--resume", "run"] if (tmp_path / "run" / "config.yaml").exists() else command
    done = train(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_equal(tmp_path / "run", whole)


def test_two_processes_never_train_in_one_folder(train, tmp_path):
    (tmp_path / "run").mkdir()
    with owned(tmp_path / "run"):
        second = train(*CONFIG, "--out", "run", cwd=tmp_path)
    assert second.returncode == 2 and "Another process writes to run" in second.stderr
