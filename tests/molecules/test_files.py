"""The text of molecules: where records begin and end, what RDKit reads of them, and what is said of broken ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data import read
from graphscore.molecules.embedding import embed
from graphscore.molecules.files import mol_from_molblock, sdf_texts, xyz_text
from graphscore.molecules.readers import graph_of, numbers_of
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.xyz import XYZFrame, mol_from_xyz, xyz_frames


def lines(text: str) -> Iterator[str]:
    """Lines that may be asked for once each, and not beyond the last."""
    yield from text.splitlines(keepends=True)
    raise AssertionError("read on beyond what was needed")


def test_records_are_split_as_they_are_asked_for():
    records = sdf_texts(lines("a\n\n$$$$\nb $$$$\n$$$$ more\n"))
    assert [next(records), next(records)] == ["a\n\n", "b $$$$\n"]
    assert list(sdf_texts(["a\n", "$$$$\n", "cut off\n"])) == ["a\n", "cut off\n"]


def test_frames_are_split_as_they_are_asked_for():
    frames = xyz_frames(lines("\n 1 \n c \nC 0 0 0\n\n2\r\n\r\nH 0 0 0\r\nH 0 0 1\r\n"), "x.xyz")
    assert next(frames) == XYZFrame(2, " c ", ["C 0 0 0"])
    assert next(frames) == XYZFrame(6, "", ["H 0 0 0", "H 0 0 1"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\n\nC 0 0 0\nC\n", "line 4 of x.xyz, a comment and that many atoms, but found 'C'$"),
        ("\n3\n\nC 0 0 0\n", "line 2 of x.xyz, .*, but found '3' and 2 more lines"),
        ("9" * 30, "but found '9+'$"),
        ("-1\n\n", "but found '-1'$"),
    ],
)
def test_frames_that_are_cut_off_are_located(text: str, words: str):
    with pytest.raises(ValueError, match=words):
        list(xyz_frames(text.splitlines(), "x.xyz"))


def test_a_written_frame_is_read_as_it_was():
    pos = np.array([[0.0, 0.12345678, -1.5], [100.0, 1e-8, 3.0]])
    frame = next(xyz_frames(xyz_text(["C", "Cl"], pos, "two\n atoms").splitlines(), ""))
    assert frame.comment == "two atoms"
    assert np.array_equal([[float(x) for x in row.split()[1:]] for row in frame.atoms], pos)


def test_fields_become_properties_also_where_the_record_is_cut_off():
    block = Chem.MolToMolBlock(mol_from_smiles("CO"))
    mol = mol_from_molblock(f"{block}> <energy>\n-1.5\n\n> <n>\n2\n3\n\n> <last>\n 7")
    assert numbers_of(mol) == {"energy": -1.5, "last": 7.0}
    assert mol.GetProp("n") == "2\n3" and mol.GetNumAtoms() == 6


def test_a_molecule_with_malformed_fields_does_without_them():
    block = Chem.MolToMolBlock(mol_from_smiles("CO"))
    assert mol_from_molblock(block + "> <energy\n-1.5\n\n> no name\nx\n").GetNumAtoms() == 6


def test_numbers_in_comments_become_properties():
    mol = embed(mol_from_smiles("CO"), 1, seed=0, optimize=False)
    text = Chem.MolToXYZBlock(mol).replace("\n\n", "\nmethanol E: -1.5 step=3 name=x\n", 1)
    read_back = mol_from_xyz(next(xyz_frames(text.splitlines(), "")))
    assert read_back.GetProp("_Name") == "methanol E: -1.5 step=3 name=x"
    assert numbers_of(read_back) == {"E": -1.5, "step": 3.0}


def test_a_line_that_is_none_of_a_table_says_so(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text('smiles\nC\n"' + "C" * 200_000 + '"\nCC\n')
    result = read(path)
    assert [item.smiles for item in result.items] == ["C", "CC"]
    assert [failure.location for failure in result.failures] == ["line 3"]
    assert "Not a line of a table: field larger than field limit" in result.failures[0].reason


def test_fields_without_an_empty_line_between_them_are_noted():
    block = Chem.MolToMolBlock(mol_from_smiles("CO"))
    data = graph_of(mol_from_molblock(f"{block}> <A>\n1\n>  25 <B> (3)\n2\n\n> <C>\n> 50\n<5>\n\n"))
    assert data["properties"] == {"A": "1\n>  25 <B> (3)\n2", "C": "> 50\n<5>"}
    (note,) = data["notes"]
    assert "'A' contains '>  25 <B> (3)': an empty line" in note


@pytest.mark.parametrize("smiles", ["[NH3]->[BH3]", "N->[Cu]"])
def test_dative_bonds_are_refused_by_name(smiles: str):
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
    block = Chem.MolToMolBlock(mol, kekulize=False)
    with pytest.raises(ValueError, match=r"atoms 0 and 1 have DATIVE; write dative bonds as .* \[NH3\+\]\[BH3-\]"):
        graph_of(mol_from_molblock(block))
