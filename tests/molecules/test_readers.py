"""Reading molecules: what is in files, and what is said about those that are broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data import read
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import canonical_smiles, mol_from_data
from graphscore.molecules.readers import read_smiles
from graphscore.molecules.smiles import mol_from_smiles


def save(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def molblock(smiles: str, name: str = "", with_hydrogens: bool = True) -> str:
    mol = embed(mol_from_smiles(smiles), 1, seed=0)
    mol = mol if with_hydrogens else Chem.RemoveHs(mol)
    mol.SetProp("_Name", name)
    return Chem.MolToMolBlock(mol)


def test_smi(tmp_path: Path):
    path = save(tmp_path / "a.smi", "# mine\nCCO ethyl alcohol\n\nC1CC\nC\tmethane\n  c1ccccc1  \n")
    result = read(path)
    assert [(d.smiles, d.name) for d in result.items] == [
        ("CCO", "ethyl alcohol"),
        ("C", "methane"),
        ("c1ccccc1", ""),
    ]
    (failure,) = result.failures
    assert (failure.source, failure.location) == (str(path), "line 4")
    assert "C1CC" in failure.reason
    assert str(failure) == f"{path}, line 4: {failure.reason}"


def test_csv(tmp_path: Path):
    path = save(tmp_path / "a.csv", '\ufeffid,SMILES,Name\n1,CCO,"eth,anol"\n2,oops,x\n\n3,,empty\n4,C,m\n')
    result = read(path)
    assert [(d.smiles, d.name) for d in result.items] == [("CCO", "eth,anol"), ("C", "m")]
    assert [f.location for f in result.failures] == ["line 3", "line 5"]
    path = save(tmp_path / "b.csv", "formula,name\nC2H6O,x\n")
    with pytest.raises(ValueError, match=r"column 'smiles' in line 1 .*b.csv, but found .*\['formula', 'name'\]"):
        read(path)


def test_sdf(tmp_path: Path):
    flat = Chem.MolToMolBlock(Chem.MolFromSmiles("C[C@H](N)O"))
    broken = molblock("C").replace("V2000", "V9")
    records = [
        molblock("C[C@H](N)O", "first"),
        broken,
        flat,
        molblock("CC(=O)[O-]", "ion", with_hydrogens=False),
    ]
    path = save(tmp_path / "a.sdf", "".join(f"{record}>  <X>\n1\n\n$$$$\n" for record in records))
    result = read(path)
    assert [d.name for d in result.items] == ["first", "", "ion"]
    first, second, third = result.items
    assert first.smiles == second.smiles == "C[C@H](N)O"
    assert "pos" in first and "pos" not in second
    assert third.num_nodes == 7 and third.pos.shape == (7, 3) and third.charge.sum() == -1
    (failure,) = result.failures
    assert failure.location == "record 2"


def test_sdf_with_an_impossible_molecule_gives_the_reason(tmp_path: Path):
    path = save(
        tmp_path / "a.mol",
        Chem.MolToMolBlock(Chem.MolFromSmiles("CC(C)(C)(C)C", sanitize=False), kekulize=False),
    )
    (failure,) = read(path).failures
    assert "valence" in failure.reason


def test_windows_line_ends_and_version_3000(tmp_path: Path):
    mol = embed(mol_from_smiles("CCO"), 1, seed=0)
    path = tmp_path / "a.sdf"
    path.write_bytes((Chem.MolToV3KMolBlock(mol) + "$$$$\n" + molblock("C") + "$$$$\n").replace("\n", "\r\n").encode())
    assert [d.smiles for d in read(path).items] == ["CCO", "C"]


def test_xyz_with_many_frames(tmp_path: Path):
    frames = []
    for seed in (0, 1):
        frames.append(
            Chem.MolToXYZBlock(embed(mol_from_smiles("OCC=O"), 1, seed)).replace("\n\n", f"\nframe {seed}\n", 1)
        )
    frames.insert(1, "2\nfar apart\nC 0 0 0\nC 9 9 9\n\n")
    frames.append("1\n\nC 0 zero 0\n")
    result = read(save(tmp_path / "a.xyz", "".join(frames)))
    assert [(d.smiles, d.name) for d in result.items] == [("O=CCO", "frame 0"), ("O=CCO", "frame 1")]
    assert not torch.equal(result.items[0].pos, result.items[1].pos)
    assert [f.location.split(" (")[0] for f in result.failures] == ["frame 2", "frame 4"]
    with pytest.raises(ValueError, match="number of atoms in line 1 .*'nine'"):
        read(save(tmp_path / "b.xyz", "nine\n\nC 0 0 0\n"))
    with pytest.raises(ValueError, match="line 1 .*'3' and 2 more lines"):
        read(save(tmp_path / "c.xyz", "3\n\nC 0 0 0\n"))


def test_read_smiles_numbers_its_input():
    result = read_smiles(["CCO", "bad", "[Na+].[Cl-]"])
    assert [canonical_smiles(mol_from_data(d)) for d in result.items] == ["CCO", "[Cl-].[Na+]"]
    assert [(f.source, f.location) for f in result.failures] == [("input", "SMILES 2")]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.sdf", "a.sdf.gz"])
def test_sdf_in_other_encodings_and_compressed(tmp_path: Path, encoding: str, name: str):
    blocks = [molblock("CCO", "caf\xe9 \x0c\x85"), molblock("C", "second")]
    content = "".join(f"{block}> <F>\n\xb5\n\n$$$$\n" for block in blocks).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    result = read(tmp_path / name)
    assert [(item.smiles, item.name) for item in result.items] == [("CCO", "caf\xe9"), ("C", "second")]
    assert not result.failures


def test_a_bad_byte_in_a_molblock_costs_one_record(tmp_path: Path):
    blocks = [molblock(smiles, smiles).encode() for smiles in ("CCO", "C", "CC")]
    blocks[1] = blocks[1].replace(b" C  ", b" \xff  ")
    blocks[2] = blocks[2].replace(b"CC\n", b"C\x00C\n", 1)  # in the title
    (tmp_path / "a.sdf").write_bytes(b"$$$$\n".join(blocks))
    result = read(tmp_path / "a.sdf")
    assert [item.smiles for item in result.items] == ["CCO", "CC"]
    assert [failure.location for failure in result.failures] == ["record 2"]


def test_a_missing_separator_costs_no_record(tmp_path: Path):
    blocks = [molblock(smiles, name) for smiles, name in (("CCO", "one"), ("CO", "two"), ("C", "three"))]
    path = save(tmp_path / "a.sdf", blocks[0] + blocks[1] + "> <A>\n1\n\n" + blocks[2])
    result = read(path)
    assert [(item.smiles, item.name) for item in result.items] == [("CCO", "one"), ("CO", "two"), ("C", "three")]
    assert not result.failures


@pytest.mark.parametrize(
    ("old", "new"),
    [("M  END\n", ""), ("  9  8", " 12  8"), ("  9  8", "  5  4"), (" O   0", " A   0"), (" O   0", " R#  0"),
     ("  1  2  1  0", "  1  2  8  0")],
)  # fmt: skip
def test_a_broken_block_or_a_query_costs_its_record_alone(tmp_path: Path, old: str, new: str):
    block = molblock("CCO")
    assert old in block
    path = save(tmp_path / "a.sdf", block.replace(old, new, 1) + "$$$$\n" + molblock("CO") + "$$$$\n")
    result = read(path)
    assert [item.smiles for item in result.items] == ["CO"]
    assert [failure.location for failure in result.failures] == ["record 1"]


def test_what_is_not_utf_8_is_noted_on_its_record(tmp_path: Path):
    said = "is not UTF-8, and was read as Latin-1"
    texts = {
        "a.smi": ("C met\nCCO café\n", [[], [f"line 2 {said}"]]),
        "a.csv": ('smiles,Größe\nC,1\nCC,"a\né"\nCCC,x\n', [[f"line 1 {said}"], [f"line 4 {said}"], []]),
        "a.xyz": ("1\nx\nHe 0 0 0\n1\né\nNe 0 0 0\n", [[], [f"line 5 {said}"]]),
        "a.sdf": (f"{molblock('C')}$$$$\n{molblock('C', 'é')}> <a>\né\n\n$$$$\n", [[], ["line 16", "line 32"]]),
    }
    for name, (text, notes) in texts.items():
        (tmp_path / name).write_text(text, encoding="latin-1")
        items = read(tmp_path / name).items
        if name == "a.sdf":
            assert [len(item.get("notes") or []) for item in items] == list(map(len, notes))
        else:
            assert [item.get("notes") or [] for item in items] == notes
        (tmp_path / name).write_text(text, encoding="utf-16")
        assert not any(item.get("notes") for item in read(tmp_path / name).items)
