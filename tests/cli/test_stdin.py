"""Standard input, files with another extension than their format, and charges by option."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from rdkit import Chem

from graphscore.molecules.embedding import embed
from graphscore.molecules.smiles import mol_from_smiles

LIST = b"CCO ethanol\nC1CC broken\nC[CH]C radical\n"


@pytest.fixture
def piped(run, conformer_checkpoint, monkeypatch):
    """Run ``graphscore sample --input -`` with bytes as standard input."""

    def call(content: bytes, *arguments: object):
        stream = io.TextIOWrapper(io.BytesIO(content))
        monkeypatch.setattr("sys.stdin", stream)
        return run("sample", "--checkpoint", conformer_checkpoint, "--input", "-", "--out", "x.sdf", *arguments)

    return call


def names(path: str = "x.sdf") -> list[str]:
    return [mol.GetProp("_Name") for mol in Chem.SDMolSupplier(path)]


@pytest.mark.parametrize(
    "content", [LIST, gzip.compress(LIST), LIST.decode().encode("utf-16")], ids=["text", "gzip", "UTF-16"]
)
def test_a_list_is_recognised(piped, content: bytes):
    result = piped(content)
    assert result.code == 0 and names() == ["ethanol", "radical"]
    entries = json.loads(Path("x.sdf.report.json").read_text())["inputs"]
    assert [entry["input"] for entry in entries] == ["ethanol", "standard input, line 2", "radical"]
    assert entries[2]["notes"][0].startswith("1 unpaired electron at atom 1 (C)")


def test_the_format_can_be_named(piped):
    assert piped(b"a,b\nx,CCO\n", "--format", "csv").code == 0
    result = piped(LIST, "--format", "sdf")
    assert result.code == 2 and "standard input, record 1: Not a MOL block" in result.err
    assert "the file looks like .smi: name its format, by --format smi" in result.err
    assert "Unknown format 'doc': expected one of" in piped(LIST, "--format", "doc").err


def test_what_cannot_be_read_is_said(piped):
    assert "There is nothing in standard input" in piped(b"").err
    assert "format of standard input is not recognised: name it, such as by --format" in piped(b"??? !!!\n").err
    assert "Cannot read standard input with charge: files .smi are read without" in piped(LIST, "--charge", 1).err


def test_a_file_with_another_extension_gets_a_hint(run, conformer_checkpoint):
    Path("list.dat").write_bytes(LIST)
    Path("list.xyz").write_bytes(LIST)
    for name in ("list.dat", "list.xyz"):
        refused = run("sample", "--checkpoint", conformer_checkpoint, "--input", name, "--out", "x.sdf")
        assert refused.code == 2 and "--format smi" in refused.err
        command = ["sample", "--checkpoint", conformer_checkpoint, "--input", name, "--format", "smi"]
        assert run(*command, "--out", "x.sdf").code == 0
    assert "--format is for --input FILE" in run("sample", "CC", "--format", "smi", "--out", "x.sdf").err


def test_charge_is_for_frames_without_one(run, conformer_checkpoint):
    frame = Chem.MolToXYZBlock(embed(mol_from_smiles("C[NH3+]"), 1, 0))
    lines = frame.splitlines()
    Path("a.xyz").write_text(frame + "\n".join([lines[0], "charge=1", *lines[2:]]) + "\n")
    command = ["sample", "--checkpoint", conformer_checkpoint, "--input", "a.xyz", "--out", "x.sdf"]
    assert "1 input(s) failed" in run(*command).out
    assert "failed" not in run(*command, "--charge", 1).out
    assert [Chem.GetFormalCharge(mol) for mol in Chem.SDMolSupplier("x.sdf")] == [1, 1]
