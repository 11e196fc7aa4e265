"""The commands ``info`` and ``doctor``."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.data import Data

from graphscore.runtime.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from graphscore.testing import examination

CONFIG = """
data: {dataset: {name: files, path: clouds.pt}}
transforms: [complete-graph]
fields: [{name: pos, width: 2, zero_mean: true, sde: edm}]
network: {backbone: {name: egnn, hidden_channels: 8, num_layers: 1}, node_inputs: {kind: 3}}
training: {max_steps: 6, batch_size: 8, log_every: 2}
sampling: {num_steps: 2}
"""


def facts(text: str) -> dict[str, str]:
    """Texts by label; further lines of a label are appended."""
    found, label = dict[str, str](), ""
    width = max(line.index("  ") for line in text.splitlines() if not line.startswith(" "))
    for line in text.splitlines():
        name, rest = line[:width].strip(), line[width:].strip()
        label = name or label
        found[label] = f"{found[label]}; {rest}" if label in found else rest
    return found


@pytest.fixture
def trained(run, tmp_path):
    (tmp_path / "clouds.yaml").write_text(CONFIG)
    graphs = [Data(pos=torch.randn(5 + k % 5, 2), kind=torch.randint(0, 3, (5 + k % 5,))) for k in range(30)]
    torch.save(graphs, "clouds.pt")
    result = run("train", "--config", "clouds.yaml", "--out", "run")
    assert result.code == 0, result.err
    return tmp_path / "run"


def test_a_complete_run_its_model_its_state_and_its_data_are_told(run, trained):
    told = facts(run("info", "run").out)
    size = sum(tensor.numel() for tensor in load_checkpoint(trained).state.values())
    assert told["parameters"].startswith(f"{size:,} in ")
    assert told["steps done"] == "6 of 6" and "complete" in told["resume"]
    assert told["trained steps"] == "6" and told["known values"] == "kind: 0 to 2"
    assert told["trained on"].startswith("clouds of 5 to 9 nodes in 2 dimensions")
    assert "graphs in train" in told["split"] and "graphs in test" in told["split"]
    assert float(told["last loss"].split()[0]) > 0
    assert told["sampling"] == "heun, 2 steps on karras" and told["network"].startswith("egnn (hidden_channels=8")
    alone = facts(run("info", "run/model.safetensors").out)
    assert alone["parameters"] == told["parameters"] and alone["data"] == "files (path='clouds.pt')"
    state = facts(run("info", "run/last.ckpt").out)
    assert state["steps done"] == "6"
    data = facts(run("info", "clouds.pt").out)
    assert data["what"] == "30 graphs of 5 to 9 nodes in clouds.pt (1 file; clouds)"
    assert "kind: int64 [N] from 0 to 2" in data["attribute"]
    assert facts(run("info", "clouds.yaml").out)["training"] == "6 steps of 8 graphs, denoising"


def test_packed_graphs_are_told_and_can_be_proposed_for(run, tmp_path):
    torch.save([Data(pos=torch.randn(5 + k % 5, 3)) for k in range(30)], "clouds.pt")
    assert run("data", "pack", "clouds.pt", "--out", "packed").code == 0
    told = facts(run("info", "packed").out)
    assert told["what"] == "30 graphs of 5 to 9 nodes in packed (1 file; clouds)"
    assert run("config", "new", "--data", "packed", "--out", "mine.yaml").code == 0
    assert run("train", "--config", "mine.yaml", "--out", "run", "--set", "training.max_steps=2").code == 0


def test_an_unfinished_run_says_whether_it_can_be_resumed(run, trained):
    text = (trained / "config.yaml").read_text()
    (trained / "config.yaml").write_text(text.replace("max_steps: 6", "max_steps: 90"))
    told = facts(run("info", "run").out)
    assert (told["steps done"], told["resume"]) == ("6 of 90", "possible, from step 6: graphscore train --resume run")
    (trained / "last.ckpt").write_bytes((trained / "last.ckpt").read_bytes()[:500])
    told = run("info", "run")
    assert told.code == 0 and "not possible" in facts(told.out)["resume"] and "damaged" in told.out
    (trained / "last.ckpt").unlink()
    (trained / "model.safetensors").unlink()
    told = facts(run("info", "run").out)
    assert told["resume"].startswith("possible, from the start") and told["model"] == "none yet"
    assert told["field"].startswith("pos: 2 columns")


def test_what_a_file_names_is_told_and_not_imported(run, trained, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    content = load_checkpoint(trained)
    config = copy.deepcopy(content.config)
    config["network"]["backbone"] = {"name": "evil:Network", "size": 10**12}
    config["fields"][0]["sde"] = {"name": "of a later version"}
    save_checkpoint(tmp_path / "other.safetensors", Checkpoint(content.state, config, content.info))
    told = facts(run("info", "other.safetensors").out)
    assert told["network"] == f"evil:Network (size={10**12})"
    assert told["your own code"].endswith("imported only with --trust evil")
    assert "of a later version" in told["field"] and told["trained steps"] == "6"


def test_a_configuration_of_another_version_and_forged_facts_stop_nothing(run, trained, tmp_path):
    content = load_checkpoint(trained)
    info = {"steps": "many", "known": 3, "graphs": [1]}
    save_checkpoint(tmp_path / "x.safetensors", Checkpoint(content.state, {**content.config, "more": 1}, info))
    result = run("info", "x.safetensors")
    told = facts(result.out)
    assert result.code == 0, result.err
    assert "more: there is no such key" in told["configuration"]
    assert told["trained steps"] == "'many'" and "does not say" in told["trained on"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere", "There is no file nowhere"),
        ("none.ckpt", "There is no file none.ckpt"),
        ("empty", "in the folder empty, but it has none"),
        ("noise.safetensors", "not a safetensors file"),
        ("noise.ckpt", "damaged, or no state of a run"),
    ],
)
def test_what_is_none_of_these_is_said(run, tmp_path, source, words):
    (tmp_path / "empty").mkdir()
    for name in ("noise.safetensors", "noise.ckpt"):
        (tmp_path / name).write_bytes(b"noise")
    result = run("info", source)
    assert words in " ".join((result.err + result.out).split())


def test_the_weights_that_come_with_the_library_are_told(run):
    told = facts(run("info", "conformers").out)
    assert told["known values"] == "z: 6 to 9, 15 to 17, 35, 53" and "not recorded" in told["trained on"]


def test_doctor_tells_the_versions_and_that_all_works(run):
    result = run("doctor")
    assert result.code == 0, result.out
    told = facts(result.out)
    # The metadata of PyPI's builds for CUDA leave out what follows the plus sign.
    assert told["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert told["device"].startswith(("cpu", "cuda"))
    assert told["equivariance"].startswith("works") and told["training and sampling on the CPU"].startswith("works")
    seconds = [float(text.split("(")[1].split()[0]) for text in told.values() if text.startswith("works (")]
    assert len(seconds) >= 3 and sum(seconds) < 5


@pytest.mark.parametrize("broken", ["_sums", "_equivariance", "_training"])
def test_doctor_fails_where_something_is_broken(run, monkeypatch, broken):
    def fail(*_):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(examination, broken, fail)
    result = run("doctor")
    assert result.code == 1
    assert result.out.count("broken: RuntimeError: no such instruction") == 1


def test_wrong_sums_and_a_network_that_is_not_equivariant_are_found(monkeypatch):
    monkeypatch.setattr(examination.ops, "sum", lambda values, index, size: torch.zeros(size, 2))
    monkeypatch.setattr(examination, "_model", lambda: torch.nn.Module())
    assert [bool(check.problem) for check in examination.examine().checks][:3] == [True, True, True]
