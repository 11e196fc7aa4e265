"""Formats and names of output files, and what they keep of the input."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.cli.inputs import Inputs
from graphscore.cli.sample import FileJob, Files
from graphscore.data import read

ROWS = "id,smiles,IC50,sample\na,CCO,5 nM,x\nb,C1CC,3,y\nc,[2H]C([2H])O,,z\n"


@pytest.fixture
def sample(run, conformer_checkpoint):
    def call(*arguments: object):
        return run("sample", "--checkpoint", conformer_checkpoint, "--workers", 1, *arguments)

    Path("in.csv").write_text(ROWS)
    return call


def test_a_summary_has_a_line_for_each_sample_and_each_failure(sample, unclosed):
    assert sample("--input", "in.csv", "--num", 2, "--out", "a.csv").code == 0
    with Path("a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["input", "name", "failure", "SMILES"]
    assert [(row["input"], row["name"], row["SMILES"], row["sample"]) for row in rows] == [
        ("1", "a", "CCO", "1"), ("1", "a", "CCO", "2"), ("2", "", "", ""),
        ("3", "c", "[2H]C([2H])O", "1"), ("3", "c", "[2H]C([2H])O", "2"),
    ]  # fmt: skip
    assert [row["failure"] for row in rows if row["failure"]] == [f"line 3: 'C1CC' is not a SMILES string: {unclosed}"]
    assert [(row["IC50"], row["sample (input)"]) for row in rows] == [("5 nM", "x")] * 2 + [("", "")] + [("", "z")] * 2


def test_columns_become_fields_of_every_record_also_compressed(sample):
    assert sample("--input", "in.csv", "--num", 2, "--out", "a.sdf.gz", "--trajectory", "t.SDF.GZ").code == 0
    text = gzip.decompress(Path("a.sdf.gz").read_bytes())
    supplier = Chem.SDMolSupplier()
    supplier.SetData(text, removeHs=False)
    mols = list(supplier)
    assert [mol.GetProp("IC50") for mol in mols] == ["5 nM", "5 nM", "", ""]
    assert [mol.GetProp("sample (input)") for mol in mols] == ["x", "x", "z", "z"]
    assert [atom.GetIsotope() for atom in mols[2].GetAtoms()][:4] == [2, 0, 2, 0]
    assert len(read("t.SDF.GZ").items) > 4
    assert sample("--input", "in.csv", "--num", 2, "--out", "a.sdf").code == 0
    assert Path("a.sdf").read_bytes() == text
    assert sample("--input", "in.csv", "--num", 2, "--refine", "mmff", "--out", "a.xyz.gz").code == 0
    names = [(item.name, item["properties"]["IC50"]) for item in read("a.xyz.gz").items]
    assert names == [("a", "5 nM"), ("a", "5 nM"), ("c", ""), ("c", "")]


def test_files_of_ours_are_compared_and_shown(sample, run):
    assert sample("--input", "in.csv", "--num", 2, "--out", "a.sdf.gz").code == 0
    assert run("view", "a.sdf.gz", "--out", "a.html").code == 0
    assert run("evaluate", "a.sdf.gz", "a.sdf.gz", "--out", "e.json").code == 0
    report = json.loads(Path("e.json").read_text())
    assert report["num_molecules"] == 2 and report["amr_r"]["mean"] < 1e-3 and not report["skipped"]


@pytest.mark.parametrize("name", ["-a.sdf", "two words.b.SDF", "Übung.sdf", "new/folder/a.sdf.gz", ".hidden.sdf"])
def test_any_name_of_a_file(sample, name: str):
    assert sample("CCO", "--out", f"./{name}").code == 0
    assert len(read(name).items) == 1 and json.loads(Path(f"{name}.report.json").read_text())["num_written"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")
def test_a_name_that_is_no_text(sample):
    name = os.fsdecode(b"b\xff.sdf")
    assert sample("CCO", "--out", name).code == 0
    assert len(read(name).items) == 1
    assert json.loads(Path(f"{name}.report.json").read_text())["output"] == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "a.csv.gz",
            ".csv .graphml .graphml.gz .graphml.zip .npz .ply .ply.zip .pt .sdf .sdf.gz .xyz .xyz.gz",
        ),
        ("x" * 240 + ".sdf", "a name of at most 230 bytes"),
        ("in.csv/a.sdf", "is a file, not a folder"),
        ("link.csv", "would replace the input"),
        ("hard.csv", "would replace the input"),
        ("folder.sdf", "is a folder"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(sample, name: str, words: str):
    Path("folder.sdf").mkdir()
    os.symlink("in.csv", "link.csv")
    os.link("in.csv", "hard.csv")
    before = sorted(os.listdir())
    result = sample("--input", "in.csv", "--out", name)
    assert result.code == 2 and words in " ".join(result.err.split()), result.err
    assert sorted(os.listdir()) == before and Path("in.csv").read_text() == ROWS


def test_a_job_in_python_keeps_its_input_too(tmp_path: Path):
    (tmp_path / "a.csv").write_text("smiles\nC\n")
    (tmp_path / "b.report.json").symlink_to("a.csv")
    inputs = Inputs((), tmp_path / "a.csv")
    for files in (Files(tmp_path / "a.csv"), Files(tmp_path / "b.sdf", report=tmp_path / "b.report.json")):
        with pytest.raises(ValueError, match="would replace the input"):
            FileJob(inputs, files, {})
    assert (tmp_path / "a.csv").read_text() == "smiles\nC\n"
