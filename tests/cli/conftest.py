"""A tiny untrained molecule model on disk, and the command line as a function."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from graphscore import cli
from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import load_config
from graphscore.runtime.checkpoint import Checkpoint, save_checkpoint

TINY = [
    "network.backbone={name: egnn, hidden_channels: 16, num_layers: 2, edge_channels: 8, cond_channels: 8}",
    "sampling.num_steps=3",
]


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run ``graphscore ARGUMENTS`` in a temporary folder; the exit code and what was printed."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["graphscore", *map(str, arguments)])
        precision = torch.get_float32_matmul_precision()  # a command sets it, in a process of its own
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        torch.set_float32_matmul_precision(precision)
        captured = capsys.readouterr()
        return Outcome(int(exit_.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def few_molecules(tmp_path_factory):
    """Options for the embedded data set with 30 training, 5 validation and 10 test molecules out of two thousand."""
    from graphscore.molecules.datasets.small_molecules import FILE, embedded_file

    with np.load(embedded_file("small_molecules", FILE)) as file:
        content = dict(file)
    chosen = np.concatenate([np.flatnonzero(content["part"] == part)[:num] for part, num in enumerate((30, 5, 10))])
    ends = np.cumsum(content["num_conformers"] * content["num_atoms"])
    rows = np.split(content["pos"], ends[:-1])
    fewer = {name: content[name][chosen] for name in ("smiles", "part", "num_conformers", "num_atoms")}
    path = tmp_path_factory.mktemp("data") / "few.npz"
    np.savez(path, **fewer, pos=np.concatenate([rows[i] for i in chosen]))
    return ["--set", f"data.dataset={{name: small-molecules, path: '{path}'}}"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    config = load_config("small-molecules", [*TINY, "fields.0.scale=1.5"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    known = {"z": [1, 6, 7, 8, 9], "bond": [0, 1, 2, 3, 4], "hops": [1, 2, 3, 4, 5]}
    save_checkpoint(path, Checkpoint(dict(model.state_dict()), config.model_dump(mode="json"), {"known": known}))
    return path
