"""A tiny untrained molecule model on disk, and the command line as a function."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore import cli
from graphscore.data import write
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


@pytest.fixture
def odd_files(tmp_path):
    """Good files in the temporary folder, and files that are not what their names say; all names."""
    from graphscore.molecules.embedding import embed
    from graphscore.molecules.graph import data_from_mol
    from graphscore.molecules.smiles import mol_from_smiles

    for name, text in {
        "text.safetensors": "no tensors here",
        "empty.smi": "",
        "bad.smi": "C(C one\nnonsense two\n",
        "good.smi": "CCO ethanol\n",
        "a.smi": "CCO\n",
        "a.docx": "CCO\n",
        "edges.csv": "source,target,weight\n0,1,1\n1,2,3\n",
        "a.csv": "name,formula\nethanol,C2H6O\n",
        "broken.sdf": "\n  nothing\n\n  x y z\nM  END\n$$$$\n",
        "broken.xyz": "three\n\nH 0 0 0\n",
        "broken.graphml": "<graphml><graph",
        "broken.pt": "not a tensor file",
    }.items():
        (tmp_path / name).write_text(text)
    np.save(tmp_path / "nan.npy", np.array([[0.0, 0.0, 0.0], [1.0, np.nan, 0.0]]))
    write([data_from_mol(embed(mol_from_smiles("CCO"), 1, 0), 0)], tmp_path / "good.sdf")
    write([data_from_mol(embed(mol_from_smiles("CCN"), 1, 0), 0)], tmp_path / "other.sdf")
    (tmp_path / "good.partial.sdf").write_bytes((tmp_path / "good.sdf").read_bytes())
    (tmp_path / "link.sdf").symlink_to("good.sdf")
    write([Data(pos=torch.zeros(3, 2), edge_index=torch.zeros(2, 0, dtype=torch.long))], tmp_path / "cloud.pt")
    return {path.name for path in tmp_path.iterdir()}


@pytest.fixture
def refused(run, checkpoint, odd_files, tmp_path):
    """Run a command that must fail, before any work, with one sentence that holds some words."""

    def call(arguments: list[str], words: list[str]) -> None:
        places = {"{model}": str(checkpoint), "../{folder}/good.sdf": f"../{tmp_path.name}/good.sdf"}
        result = run(*[places.get(argument, argument) for argument in arguments])
        assert result.code == 2, (result.out, result.err)
        (line,) = result.err.strip().splitlines()
        assert line.startswith("graphscore: error: ")
        for word in words:
            assert word in line, line
        assert "Traceback" not in result.out + result.err
        assert "sampling" not in result.out, "work has begun before the error"
        assert {path.name for path in tmp_path.iterdir()} == odd_files, "something was written"

    return call
