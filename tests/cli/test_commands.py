"""The commands, from arguments to files."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
import torch
import yaml
from rdkit import Chem

from graphscore.data import read
from graphscore.runtime import settings as runtime
from graphscore.runtime.checkpoint import load_checkpoint

TINY = [
    "--set", "network.backbone={name: egnn, hidden_channels: 16, num_layers: 2, edge_channels: 8, cond_channels: 8}",
    "--set", "training.max_steps=4", "--set", "training.batch_size=4", "--set", "training.checkpoint_every=100",
    "--set", "sampling.num_steps=2",
]  # fmt: skip


def test_sample_writes_all_conformers_with_bonds_charges_and_hydrogens(run, checkpoint, tmp_path):
    smiles = ["CCO", "c1ccccc1O", "C[N+](C)(C)C"]
    result = run("sample", "--checkpoint", checkpoint, *smiles, "--num", 5, "--out", "x.sdf")
    assert result.code == 0, result.err
    mols = list(Chem.SDMolSupplier("x.sdf", removeHs=False))
    assert len(mols) == 15
    for number, mol in enumerate(mols):
        wanted = Chem.AddHs(Chem.MolFromSmiles(smiles[number // 5]))
        assert Chem.MolToSmiles(Chem.AddHs(mol)) == Chem.MolToSmiles(wanted)
        assert mol.GetNumAtoms() == wanted.GetNumAtoms()  # hydrogens are there as atoms
        assert mol.GetConformer().Is3D()
    report = json.loads((tmp_path / "x.sdf.report.json").read_text())
    assert [entry["written"] for entry in report["inputs"]] == [5, 5, 5]


def test_a_sample_depends_on_seed_and_molecule_alone(run, checkpoint):
    def positions(path: str) -> list[torch.Tensor]:
        return [item["pos"] for item in read(path).items]

    run("sample", "--checkpoint", checkpoint, "CCO", "CC", "CCCN", "--num", 2, "--seed", 7, "--out", "a.pt")
    run("sample", "--checkpoint", checkpoint, "CCCN", "CCO", "--num", 3, "--seed", 7, "--out", "b.pt")
    run("sample", "--checkpoint", checkpoint, "CCO", "--seed", 8, "--out", "c.pt")
    a, b, c = positions("a.pt"), positions("b.pt"), positions("c.pt")
    for mine, other in ((a[0], b[3]), (a[1], b[4]), (a[4], b[0]), (a[5], b[1])):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(a[0], a[1], atol=0.1)
    assert not torch.allclose(a[0], c[0], atol=0.1)


def test_bad_lines_of_a_file_are_reported_and_the_rest_is_sampled(run, checkpoint, tmp_path):
    (tmp_path / "in.smi").write_text("CCO ethanol\nC(C wrong\n\n# comment\nCCCl chloroethane\nCC ethane\n")
    result = run("sample", "--checkpoint", checkpoint, "--input", "in.smi", "--num", 2, "--out", "x.xyz")
    assert result.code == 0, result.err
    entries = {entry["input"]: entry for entry in json.loads((tmp_path / "x.xyz.report.json").read_text())["inputs"]}
    assert len(entries) == 4
    assert entries["ethanol"]["written"] == entries["ethane"]["written"] == 2
    assert "17" in entries["chloroethane"]["failure"]
    (line,) = [entry for name, entry in entries.items() if "line 2" in name]
    assert line["written"] == 0
    assert "2 input(s) failed" in " ".join(result.out.split())


def test_train_resume_sample_and_evaluate_a_file_of_ones_own(run, tmp_path, few_molecules):
    from graphscore.data import load_dataset, write

    options = yaml.safe_load(few_molecules[1].partition("=")[2])
    items = [item for group in load_dataset(**options).groups("train")[:12] for item in group[:2]]
    write(items, "mine.sdf")
    start = run("train", "--config", "small-molecules", "--data", "mine.sdf", "--out", "run", *TINY)
    assert start.code == 0, start.err
    assert {"config.yaml", "last.ckpt", "model.safetensors", "logs"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }

    again = run("train", "--config", "small-molecules", "--data", "mine.sdf", "--out", "run", *TINY)
    assert again.code == 2
    assert "--resume" in again.err
    for name in ("last.ckpt", "config.yaml"):
        (tmp_path / "run" / name).rename(name)
    finished = run("train", "--config", "small-molecules", "--data", "mine.sdf", "--out", "run", *TINY)
    assert finished.code == 2 and "already holds a trained model" in finished.err
    lost = run("train", "--resume", "run")
    assert lost.code == 2 and "config.yaml does not exist" in lost.err
    for name in ("last.ckpt", "config.yaml"):
        (tmp_path / name).rename(f"run/{name}")
    resumed = run("train", "--resume", "run", "--set", "training.max_steps=6", "--set", "training.learning_rate=0.25")
    assert resumed.code == 0, resumed.err
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 6 and 0 < state["optimizer_states"][0]["param_groups"][0]["lr"] < 0.25
    assert load_checkpoint(tmp_path / "run").config["training"]["learning_rate"] == 0.25
    other = run("train", "--resume", "run", "--set", "training.seed=1")
    assert other.code == 2 and "training.seed was 0, now 1; of training, these may change: max_steps, " in other.err

    still = [*TINY, "--set", "training.max_steps=1", "--set", "training.learning_rate=1.0e-12"]
    still += ["--set", "training.checkpoint_every=1"]
    tuned = run("train", "--config", "small-molecules", *few_molecules, "--out", "tuned", "--init", "run", *still)
    assert tuned.code == 0, tuned.err
    before, after = (load_checkpoint(tmp_path / name) for name in ("run", "tuned"))
    assert after.config["fields"] == before.config["fields"]  # the scale is not that of the other data
    for name, values in before.state.items():
        assert torch.equal(values, after.state[name]) or torch.allclose(values, after.state[name], rtol=0, atol=1e-9)

    (tmp_path / "tuned" / "last.ckpt").unlink()  # as if the run had been killed before
    resumed = run("train", "--resume", "tuned", "--set", "training.max_steps=2")
    assert resumed.code == 0, resumed.err
    for name, values in load_checkpoint(tmp_path / "tuned").state.items():
        assert torch.equal(before.state[name], values) or torch.allclose(before.state[name], values, rtol=0, atol=1e-9)
    assert load_checkpoint(tmp_path / "tuned").config["fields"] == before.config["fields"]

    sampled = run("sample", "--checkpoint", "run", "--input", "mine.sdf", "--num", 2, "--out", "made.sdf")
    assert sampled.code == 0, sampled.err
    evaluated = run("evaluate", "made.sdf", "mine.sdf", "--out", "report.json")
    assert evaluated.code == 0, evaluated.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["num_molecules"] == 12
    assert report["num_generated"] == 2 * len(items)
    same = run("evaluate", "mine.sdf", "mine.sdf", "--out", "same.json")
    assert same.code == 0
    assert json.loads((tmp_path / "same.json").read_text())["amr_r"]["mean"] < 1e-3


@pytest.fixture
def looks(monkeypatch):
    """One entry for each time that a training looks for other processes."""
    found = []
    monkeypatch.setattr(runtime.SpareThreads, "adapt", lambda self: found.append(self))
    return found


def test_demo_makes_everything_it_names(run, tmp_path, few_molecules, looks):
    sizes = ("hidden_channels=16", "num_layers=1", "edge_channels=8", "cond_channels=8", "num_heads=2")
    small = [part for size in sizes for part in ("--set", f"network.backbone.{size}")]
    result = run("demo", "--out", "demo", "--groups", 3, *few_molecules, *small, *TINY[2:])
    assert result.code == 0, result.err
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"conformers.sdf", "metrics.json", "model.safetensors", "loss.png", "index.html"} <= names
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    assert len(looks) == 4  # before each step
    assert list(metrics["scores"]) == ["model", "shipped", "etkdg", "untrained"]
    recall = {name: scores["amr_r"]["mean"] for name, scores in metrics["scores"].items()}
    assert recall["shipped"] < recall["untrained"] and recall["etkdg"] < recall["untrained"]
    assert "graphscore sample" in result.out and "longer training" in result.out
    again = run("demo", "--out", "demo", "--groups", 1, "--config", "small-molecules", *few_molecules, *TINY)
    assert again.code == 0, again.err


def test_the_same_path_takes_digits(run, tmp_path):
    tiny = [*TINY, "--set", "network.backbone={name: egnn, hidden_channels: 16, num_layers: 2, cond_channels: 8}"]
    result = run("demo", "--config", "digits", "--out", "drawn", "--groups", 3, *tiny)
    assert result.code == 0, result.err
    assert {"clouds.pt", "clouds.png", "metrics.json"} <= {path.name for path in (tmp_path / "drawn").iterdir()}
    again = run("sample", "--checkpoint", "drawn", "--input", "drawn/clouds.pt", "--out", "again.pt")
    assert again.code == 0, again.err
    assert len(read("again.pt").items) == len(read("drawn/clouds.pt").items)


def test_without_a_command_the_help_is_shown(run):
    result = run()
    assert all(command in result.out for command in ("demo", "train", "sample", "evaluate", "data"))
    assert result.err == ""


def test_samples_by_another_sampler(run, checkpoint, tmp_path):
    arguments = ("sample", "--checkpoint", checkpoint, "CCO", "--num", 2, "--seed", 1, "--steps", 4)
    for name, options in (("a.pt", ()), ("b.pt", ("--sampler", "dpm-solver++"))):
        assert run(*arguments, *options, "--out", name).code == 0
    report = json.loads((tmp_path / "b.pt.report.json").read_text())
    assert (report["sampler"], report["num_steps"]) == ("dpm-solver++", 4)
    a, b = (read(name).items[0]["pos"] for name in ("a.pt", "b.pt"))
    assert not torch.allclose(a, b, atol=1e-4)


def test_data_list_names_every_data_set(run):
    from graphscore.data import datasets

    result = run("data", "list")
    assert result.code == 0
    assert all(name in result.out for name in datasets())


def test_how_samples_were_made_and_what_is_marked_is_counted_and_said(run, checkpoint, tmp_path):
    smiles = ["C[C@H](N)O", "C1CC/C=C/CCC1"]  # a trans double bond in a ring of eight is not flat
    result = run("sample", "--checkpoint", checkpoint, *smiles, "--num", 3, "--out", "x.sdf")
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "x.sdf.report.json").read_text())
    first, second = report["inputs"]
    assert first["marked"] == 0 and second["marked"] == report["num_marked"] == 3
    assert report["methods"] == dict(Counter(first["methods"]) + Counter(second["methods"]))
    assert report["methods"].keys() <= {"sampled", "redrawn", "mirrored", "relaxed", "embedded"}
    assert second["methods"] == {"embedded": 3}  # an untrained network puts atoms anywhere
    said = " ".join(result.out.split())
    # Before 2026.9, RDKit's distance geometry made the flat cis form of it.
    assert "replaced by distance geometry" in said
    assert re.search("3 of 3 conformers are marked: (unusual: )?double bond", said), said
    assert len(re.findall(r">  <warning>\n(unusual: )?double bond", (tmp_path / "x.sdf").read_text())) == 3
    result = run("sample", "--checkpoint", checkpoint, *smiles, "--num", 3, "--out", "y.sdf", "--strict")
    assert result.code == 0, result.err
    assert (tmp_path / "y.sdf").read_text().count("$$$$") == 3
    assert "3 of 3 conformers are left out" in " ".join(result.out.split())


def test_commands_that_compute_prepare_the_process_and_pass_on_its_hint(run, checkpoint, monkeypatch, looks):
    calls = []

    def prepare(spare_cores):
        calls.append(spare_cores)
        return runtime.Prepared(keeps_memory=True, medium_products=True, hint="set OMP_NUM_THREADS=1")

    monkeypatch.setattr(runtime, "prepare", prepare)
    sampled = run("sample", "--checkpoint", checkpoint, "CCO", "--out", "a.sdf")
    assert sampled.code == 0, sampled.err
    assert "Hint: set OMP_NUM_THREADS=1" in sampled.out
    trained = run("train", "--config", "small-molecules", "--data", "a.sdf", "--out", "run", *TINY)
    assert trained.code == 0, trained.err
    assert calls == [True, True]  # they make room for others
    assert len(looks) == 4  # a training also before each of its steps
    assert run("evaluate", "a.sdf", "a.sdf").code == run("data", "list").code == 0
    assert calls == [True, True]
