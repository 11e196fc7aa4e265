"""Rotatable bonds and the atoms that they move."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

pytest.importorskip("rdkit")

from rdkit.Chem import rdMolDescriptors

from graphscore.molecules.features import MoleculeGraph
from graphscore.molecules.graph import Chem, data_from_smiles
from graphscore.molecules.torsions import TORSION, Torsions
from graphscore.molecules.torsions.geometry import turns_of

# Atoms of SMILES strings are numbered in their order, heavy ones first.
CASES = {
    "C": [],
    "CC": [],
    "CCC": [],
    "C1CCCCC1": [],
    "CC#CC": [],
    "CCC#N": [],
    "CC=C=CC": [],
    "C=CC=C": [(0, 1, 2, 3)],
    "CCCC": [(0, 1, 2, 3)],
    "CC(=O)NC": [(0, 1, 3, 4)],
    "c1ccccc1-c1ccccc1": [(0, 5, 6, 7)],
    "CCCO": [(0, 1, 2, 3)],
    "OCCCC": [(3, 2, 1, 0), (1, 2, 3, 4)],
    "CC.CC": [],
    "CCCC.CCCC": [(0, 1, 2, 3), (4, 5, 6, 7)],
}


@pytest.mark.parametrize(("smiles", "torsions"), CASES.items())
def test_which_bonds_are_rotatable(smiles, torsions):
    graph = Torsions()(data_from_smiles(smiles))
    assert [tuple(torsion) for torsion in graph.torsion_index.t().tolist()] == torsions
    assert "torsion" not in graph  # without coordinates


@pytest.mark.parametrize(
    "smiles",
    [
        "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
        "CN1CCC23C4C1CC5=C2C(=C(C=C5)O)OC3C(C=C4)O",
        "COc1ccc(CCN)cc1OCC#N",
        "CCOC(=O)C=CCS",
    ],
)
def test_as_many_as_rdkit_counts(smiles):
    mol = Chem.MolFromSmiles(smiles)
    count = rdMolDescriptors.CalcNumRotatableBonds(mol, rdMolDescriptors.NumRotatableBondsOptions.NonStrict)
    assert Torsions()(data_from_smiles(smiles)).torsion_index.shape == (4, count)


def test_the_smaller_side_moves_with_its_hydrogens():
    graph = Torsions()(data_from_smiles("OCCCC"))  # 15 atoms: O and its H, CH2 and so on
    moved = [graph.moved_index[graph.moved_by == number] for number in (0, 1)]
    assert [len(atoms) for atoms in moved] == [4, 6 - 3 + 3]
    assert graph.z[moved[0]].tolist().count(1) == 3 and 0 in moved[0].tolist()
    for atoms, (_, b, c, d) in zip(moved, graph.torsion_index.t().tolist(), strict=True):
        assert d in atoms.tolist() and not {b, c} & set(atoms.tolist())


def test_heavy_atoms_alone_have_the_same_torsions():
    data = data_from_smiles("OCCCC")
    alone, whole = Torsions()(MoleculeGraph()(data)), Torsions()(data)
    assert torch.equal(alone.torsion_index[1:3].sort(0)[0], whole.torsion_index[1:3].sort(0)[0])
    assert [int((alone.moved_by == k).sum()) for k in (0, 1)] == [1, 1]


def test_batches_count_atoms_and_torsions_on():
    graphs = [Torsions()(data_from_smiles(smiles)) for smiles in ("CCCC", "C", "OCCCC", "CC(=O)NC")]
    batch = Batch.from_data_list(graphs)
    turns = turns_of(batch)
    assert turns.graph.tolist() == TORSION.index(batch).tolist() == [0, 2, 2, 3]
    assert turns_of(batch) is turns
    start = 0
    for graph, first in zip(graphs, batch.ptr.tolist(), strict=False):
        for number, torsion in enumerate(graph.torsion_index.t()):
            assert torch.equal(turns.axis[:, start + number], torsion[1:3] + first)
            atoms = turns.atom[turns.torsion == start + number]
            assert torch.equal(atoms, graph.moved_index[graph.moved_by == number] + first)
        start += graph.torsion_index.shape[1]
    again = batch.to_data_list()
    assert all(torch.equal(a.moved_index, b.moved_index) for a, b in zip(graphs, again, strict=True))


def test_what_is_no_molecule_is_refused():
    with pytest.raises(ValueError, match=r"but the graph has no \['z', 'bond'\]"):
        Torsions()(Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=1))
    with pytest.raises(ValueError, match=r"has no torsions .* by the transform Torsions"):
        turns_of(Batch.from_data_list([data_from_smiles("CC")]))
