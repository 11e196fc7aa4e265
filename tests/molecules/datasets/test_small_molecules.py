"""The embedded molecules: what the card says about them holds."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers

import graphscore
from graphscore.data import CompleteGraph
from graphscore.data.dataset import embedded_file
from graphscore.data.split import PARTS, part_of
from graphscore.fields import measure_scale
from graphscore.molecules.datasets.small_molecules import FILE, SmallMolecules
from graphscore.molecules.graph import flat_smiles, mol_from_data, remove_hydrogens
from graphscore.molecules.smiles import mol_from_smiles

CARD = Path(graphscore.__file__).parents[1] / "datasets" / "small_molecules"


@pytest.fixture(scope="module")
def molecules() -> SmallMolecules:
    return SmallMolecules()


@pytest.fixture(scope="module")
def items(molecules: SmallMolecules) -> list[Data]:
    return [item for part in PARTS for item in molecules.split(part)]


def test_parts_share_no_molecule_even_without_stereo(molecules: SmallMolecules):
    flat = {part: [flat_smiles(mol_from_smiles(g[0].smiles)) for g in molecules.groups(part)] for part in PARTS}
    everything = [smiles for part in PARTS for smiles in flat[part]]
    assert len(everything) == len(set(everything)) == len(molecules.smiles)
    assert all(PARTS[part_of(smiles)] == part for part in PARTS for smiles in flat[part])


def test_every_stereo_element_is_assigned(molecules: SmallMolecules):
    """By two perceivers of RDKit; what both of its marks leave the same molecule is no stereo element."""
    for smiles in molecules.smiles:
        mol = Chem.MolFromSmiles(smiles)
        assert {Chem.MolToSmiles(isomer) for isomer in EnumerateStereoisomers(mol)} == {smiles}
        centers = Chem.FindMolChiralCenters(mol, includeUnassigned=True, useLegacyImplementation=True)
        assert "?" not in [label for _, label in centers], smiles


def test_atoms_are_all_there_and_as_promised(molecules: SmallMolecules):
    for part in PARTS:
        for item, *_ in molecules.groups(part):
            mol = mol_from_data(item)
            assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()), item.smiles
            assert 4 <= (item.z > 1).sum() <= 9
            assert set(item.z.tolist()) <= {1, 6, 7, 8, 9}
            assert item.charge.sum() == 0
            assert item.smiles == molecules.smiles[item.molecule]


def test_stereo_of_the_coordinates_is_that_of_the_smiles(items: list[Data]):
    found = [Chem.MolToSmiles(remove_hydrogens(mol_from_data(item))) for item in items]  # the file marks no N-H
    assert [item.smiles for item, smiles in zip(items, found, strict=True) if smiles != item.smiles] == []


def test_bond_lengths_are_sane(items: list[Data]):
    batch = Batch.from_data_list(items)
    row, column = batch.edge_index
    length = (batch.pos[row] - batch.pos[column]).norm(dim=1)
    with_hydrogen = (batch.z[batch.edge_index] == 1).any(dim=0)
    assert length[with_hydrogen].min() > 0.93 and length[with_hydrogen].max() < 1.15
    assert length[~with_hydrogen].min() > 1.10 and length[~with_hydrogen].max() < 1.75


def test_groups_are_distinct_conformers_that_share_their_graph(molecules: SmallMolecules):
    from graphscore.molecules.metrics.conformers import rmsd_matrix

    for group in molecules.groups("val")[:40]:
        first = group[0]
        assert all(item.edge_index is first.edge_index and item.z is first.z for item in group)
        distances = torch.from_numpy(rmsd_matrix(group, group))
        off_diagonal = distances[~torch.eye(len(group), dtype=torch.bool)]
        assert (off_diagonal > 0.095).all(), first.smiles  # 0.1 before rounding to the file's units


def test_counts_and_scale_are_those_of_the_card(molecules: SmallMolecules):
    text = (CARD / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (train|val|test) \| ([\d,]+) \| ([\d,]+) \| (\d+) \|", text, flags=re.MULTILINE)
    card = {part: tuple(int(n.replace(",", "")) for n in numbers) for part, *numbers in rows}
    groups = {part: molecules.groups(part) for part in PARTS}
    assert card == {p: (len(g), sum(map(len, g)), max(map(len, g))) for p, g in groups.items()}
    assert f"{measure_scale(molecules.split('train'), 'pos', zero_mean=True):.4f}" in text


def test_file_and_report_are_those_of_the_card():
    from hashlib import sha256

    path = embedded_file("small_molecules", FILE)
    assert path.stat().st_size < 1.5 * 2**20
    text = (CARD / "README.md").read_text(encoding="utf-8")
    assert sha256(path.read_bytes()).hexdigest() in text
    with (CARD / "rejects.csv").open(encoding="utf-8") as file:
        rejects = list(csv.DictReader(file))
    assert rejects and all(row["reason"] for row in rejects)
    assert f"{len(rejects)} rejects" in text


def test_the_complete_graph_is_made_once_per_molecule():
    val = SmallMolecules(transform=CompleteGraph("bond")).groups("val")
    group = next(group for group in val if len(group) > 1)
    assert group[0].hops is group[1].hops
    assert all(item.num_edges == item.num_nodes * (item.num_nodes - 1) for items in val for item in items)
    batch = Batch.from_data_list([group[0] for group in val])
    assert batch.pos.shape == (batch.num_nodes, 3) and batch.hops.shape == batch.bond.shape


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("graphscore.molecules.datasets.small_molecules.FILE", "elsewhere.npz")
    with pytest.raises(FileNotFoundError, match="data build small-molecules"):
        SmallMolecules()
