"""Data fields and columns: whatever an input holds is in the output, and spoils no file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit.Chem import rdDistGeom
from torch_geometric.data import Data

from graphscore.data import read, write
from graphscore.molecules.fields import OWN, read_fields
from graphscore.molecules.files import mol_from_molblock, sdf_record, sdf_texts, xyz_record
from graphscore.molecules.graph import Chem, data_from_mol, data_from_smiles, rdBase
from graphscore.molecules.labels import field_name, properties_of
from graphscore.molecules.readers import graph_of
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.xyz import _electrons, xyz_frames

ATOMS = st.characters(exclude_categories=("Cs",), exclude_characters="\r\0")
VALUES = st.one_of(
    st.text(ATOMS, max_size=30),
    st.lists(st.sampled_from(["", " ", "$$$$", "$$$$ x", ">  <SMILES>", "> 50", "M  END", "a b", "5"]), max_size=6).map(
        "\n".join
    ),
)
NAMES = st.one_of(
    st.sampled_from(
        ["IC50", "a>b", "<", ">", "_Name", "numArom", "_MolFileInfo", "SMILES", "sample (input)", "a> (1)"]
    ),
    st.text(ATOMS, max_size=12),
)
if rdBase.rdkitVersion < "2025.09.5":  # which ends a name at its first ">"
    NAMES = NAMES.map(lambda name: name.replace(">", "<"))


def placed(smiles: str = "CO", **attributes: object) -> Data:
    data = data_from_smiles(smiles, name="methanol")
    data.pos = torch.arange(3.0 * (data.num_nodes or 0)).reshape(-1, 3)
    return data.update(attributes)


def in_sdf(value: str) -> str:
    """A value with blanks where an SDF cannot hold it, and without empty lines at its end."""
    lines = value.rstrip("\n").split("\n")
    return "\n".join(f" {line}" if line.startswith("$$$$") else line or " " for line in lines) if any(lines) else ""


def by_rdkit(text: str) -> list[dict[str, str]]:
    with rdBase.BlockLogs():
        supplier = Chem.SDMolSupplier()
        supplier.SetData(text, removeHs=False)
        return [{} if mol is None else properties_of(mol) for mol in supplier]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_fields_are_read_again_and_the_next_record_too(fields: dict[str, str]):
    text = sdf_record(placed(properties=fields))
    expected = {"SMILES": "CO"}
    for name, value in fields.items():
        name = field_name(name.replace("\n", " ")) or "unnamed"
        expected["SMILES (input)" if name == "SMILES" else name] = in_sdf(value)
    if len(expected) == 1 + len(fields):  # else two of them have one name, for which there is a test below
        assert by_rdkit(text * 2) == [expected, expected]
    records = list(sdf_texts(lines_of(text * 2)))
    assert [properties_of(mol_from_molblock(record)) for record in records[:2]] == by_rdkit(text * 2)


def lines_of(text: str) -> list[str]:
    """Lines by line feeds alone, as files are read."""
    return [f"{line}\n" for line in text.split("\n")]


def test_names_that_become_equal_are_told_apart():
    assert by_rdkit(sdf_record(placed(properties={"a\nb": "1", "a b": "2", "": "3", "unnamed": "4"})))[0] == {
        "SMILES": "CO", "a b": "1", "a b (2)": "2", "unnamed": "3", "unnamed (2)": "4",
    }  # fmt: skip


def test_fields_come_after_ours_in_their_order_and_ours_win():
    given_fields = {"b": "1", "SMILES": "x", "energy": "5", "sample": "7", "warning": "old", "a": "2"}
    text = sdf_record(placed(properties=given_fields, energy=-1.5, sample=2, method="sampled"))
    (found,) = by_rdkit(text)
    assert list(found.items()) == [
        ("SMILES", "CO"), ("energy", "-1.5"), ("sample", "2"), ("method", "sampled"), ("b", "1"),
        ("SMILES (input)", "x"), ("energy (input)", "5"), ("sample (input)", "7"), ("warning (input)", "old"),
        ("a", "2"),
    ]  # fmt: skip
    plain = by_rdkit(sdf_record(placed(properties={"energy": "5", "SMILES": "x"})))[0]
    assert plain == {"SMILES": "CO", "energy": "5", "SMILES (input)": "x"}  # not a sample: its own energy
    assert {"method", "warning", "drift"} <= set(OWN)


def test_a_title_ends_no_record():
    data = placed()
    data.name = "$$$$ cheap\r\nstuff"
    (mol,) = list(sdf_supplier(sdf_record(data)))
    assert mol.GetProp("_Name").strip() == "$$$$ cheap stuff"


def sdf_supplier(text: str) -> Chem.SDMolSupplier:
    supplier = Chem.SDMolSupplier()
    supplier.SetData(text, removeHs=False)
    return supplier


def test_what_rdkit_drops_of_a_record_is_kept():
    lines = [
        "stray\n", ">  <a>\n", "1\n", "\n", "2\n", "\n", "> 25 <a> (3)\n", "3\n", ">  <b>\n", "\n", ">  DT12\n", "x\n",
        "\n", ">  <c>\n", "\n", ">  <d>\n", " \n", "4",
    ]  # fmt: skip
    assert read_fields(lines) == {
        "unnamed": "stray\n>  <a>\n1\n\n2", "a": "3\n>  <b>", "DT12": "x", "c": "", "d": " \n4",
    }  # fmt: skip
    assert read_fields(lines[1:6]) == {"a": "1\n\n2"}
    assert read_fields([">  <a>\n", "1\n", "\n", ">  <a>\n", "2\n"]) == {"a": "1", "a (2)": "2"}
    block = Chem.MolToMolBlock(mol_from_smiles("CO"))
    mol = mol_from_molblock(f"{block}>  <_Name>\nx\n\n>  <numArom>\n5\n\n>  <_private>\n6\n\n")
    assert properties_of(mol) == {"field _Name": "x", "field numArom": "5", "_private": "6"}
    assert mol.GetProp("_Name") == ""


def test_fields_of_isomers_say_what_the_coordinates_are():
    mol = mol_from_smiles("C[C@H](F)Cl")
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    data = data_from_mol(mol)
    data.pos = -data["pos"]
    assert data.smiles == "C[C@H](F)Cl"
    assert by_rdkit(sdf_record(data))[0]["SMILES"] == "C[C@@H](F)Cl"


def test_more_than_999_atoms_are_written_as_v3000():
    text = sdf_record(placed("C" * 333))
    assert "V3000" in text and graph_of(mol_from_molblock(text)).num_nodes == 3 * 333 + 2


KEYS = NAMES | st.sampled_from(["charge", "Properties", "Lattice", "pbc", "spin multiplicity"])
TEXTS = VALUES | st.sampled_from(["charge=1", "multiplicity: 3", 'a "b"', "F/C=C\\F", "E=5"])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(KEYS, TEXTS, max_size=4))
def test_comments_of_xyz_hold_any_fields(fields: dict[str, str]):
    text = xyz_record(placed("C[NH3+]", properties=fields, energy=-1.5, sample=1, warning='two "words"'))
    (frame,) = xyz_frames(text.split("\n"), "a.xyz")
    assert frame.comment.startswith("methanol charge=+1 energy=-1.5 sample=1 warning=\"two 'words'\"")
    assert len(frame.atoms) == 8 and _electrons(frame.comment) == (1, None)


def test_fields_of_xyz_are_read_again(tmp_path: Path):
    mol = mol_from_smiles("C[NH3+]")
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    data = data_from_mol(mol, name="two words")
    data.properties = {"IC50 (nM)": "5", "note": "E=5, charge: 7", "isomer": "F/C=C\\F", "charge": "0"}
    data.energy = -1.5
    write([data], tmp_path / "a.xyz")
    (back,) = read(tmp_path / "a.xyz").items
    assert (back.name, back.smiles) == ("two words", "C[NH3+]")
    assert back["properties"] == {
        "energy": "-1.5", "IC50__nM_": "5", "note": "E=5, charge 7", "isomer": "F/C=C\\F", "charge_input": "0",
    }  # fmt: skip
    ase = pytest.importorskip("ase.io")
    info = ase.read(tmp_path / "a.xyz").info
    assert info["isomer"] == "F/C=C\\F" and info["charge"] == 1 and info["IC50__nM_"] == 5


def test_columns_of_tables_and_lists_become_fields(tmp_path: Path):
    (tmp_path / "a.csv").write_text('id,SMILES,IC50,note,,note\nx,CO,5 nM,"a, b",q,w\ny,CC,,\n')
    one, other = read(tmp_path / "a.csv").items
    assert one.name == "x"
    assert one["properties"] == {"IC50": "5 nM", "note": "a, b", "column 5": "q", "note (column 6)": "w"}
    assert other["properties"] == {"IC50": "", "note": "", "note (column 6)": ""}
    (tmp_path / "a.smi").write_text("CO\tmethanol one\t5.1\tx\nCC ethane two\nCCC\n")
    items = read(tmp_path / "a.smi").items
    assert [item.name for item in items] == ["methanol one", "ethane two", ""]
    assert [item.get("properties") for item in items] == [{"column 3": "5.1", "column 4": "x"}, None, None]


def test_fields_pass_through_a_pt_file_and_others_are_left_alone(tmp_path: Path):
    write([placed(properties={"a": "1"})], tmp_path / "a.pt")
    assert read(tmp_path / "a.pt").items[0]["properties"] == {"a": "1"}
    assert "properties" not in by_rdkit(sdf_record(placed(properties=torch.ones(3))))[0]
