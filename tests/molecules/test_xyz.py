"""XYZ files as they come: charges, radicals, single atoms, extended columns, and lines between the frames."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data import read
from graphscore.molecules.embedding import embed
from graphscore.molecules.readers import numbers_of, xyz_mols
from graphscore.molecules.smiles import mol_from_smiles


def rows(smiles: str) -> list[list[str]]:
    """Words of the atoms of a conformer."""
    return [line.split() for line in Chem.MolToXYZBlock(embed(mol_from_smiles(smiles), 1, seed=0)).splitlines()[2:]]


def frame(smiles: str, comment: str = "") -> str:
    lines = rows(smiles)
    return "\n".join([str(len(lines)), comment, *map(" ".join, lines)]) + "\n"


def first(tmp_path: Path, text: str):
    (tmp_path / "a.xyz").write_text(text)
    result = read(tmp_path / "a.xyz")
    assert not result.failures, result.failures
    return result.items[0]


@pytest.mark.parametrize(
    ("smiles", "comment", "name"),
    [
        ("C[NH3+]", "charge=1", ""),
        ("C[NH3+]", "mine, total_charge: +1 ", "mine"),
        ("C[NH3+]", 'charge="1.0"', ""),
        ("CC(=O)[O-]", "-1", ""),
        ("CC(=O)[O-]", "-1 1", ""),
        ("CCO", "charge=0", ""),
        ("CCO", "7", "7"),
        ("CC[CH2]", "propyl", "propyl"),
        ("C[O]", "radical; multiplicity=2", "radical"),
    ],
)
def test_charges_and_radicals(tmp_path: Path, smiles: str, comment: str, name: str):
    data = first(tmp_path, frame(smiles, comment))
    assert data.smiles == Chem.CanonSmiles(smiles) and data.name == name
    assert data.num_nodes == len(rows(smiles))


@pytest.mark.parametrize(
    ("smiles", "comment", "words"),
    [
        ("C[NH3+]", "", "neutral molecule"),
        ("CC(=O)[O-]", "", "neutral molecule"),  # not a radical of oxygen
        ("CCO", "charge=1", r"charge \+1"),
        ("CCO", "charge=0.5", "whole number as charge .* 'charge=0.5'"),
    ],
)
def test_ions_are_not_guessed(tmp_path: Path, smiles: str, comment: str, words: str):
    (tmp_path / "a.xyz").write_text(frame(smiles, comment))
    (failure,) = read(tmp_path / "a.xyz").failures
    with pytest.raises(ValueError, match=words):
        raise ValueError(failure.reason)


@pytest.mark.parametrize(
    ("symbol", "comment", "smiles"),
    [("O", "", "[O]"), ("C", "", "[C]"), ("H", "", "[H]"), ("Na", "charge=1", "[Na+]"), ("17", "-1", "[Cl-]")],
)
def test_one_atom_stays_one(tmp_path: Path, symbol: str, comment: str, smiles: str):
    data = first(tmp_path, f"1\n{comment}\n{symbol} 1 2 3\n")
    assert (data.num_nodes, data.smiles, data.pos.tolist()) == (1, smiles, [[1, 2, 3]])


def test_extended_files_say_their_columns(tmp_path: Path):
    atoms = rows("CO")
    plain = first(tmp_path, frame("CO"))
    layouts = {
        "species:S:1:pos:R:3:forces:R:3:tag:I:1": lambda s, *p: [s, *p, "1.0", "2", "3", "7"],
        "forces:R:3:pos:R:3:Z:I:1": lambda s, *p: ["1.0", "2", "3", *p, {"C": "6", "O": "8", "H": "1"}[s]],
    }
    for properties, layout in layouts.items():
        comment = f'Lattice="9 0 0 0 9 0 0 0 9" Properties={properties} name="my methanol" energy=-1.5 pbc="F F F"'
        text = "\n".join([str(len(atoms)), comment, *(" ".join(layout(*atom)) for atom in atoms)])
        data = first(tmp_path, text)
        assert data.pos.tolist() == plain.pos.tolist() and data.smiles == "CO" and data.name == "my methanol"
        ((_, make),) = xyz_mols(tmp_path / "a.xyz")
        assert numbers_of(make()) == {"energy": -1.5}
    assert first(tmp_path, text.replace('name="my methanol"', "")).name == ""
    (tmp_path / "a.xyz").write_text(text.replace(":Z:I:1", ":W:I:1"))
    assert "species and pos" in read(tmp_path / "a.xyz").failures[0].reason


def test_extra_columns_and_other_ways_to_write_numbers(tmp_path: Path):
    lines = [[*atom, "0.1", "x"] for atom in rows("CO")]
    pos = first(tmp_path, frame("CO")).pos
    lines[0][0], lines[1][0] = "C1", "8"
    lines[2][1] += "D0"
    lines[3][1] += "*^0"
    data = first(tmp_path, "\n".join([str(len(lines)), "", *map("\t".join, lines)]))
    assert data.smiles == "CO" and data.pos.tolist() == pos.tolist()
    (tmp_path / "a.xyz").write_text("\n\n2\n\nH 0 0 0\nH 0 nan 1\n")
    assert "in line 6, but found 'H 0 nan 1'" in read(tmp_path / "a.xyz").failures[0].reason


def test_lines_between_frames_cost_no_frame(tmp_path: Path):
    short = "\n".join(frame("CCO").splitlines()[:-1]) + "\n"
    text = frame("CCO", "2") + "# a comment\n7\nmore\n" + frame("CO", "2") + short + frame("C", "3") + "end\n"
    (tmp_path / "a.xyz").write_text(text)
    result = read(tmp_path / "a.xyz")
    assert [item.smiles for item in result.items] == ["CCO", "CO", "C"]
    assert [failure.location for failure in result.failures] == ["line 12", "line 23", "line 40"]
    assert all("number of atoms in line" in failure.reason for failure in result.failures)


def test_a_file_of_qm9_and_a_compressed_one(tmp_path: Path):
    atoms = [[*atom, "-0.1"] for atom in rows("C")]
    after = ["1341.3\t1341.4", "C\tC", "InChI=1S/CH4/h1H4"]
    text = "\n".join(["5", "gdb 1\t157.7 -40.4 0", *map("\t".join, atoms), *after])
    assert first(tmp_path, text).name == "gdb 1"
    (tmp_path / "b.xyz.gz").write_bytes(gzip.compress(text.encode("utf-16")))
    assert [item.smiles for item in read(tmp_path / "b.xyz.gz").items] == ["C"]


def test_a_charge_can_be_given_and_that_of_the_comment_wins(tmp_path: Path):
    frame = Chem.MolToXYZBlock(embed(mol_from_smiles("C[NH3+]"), 1, 0)).splitlines()
    (tmp_path / "a.xyz").write_text("\n".join(frame) + "\n")
    (item,) = read(tmp_path / "a.xyz", charge=1).items
    assert item.smiles == "C[NH3+]" and "notes" not in item
    frame[1] = "charge=1"
    (tmp_path / "a.xyz").write_text("\n".join(frame) + "\n")
    (item,) = read(tmp_path / "a.xyz", charge=-1).items
    assert item.smiles == "C[NH3+]"
    assert item.notes == ["read with the charge +1 of its comment, not -1"]
    with pytest.raises(ValueError, match="Cannot read .*b.smi with charge: files .smi are read without"):
        (tmp_path / "b.smi").write_text("C")
        read(tmp_path / "b.smi", charge=1)


def test_a_radical_that_no_comment_declares_is_noted(tmp_path: Path):
    frame = Chem.MolToXYZBlock(embed(mol_from_smiles("CC[CH2+]"), 1, 0)).splitlines()
    (tmp_path / "a.xyz").write_text("\n".join(frame) + "\n")
    (item,) = read(tmp_path / "a.xyz").items
    assert item.smiles == "[CH2]CC"
    assert [note.split(";")[0].split(" at ")[0] for note in item.notes] == [
        "read as neutral, with an unpaired electron",
        "1 unpaired electron",
    ]
    (item,) = read(tmp_path / "a.xyz", charge=1).items
    assert item.smiles == "[CH2+]CC" and "notes" not in item


def test_hydrogens_that_seem_to_be_missing_are_noted(tmp_path: Path):
    atoms = Chem.MolToXYZBlock(embed(mol_from_smiles("Oc1ccc(O)cc1"), 1, 0)).splitlines()[2:]
    (tmp_path / "a.xyz").write_text("\n".join(["10", "", *atoms[:9], atoms[-3]]) + "\n")  # and one of CH, one of OH
    (item,) = read(tmp_path / "a.xyz").items
    assert item.notes[0].startswith("read without any hydrogens but those in the file, which may lack some: 12")
    (tmp_path / "a.xyz").write_text(Chem.MolToXYZBlock(embed(mol_from_smiles("CCC#CC=C=C"), 1, 0)))
    (item,) = read(tmp_path / "a.xyz").items
    assert item.smiles == "C=C=CC#CCC" and "notes" not in item
