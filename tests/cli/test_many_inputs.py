"""Inputs from folders and patterns: every readable kind, with its file in the report; jobs go on where they stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("rdkit")

import networkx as nx
import torch
from torch_geometric.data import Data

from graphscore.data import read, write
from graphscore.data.sources import count_records, find_files, iterate_files
from graphscore.experiment.sampling.journal import Journal
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.smiles import mol_from_smiles


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six records: four of graphs, of which one is wrong, and two files that cannot be read."""
    place = tmp_path / "in"
    (place / "deeper").mkdir(parents=True)
    graph = nx.Graph(name="from networkx")
    graph.add_nodes_from([(0, {"element": "C"}), (1, {"element": "O"})])
    graph.add_edge(0, 1, order=1.0)
    nx.write_graphml(graph, place / "a.graphml")
    ethanol = data_from_mol(mol_from_smiles("CCO"))
    write([ethanol, data_from_mol(mol_from_smiles("CN"), name="amine")], place / "deeper" / "b.pt")
    (place / "c.npz").write_bytes(b"no archive")
    (place / "d.graphml").write_bytes(b"")
    (place / "readme.txt").write_text("not read in folders")
    torch.save([Data(num_nodes=3, z=torch.tensor([6, 6]))], place / "e.pt")
    return place


def test_files_are_read_one_after_the_other(folder):
    files = find_files(folder)
    assert [file.name for file in files] == ["a.graphml", "c.npz", "d.graphml", "b.pt", "e.pt"]
    found = [(file.name, place, type(item).__name__) for file, place, item in iterate_files(files)]
    assert found == [
        ("a.graphml", "graph 1", "Data"), ("c.npz", "file", "Failure"), ("d.graphml", "file", "Failure"),
        ("b.pt", "graph 1", "Data"), ("b.pt", "graph 2", "Data"), ("e.pt", "graph 1", "Failure"),
    ]  # fmt: skip
    assert count_records(files) == 6
    with pytest.raises(ValueError, match="Expected a file or a pattern of the format smi, but .* is a folder"):
        find_files(folder, "smi")
    for file in (folder / "c.npz", folder / "d.graphml"):
        with pytest.raises(ValueError):
            count_records([file])


def test_a_folder_is_sampled_and_goes_on_where_it_stopped(run, checkpoint, folder, monkeypatch):
    command = ["sample", "--checkpoint", checkpoint, "--input", folder, "--workers", "1", "--out"]
    whole = run(*command, "whole.pt")
    assert whole.code == 0, whole.err
    report = json.loads(Path("whole.pt.report.json").read_text())
    assert [entry["written"] for entry in report["inputs"]] == [1, 0, 0, 1, 1, 0]
    assert [entry["input"] for entry in report["inputs"]] == [
        "from networkx", f"{folder}/c.npz, file", f"{folder}/d.graphml, file", "CCO", "amine",
        f"{folder}/e.pt, graph 1",
    ]  # fmt: skip
    sources = [entry.get("source") for entry in report["inputs"]]
    assert sources == [
        f"{folder}/a.graphml, graph 1",
        None,
        None,
        *(f"{folder}/deeper/b.pt, graph {k}" for k in (1, 2)),
        None,
    ]
    assert f"{folder}/c.npz, file" in whole.out.replace("\n", "")
    assert all("read_from" not in sample for sample in read("whole.pt").items)

    add = Journal.add
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", lambda self, *args: add(self, *args) if self.done < 4 else 1 / 0)
        assert run(*command, "made.pt").code == 1
    again = run(*command, "made.pt", "--resume")
    assert again.code == 0, again.err
    made, expected = read("made.pt").items, read("whole.pt").items
    assert len(made) == 3 and all(torch.equal(a.pos, b.pos) for a, b in zip(made, expected, strict=True))
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", lambda self, *args: add(self, *args) if self.done < 4 else 1 / 0)
        assert run(*command, "made.sdf").code == 1
    (folder / "c.npz").rename(folder / "f.npz")
    assert "inputs was" in run(*command, "made.sdf", "--resume").err


def test_a_pattern_with_a_format(run, checkpoint, tmp_path):
    for name, smiles in (("x.list", "CO\nC"), ("y.list", "CCN\nCBr\n")):
        (tmp_path / name).write_text(smiles)
    made = run("sample", "--checkpoint", checkpoint, "--input", "*.list", "--format", "smi", "--out", "made.sdf")
    assert made.code == 0, made.err
    assert [sample.smiles for sample in read("made.sdf").items] == ["CO", "C", "CCN"]
    checked = run("validate", "--format", "smi", "*.list", "--checkpoint", checkpoint)
    assert checked.code == 1 and "*.list: 3 of 4 records can be used" in checked.out
    assert "(y.list, line 2)" in checked.out


@pytest.mark.parametrize("pattern, out", [("in", "in/made.pt"), ("in/*.pt", "in/made.pt"), ("in", "in/deeper/x.sdf")])
def test_an_output_among_the_inputs_is_refused(run, folder, pattern, out):
    result = run("sample", "--input", pattern, "--out", out)
    assert result.code == 2 and f"The output {out} would be among the inputs {pattern}" in result.err
    assert not Path(out).exists()
