"""Random turns about rotatable bonds: which bonds turn, and what stays as it was."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("rdkit")

from rdkit.Chem import rdMolTransforms

from graphscore.molecules.bonding import distances
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem, set_positions
from graphscore.molecules.recipes.comparison import smiles_of
from graphscore.molecules.recipes.moves import TorsionMoves
from graphscore.molecules.smiles import mol_from_smiles

CHIRAL = "C/C=C/[C@H](O)CC(=O)NC"


@pytest.mark.parametrize(
    ("smiles", "bonds"),
    [
        ("CCCC", {(1, 2)}), ("CCO", {(1, 2)}), ("CC(=O)NC", set()), ("CC#CC", set()), ("C1CCCCC1", set()),
        ("c1ccccc1-c1ccccc1", {(5, 6)}), ("COC(=O)C", {(1, 2)}), ("NCCF", {(0, 1), (1, 2)}), ("CC(C)(C)C", set()),
    ],
)  # fmt: skip
def test_rotatable_bonds_are_acyclic_single_ones_that_change_more_than_a_methyl(smiles: str, bonds: set):
    mol = mol_from_smiles(smiles)
    found = TorsionMoves(mol).torsions
    assert {tuple(sorted(torsion[1:3])) for torsion in found} == bonds
    for first, begin, end, last in found:
        assert mol.GetBondBetweenAtoms(first, begin) and mol.GetBondBetweenAtoms(end, last)


@pytest.fixture(scope="module")
def base() -> np.ndarray:
    return embed(mol_from_smiles(CHIRAL), 1, 0).GetConformer().GetPositions()


def test_turns_keep_lengths_angles_and_stereo_and_leave_no_clash(base: np.ndarray):
    mol = mol_from_smiles(CHIRAL)
    moves = TorsionMoves(mol)
    near = Chem.GetDistanceMatrix(mol) <= 2
    drawn = moves.draw([base], 20, random.Random(0))
    assert len(drawn) == 20
    for pos in drawn:
        assert_allclose(distances(pos)[near], distances(base)[near], atol=1e-6)
        assert (distances(pos) >= moves.closest).all()
        set_positions(mol, pos)
        assert smiles_of(mol, 0) == "C/C=C/[C@H](O)CC(=O)NC"


def test_at_most_as_many_bonds_turn_as_wanted(base: np.ndarray):
    mol = mol_from_smiles(CHIRAL)
    moves = TorsionMoves(mol)

    def angles(pos: np.ndarray) -> np.ndarray:
        set_positions(mol, pos)
        return np.array([rdMolTransforms.GetDihedralDeg(mol.GetConformer(), *t) for t in moves.torsions])

    turned = [
        (abs((angles(pos) - angles(base) + 180) % 360 - 180) > 1e-3).sum()
        for pos in moves.draw([base], 30, random.Random(1), most=2)
    ]
    assert set(turned) == {1, 2} and len(moves.torsions) > 2
    every = moves.draw([base], 1, random.Random(1))[0]
    assert (abs(angles(every) - angles(base)) > 1e-3).all()


def test_draws_depend_on_the_seed_alone_and_none_come_of_rigid_molecules(base: np.ndarray):
    moves = TorsionMoves(mol_from_smiles(CHIRAL))
    one, same, other = (moves.draw([base], 3, random.Random(seed)) for seed in (5, 5, 6))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert TorsionMoves(mol_from_smiles("C1CC1")).draw([np.zeros((9, 3))], 3, random.Random(0)) == []


def test_clashing_conformers_are_refused(base: np.ndarray):
    """Draws keep the distance that they are asked to keep, also one that few of them have by chance."""
    moves = TorsionMoves(mol_from_smiles(CHIRAL))
    first, last = 0, mol_from_smiles(CHIRAL).GetNumHeavyAtoms() - 1
    moves.closest[first, last] = 6.5
    drawn = moves.draw([base], 5, random.Random(0))
    assert drawn and all(distances(pos)[first, last] >= 6.5 for pos in drawn)
    moves.closest[first, last] = np.inf
    assert moves.draw([base], 5, random.Random(0)) == []
