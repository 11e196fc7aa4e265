"""Bonds from coordinates and a SMILES."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.molecules.bonding import mol_from_coordinates
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import canonical_smiles, data_from_mol, flat_smiles
from graphscore.molecules.smiles import mol_from_smiles

SMILES = [
    "C[C@H](N)C(=O)O",
    "C/C=C\\C#N",
    "[NH3+]CC(=O)[O-]",
    "C[N+](=O)[O-]",
    "c1ccc2[nH]ccc2c1",
    "CC(C)(C)C(F)(F)F",
    "C1C2CC1C2",
    "C1C2OC1C2",
    "O=S(=O)(N)c1ccccc1",
    "C",
]


@pytest.mark.parametrize("smiles", SMILES)
def test_atoms_in_any_order_get_their_bonds(smiles: str):
    mol = embed(mol_from_smiles(smiles), 1, seed=0, optimize="." not in smiles)
    shuffled = Chem.RenumberAtoms(mol, np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist())
    numbers = [atom.GetAtomicNum() for atom in shuffled.GetAtoms()]
    pos = shuffled.GetConformer().GetPositions()
    back = mol_from_coordinates(numbers, pos, Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False))
    assert [atom.GetAtomicNum() for atom in back.GetAtoms()] == numbers
    assert np.array_equal(back.GetConformer().GetPositions(), pos)
    pairs = [{frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in m.GetBonds()} for m in (back, shuffled)]
    assert pairs[0] == pairs[1]
    assert data_from_mol(back).smiles == data_from_mol(shuffled).smiles  # with the stereo marks of the coordinates


def test_several_components():
    water, ethanol = (embed(mol_from_smiles(smiles), 1, seed=0) for smiles in ("O", "CCO"))
    both = Chem.CombineMols(water, ethanol, Chem.rdGeometry.Point3D(4.0, 0.0, 0.0))
    numbers = [atom.GetAtomicNum() for atom in both.GetAtoms()]
    back = mol_from_coordinates(numbers, both.GetConformer().GetPositions(), "CCO.O")
    assert canonical_smiles(back) == "CCO.O" and back.GetAtomWithIdx(0).GetTotalNumHs(includeNeighbors=True) == 2


def rectangle(short: float, long: float) -> np.ndarray:
    """Cyclobutadiene with two bonds of each length, its hydrogens outside."""
    carbons = np.array([[0, 0, 0], [short, 0, 0], [short, long, 0], [0, long, 0]], dtype=float)
    outward = carbons - carbons.mean(axis=0)
    return np.concatenate([carbons, carbons + 1.08 * outward / np.linalg.norm(outward, axis=1, keepdims=True)])


@pytest.mark.parametrize(("short", "long"), [(1.33, 1.58), (1.58, 1.33)])
def test_double_bonds_are_the_short_ones(short: float, long: float):
    mol = mol_from_coordinates([6, 6, 6, 6, 1, 1, 1, 1], rectangle(short, long), "C1=CC=C1")
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        length = np.linalg.norm(np.subtract(*mol.GetConformer().GetPositions()[[i, j]]))
        assert bond.GetBondTypeAsDouble() == (2 if length == pytest.approx(1.33) else 1)


def test_another_molecule_is_refused():
    ethanol = embed(mol_from_smiles("CCO"), 1, seed=0)
    numbers, pos = [a.GetAtomicNum() for a in ethanol.GetAtoms()], ethanol.GetConformer().GetPositions()
    with pytest.raises(ValueError, match="'CCN' has other atoms than the 9 with coordinates"):
        mol_from_coordinates(numbers, pos, "CCN")
    with pytest.raises(ValueError, match="do not have the bonds of 'COC'"):
        mol_from_coordinates(numbers, pos, "COC")
    with pytest.raises(ValueError, match="not a SMILES"):
        mol_from_coordinates(numbers, pos, "CC(O")
    with pytest.raises(ValueError, match="hydrogen is bonded to no other element"):
        mol_from_coordinates([1, 1], np.array([[0, 0, 0], [0.74, 0, 0]]), "[H][H]")
    broken = pos.copy()
    broken[0] += 5.0 * (pos[0] - pos[1])
    with pytest.raises(ValueError, match="bond"):
        mol_from_coordinates(numbers, broken, "CCO")


def test_a_new_bond_is_not_overlooked():
    """But-2-ene's ends drawn together to a ring are no longer butene's bonds."""
    ring = embed(mol_from_smiles("C1CCC1"), 1, seed=0)
    numbers, pos = [a.GetAtomicNum() for a in ring.GetAtoms()], ring.GetConformer().GetPositions()
    assert flat_smiles(mol_from_coordinates(numbers, pos, "C1CCC1")) == "C1CCC1"
    with pytest.raises(ValueError, match="do not have the bonds"):
        mol_from_coordinates(numbers, pos, "[CH2]CC[CH2]")
