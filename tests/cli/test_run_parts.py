"""A part of the data set of a run: sampled and evaluated with nothing else typed."""

from __future__ import annotations

import json

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import read

CONFIG = """
data: {dataset: {name: files, path: own.pt, split: random}}
fields: [{name: FIELD, width: 2, sde: {name: edm}}]
network: {backbone: {name: egnn, hidden_channels: 8, num_layers: 1}, positions: POSITIONS}
transforms: [{name: complete-graph}]
training: {max_steps: 2, batch_size: 8}
sampling: {num_steps: 3}
"""


@pytest.fixture
def trained(run, tmp_path):
    """Train on 40 graphs of 1 to 40 nodes; return the numbers of nodes of the test part."""

    def train(field: str) -> list[int]:
        positions = "pos" if field == "pos" else "null"
        (tmp_path / "own.yaml").write_text(CONFIG.replace("FIELD", field).replace("POSITIONS", positions))
        torch.save([Data(**{field: torch.randn(n, 2)}) for n in range(1, 41)], "own.pt")
        done = run("train", "--config", "own.yaml", "--out", "run")
        assert done.code == 0, done.err
        size = json.loads((tmp_path / "run" / "split.json").read_text())["parts"]["test"]["graphs"]
        assert run("sample", "--checkpoint", "run", "--part", "test", "--out", "t.pt", "--num", "2").code == 0
        made = [sample[field].shape[0] for sample in read("t.pt").items]
        assert len(set(made)) == size and sorted(made) == sorted(2 * list(set(made)))
        return sorted(set(made))

    return train


def test_a_part_is_sampled_and_evaluated(run, tmp_path, trained, monkeypatch):
    sizes = trained("pos")
    done = run("evaluate", "--run", "run")
    assert done.code == 0 and "Chamfer" in done.out and "Warning" not in done.out
    report = json.loads((tmp_path / "run" / "test.evaluation.json").read_text())
    assert report["num_references"] == len(sizes) and report["num_generated"] == 2 * len(sizes)
    drawn = read("run/test.samples.pt").items
    assert sorted(len(sample["pos"]) for sample in drawn) == sorted(2 * sizes)
    few = run("evaluate", "--run", "run", "--limit", "1", "--num", "3", "--out", "few.json", "--seed", "5")
    assert few.code == 0 and json.loads((tmp_path / "few.json").read_text())["num_generated"] == 3
    given = run("evaluate", "t.pt", "--run", "run", "--part", "val")
    assert given.code == 0 and (tmp_path / "run" / "val.evaluation.json").is_file()
    torch.save([Data(pos=torch.randn(n, 2)) for n in range(1, 42)], "own.pt")
    changed = run("evaluate", "--run", "run", "t.pt")
    assert changed.code == 0 and "The data are not those of the training: own.pt has changed" in changed.out


def test_graphs_without_coordinates_are_evaluated_by_their_features(run, tmp_path, trained):
    trained("x")
    done = run("evaluate", "--run", "run")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "run" / "test.evaluation.json").read_text())
    assert report["distance of x"] > 0 and "distance of x" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "--part", "test", "--out", "x.pt"], "--part test is of the data set of a run: name it, by"),
        (
            ["sample", "--part", "all", "--checkpoint", "conformers", "--out", "x.pt"],
            "train, val or test, but got",
        ),
        (
            ["sample", "--part", "val", "--checkpoint", "conformers", "--out", "x.pt", "C"],
            "--part val or SMILES",
        ),
        (["evaluate", "a.sdf"], "Expected GENERATED and REFERENCE, or --run RUN"),
        (
            ["evaluate", "--run", "conformers"],
            "Expected the folder of a run, but conformers are weights",
        ),
        (["evaluate", "--run", "none"], "No checkpoint at none"),
        (["evaluate", "a.pt", "a.pt", "--limit", "3"], "--limit is for --run RUN, not for files of references"),
    ],
)
def test_what_is_missing_is_named(run, tmp_path, arguments, words):
    torch.save([Data(pos=torch.randn(3, 2))], "a.pt")
    (tmp_path / "a.sdf").write_text("x\n")
    done = run(*arguments)
    assert done.code == 2 and words in done.err
