"""A file on the command line runs no code, unless the user types ``--trust``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import safetensors.torch
import yaml

pytest.importorskip("rdkit")

from graphscore.experiment.config.schema import load_config
from graphscore.runtime.checkpoint import FORMAT_VERSION, load_checkpoint

OWN = """
from pathlib import Path
from graphscore.molecules.features import MoleculeGraph

Path("imported").touch()

class Graph(MoleculeGraph):
    pass
"""


@pytest.fixture
def forge(conformer_checkpoint, tmp_path):
    """Write the tiny model with other transforms."""

    def write(*transforms: dict) -> Path:
        state, config, info = load_checkpoint(conformer_checkpoint)
        config["transforms"] = list(transforms)
        header = {"format_version": FORMAT_VERSION, "config": config, "info": info}
        path = tmp_path / "forged.safetensors"
        path.write_bytes(safetensors.torch.save(state, {"graphscore": json.dumps(header)}))
        return path

    return write


def test_a_forged_checkpoint_runs_nothing(run, forge):
    path = forge({"name": "os:system", "command": "touch owned"})
    for command in (["sample", "CCO", "--out", "x.sdf"], ["benchmark", "qm9", "--limit", 1]):
        result = run(*command, "--checkpoint", path)
        assert result.code == 2 and not Path("owned").exists() and not Path("x.sdf").exists()
        assert result.err.startswith("graphscore: error: Unknown transform 'os:system'; expected one of ")
        assert result.err.count("\n") == 1 and "import paths in a file are not followed" in result.err


def test_a_model_with_a_component_of_ones_own_says_what_to_type(run, forge, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("own.py").write_text(OWN)
    path = forge({"name": "own:Graph"})
    command = ["sample", "CCO", "--out", "x.sdf", "--checkpoint", path]
    refused = run(*command)
    assert refused.code == 2 and "--trust own," in refused.err and not Path("imported").exists()
    assert run(*command, "--trust", "own").code == 0
    assert Path("imported").exists() and Path("x.sdf").read_text().count("$$$$") == 1
    sys.modules.pop("own")
    wrong = run(*command, "--trust", "own.Graph()")
    assert wrong.code == 2 and "Trust is put in a module" in wrong.err


def test_what_a_run_folder_holds_is_not_followed_when_it_is_resumed_or_started_from(run, forge, tmp_path):
    path = forge({"name": "os:system", "command": "touch owned"})
    values = load_config("digits").model_dump(mode="json")
    values["transforms"] = [{"name": "os:system", "command": "touch owned"}]
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(b"no checkpoint")
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    resumed = run("train", "--resume", folder)
    assert resumed.code == 2 and "os:system" in resumed.err and "--trust os" in resumed.err
    (folder / "config.yaml").write_text("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
    assert "is not the configuration of a run: it has aliases" in run("train", "--resume", folder).err
    started = run("train", "--config", "digits", "--out", "new", "--init", path, "--set", "training.max_steps=1")
    assert started.code == 2 and "do not fit the configuration" in started.err
    assert not Path("owned").exists()


def test_training_with_a_component_of_ones_own_says_how_to_sample(run, tmp_path, monkeypatch, few_molecules):
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("own_network.py").write_text("from graphscore.nn import EGNN\n\nclass Net(EGNN):\n    pass\n")
    backbone = "{name: own_network:Net, hidden_channels: 8, num_layers: 1, edge_channels: 8, cond_channels: 8}"
    tiny = [f"network.backbone={backbone}", "training.max_steps=1", "training.batch_size=2", "sampling.num_steps=2"]
    command = ["train", "--config", "small-molecules", *few_molecules, "--out", "run"]
    trained = run(*command, *[word for setting in tiny for word in ("--set", setting)])
    assert trained.code == 0, trained.err
    typed = trained.out.partition("sample from it by: graphscore ")[2].partition(" ...")[0].split()
    assert typed[0] == "sample" and typed[-2:] == ["--trust", "own_network"]
    assert run(*typed, "CCO", "--out", "x.sdf").code == 0
    assert run(*typed[:-2], "CCO", "--out", "y.sdf").code == 2
    del sys.modules["own_network"]
