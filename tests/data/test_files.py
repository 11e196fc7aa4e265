"""A user's file as a data set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import CompleteGraph, Dataset, FileDataset, write

pytest.importorskip("rdkit")

from graphscore.data.molecules import data_from_mol, embed, mol_from_smiles

PARTS = ("train", "val", "test")


@pytest.fixture
def molecules(tmp_path: Path) -> Path:
    items = []
    for smiles in ["C[C@H](N)O", "C[C@@H](N)O", *("C" * n + "O" for n in range(1, 15))]:
        mol = embed(mol_from_smiles(smiles), 2, seed=0, optimize=False)
        items += [data_from_mol(mol, c.GetId()) for c in mol.GetConformers()]
    write(items, tmp_path / "mine.sdf")
    return tmp_path / "mine.sdf"


def test_molecules_are_split_without_stereo_and_grouped_with_it(molecules: Path):
    data = FileDataset(molecules, fractions=(0.4, 0.3, 0.3))
    assert isinstance(data, Dataset) and data.name == "mine.sdf" and not data.failures
    flat = [{d.smiles.replace("@", "").replace("[CH]", "C") for d in data.split(p)} for p in PARTS]
    assert all(flat) and sum(map(len, flat)) == len(set.union(*flat)) == 15
    groups = [group for part in PARTS for group in data.groups(part)]
    assert len(groups) == 16 and {len(g) for g in groups} == {2}
    assert all(len({d.smiles for d in group}) == 1 for group in groups)


def test_transform_sees_no_coordinates(molecules: Path):
    item = FileDataset(molecules, transform=CompleteGraph("bond")).split("train")[0]
    assert item.num_edges == item.num_nodes * (item.num_nodes - 1) and item.pos.shape == (item.num_nodes, 3)


def test_other_graphs_are_split_by_position(tmp_path: Path):
    write([Data(pos=torch.randn(3, 2) + i) for i in range(40)], tmp_path / "a.pt")
    data = FileDataset(tmp_path / "a.pt")
    assert sum(len(data.split(p)) for p in PARTS) == sum(len(data.groups(p)) for p in PARTS) == 40
    means = [{round(d.pos.mean().item(), 4) for d in data.split(p)} for p in PARTS]
    assert len(set.union(*means)) == 40
    other = FileDataset(tmp_path / "a.pt", seed=5)
    assert [len(other.split(p)) for p in PARTS] != [len(data.split(p)) for p in PARTS]


def test_what_cannot_be_used_is_kept_in_failures(tmp_path: Path):
    good, ints = Data(pos=torch.ones(3, 2)), Data(pos=torch.ones(3, 2, dtype=torch.long))
    infinite = Data(pos=torch.tensor([[torch.inf, 0.0]]))
    write([good, Data(x=torch.ones(2, 1)), ints, infinite], tmp_path / "a.pt")
    data = FileDataset(tmp_path / "a.pt", fractions=(1, 0, 0))
    assert len(data.split("train")) == 1
    assert [f.location for f in data.failures] == ["graph 2", "graph 3", "graph 4"]
    assert "no coordinates" in data.failures[0].reason


def test_files_that_give_nothing_to_train_on(tmp_path: Path):
    (tmp_path / "a.smi").write_text("C\nbad\n")
    with pytest.raises(ValueError, match="No graph of .*a.smi has coordinates"):
        FileDataset(tmp_path / "a.smi")
    write([Data(pos=torch.ones(3, 2)), Data(pos=torch.ones(3, 3))], tmp_path / "b.pt")
    with pytest.raises(ValueError, match=r"one dimension of pos .* but found \[2, 3\]"):
        FileDataset(tmp_path / "b.pt")
    write([Data(pos=torch.ones(3, 2))], tmp_path / "c.pt")
    with pytest.raises(ValueError, match="nothing to train on"):
        FileDataset(tmp_path / "c.pt", fractions=(0, 0.5, 0.5))
