"""Folders and patterns of files as one data set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import FileDataset, write

pytest.importorskip("rdkit")

from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

from graphscore.data.split import PARTS, part_of
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol, flat_smiles
from graphscore.molecules.smiles import mol_from_smiles


def write_conformers(path: Path, smiles: str, num: int, first: int = 0) -> None:
    mol = embed(mol_from_smiles(smiles), first + num, seed=0, optimize=False)
    write([data_from_mol(mol, c.GetId()) for c in list(mol.GetConformers())[first:]], path)


def parts_of(data: FileDataset) -> dict[str, str]:
    return {item.smiles: part for part in PARTS for item in data.split(part)}


def parts_by_scaffold(data: FileDataset) -> list[set[str]]:
    where: dict[str, set[str]] = {}
    for smiles, part in parts_of(data).items():
        where.setdefault(MurckoScaffoldSmiles(smiles), set()).add(part)
    return list(where.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Conformers of one molecule in several files, formats and folders."""
    write_conformers(tmp_path / "set" / "a.sdf", "CCO", 2)
    write_conformers(tmp_path / "set" / "sub" / "b.xyz", "CCO", 1, first=2)
    write_conformers(tmp_path / "set" / "sub" / "c.sdf", "C[C@H](N)O", 1)
    write_conformers(tmp_path / "set" / "d.sdf", "C[C@@H](N)O", 1)
    for n in range(1, 12):
        write_conformers(tmp_path / "set" / "more" / f"{n}.sdf", "C" * n + "F", 1)
    (tmp_path / "set" / "notes.txt").write_text("not read")
    return tmp_path / "set"


def test_folders_are_one_data_set(folder: Path):
    data = FileDataset(folder, fractions=(0.4, 0.3, 0.3))
    assert data.name == "set" and not data.failures
    groups = {group[0].smiles: group for part in PARTS for group in data.groups(part)}
    assert len(groups) == 14 and len(groups["CCO"]) == 3
    assert len({item.pos.sum().item() for item in groups["CCO"]}) == 3
    where = parts_of(data)
    assert where == {s: PARTS[part_of(flat_smiles(mol_from_smiles(s)), (0.4, 0.3, 0.3))] for s in groups}
    assert where["C[C@H](N)O"] == where["C[C@@H](N)O"] and len(set(where.values())) == 3


@pytest.mark.parametrize(
    ("pattern", "number"), [("*.sdf", 2), ("**/*.sdf", 14), ("sub/?.*", 2), ("[ad].sdf", 2), ("more/1*.sdf", 3)]
)
def test_patterns(folder: Path, pattern: str, number: int):
    data = FileDataset(folder / pattern, fractions=(1, 0, 0))
    assert len(data.groups("train")) == number and data.name == pattern.rpartition("/")[2]


def test_the_place_of_a_file_does_not_change_its_part(folder: Path, tmp_path: Path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        for number in range(30):
            write([Data(pos=torch.full((1, 2), number + 0.5))] * 2, tmp_path / name / f"{number}.pt")
    where = [
        {item.pos[0, 0].item(): part for part in PARTS for item in FileDataset(tmp_path / name / "*.pt").split(part)}
        for name in ("x", "y")
    ]
    assert where[0] == where[1] and len(set(where[0].values())) == 3
    both = FileDataset(tmp_path / "[xy]" / "*.pt")  # files of the same name are not one graph
    assert sum(len(both.groups(part)) for part in PARTS) == 120


def test_files_that_cannot_be_read_are_reported_among_others(folder: Path):
    (folder / "empty.sdf").touch()
    (folder / "more" / "broken.xyz").write_text("3\n\nC 0 0 0\n")
    write([Data(pos=torch.ones(3, 3))], folder / "cloud.pt")
    data = FileDataset(folder)
    assert {(Path(f.source).name, f.location) for f in data.failures} == {("empty.sdf", "file"), ("broken.xyz", "file")}
    assert "is empty" in next(f.reason for f in data.failures if f.source.endswith("empty.sdf"))
    with pytest.raises(ValueError, match="is empty"):
        FileDataset(folder / "empty.sdf")


def test_no_files(tmp_path: Path):
    with pytest.raises(ValueError, match="Expected files .graphml .graphml.zip .npy .npz .parquet .pt .sdf .mol .xyz"):
        FileDataset(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"There is no file like .*\*.sdf"):
        FileDataset(tmp_path / "*.sdf")
    with pytest.raises(FileNotFoundError, match="There is no file .*a.sdf"):
        FileDataset(tmp_path / "a.sdf")


def test_files_with_brackets_in_their_names_are_no_patterns(tmp_path: Path):
    write_conformers(tmp_path / "a[1].sdf", "CCO", 1)
    assert len(FileDataset(tmp_path / "a[1].sdf", fractions=(1, 0, 0)).split("train")) == 1


def test_split_by_scaffold(tmp_path: Path):
    rings = [
        "c1ccccc1",
        "C1CCCCC1",
        "c1ccncc1",
        "C1CCOC1",
        "c1ccoc1",
        "C1CCNCC1",
        "c1ccsc1",
        "C1CC1",
        "C1CCC1",
    ]
    for number, ring in enumerate(rings):
        for tail in ("C", "CO", "CF"):
            write_conformers(tmp_path / f"{number}{tail}.sdf", tail[::-1] + ring, 1)
    write_conformers(tmp_path / "chain.sdf", "CCO", 1)
    parts = parts_by_scaffold(FileDataset(tmp_path, split="scaffold", fractions=(0.4, 0.3, 0.3)))
    assert len(parts) == 10 and all(len(part) == 1 for part in parts) and len(set.union(*parts)) == 3
    assert any(len(part) > 1 for part in parts_by_scaffold(FileDataset(tmp_path, fractions=(0.4, 0.3, 0.3))))
    known = (
        r"split to be one of \['group', 'molecule', 'random', 'scaffold'\], .* got 'scaffolds'; did you mean 'scaffold'"
    )
    with pytest.raises(ValueError, match=known):
        FileDataset(tmp_path, split="scaffolds")
    write([Data(pos=torch.ones(3, 2))], tmp_path / "c.pt")
    with pytest.raises(ValueError, match="it is one of the clouds, which have no split by 'scaffold'"):
        FileDataset(tmp_path / "c.pt", split="scaffold")
