"""Hydrogens that decide a stereo mark come to the side asked for, whatever conformer the other atoms have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit.Chem import rdMolTransforms
from torch_geometric.data import Data

from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.embedding import embed
from graphscore.molecules.features import MoleculeGraph
from graphscore.molecules.graph import Chem, data_from_mol, data_from_smiles, mol_from_data
from graphscore.molecules.hydrogen_marks import HydrogenMarks
from graphscore.molecules.hydrogens import HydrogenPlacer
from graphscore.molecules.metrics.stereo import is_as_asked
from graphscore.molecules.smiles import mol_from_smiles

PAIRS = [
    ("[H]/N=C\\c1ccccc1", "[H]/N=C/c1ccccc1"),
    ("[H]/N=C(\\C)NC(C)=O", "[H]/N=C(/C)NC(C)=O"),
    ("[H]/N=C(\\N)NC", "[H]/N=C(/N)NC"),
    ("[H]/N=C(\\C)OC", "[H]/N=C(/C)OC"),
    ("[H]/N=N/C", "[H]/N=N\\C"),
    ("[H]/N=N/[H]", "[H]/N=N\\[H]"),
    ("[H]/N=C/C(F)=N/[H]", "[H]/N=C/C(F)=N\\[H]"),
    ("[H]/N=C1\\O[C@H]2[C@@H](CO)C[C@@H]12", "[H]/N=C1/O[C@H]2[C@@H](CO)C[C@@H]12"),
    ("[H]/P=C/C", "[H]/P=C\\C"),
    ("CC[P@H]C", "CC[P@@H]C"),
    ("C[P@H][C@H](F)CC", "C[P@@H][C@H](F)CC"),
    ("CC[As@H]C", "CC[As@@H]C"),
    ("C[C@H]([2H])O", "C[C@@H]([2H])O"),
    ("[2H]/C([H])=C/C", "[2H]/C([H])=C\\C"),
]
DECIDED = [  # by the other atoms: nothing is left to hydrogens
    "CC[Si@H](F)Cl", "C[Ge@H](F)Cl", "CC[P@H](C)=O", "C[P@](C1CCCC1)c1ccccc1", "C/C=N/O", "C/C=C/F",
    "C[C@H](F)Cl", "CC=N",
]  # fmt: skip


def has_every_mark(data: Data) -> bool:
    """Determinants and torsions of all marks, from the definitions of the layout."""
    mol, pos = mol_from_data(data), data.pos.double().numpy()
    for centre in data.chirality.nonzero()[:, 0].tolist():
        around = sorted(atom.GetIdx() for atom in mol.GetAtomWithIdx(centre).GetNeighbors())
        arms = pos[around[:3]] - pos[around[3] if len(around) == 4 else centre]
        if np.linalg.det(arms) * int(data.chirality[centre]) < 0.3:
            return False
    for (a, d), side in zip(data.cis_trans_index.t().tolist(), data.cis_trans.tolist(), strict=True):
        _, b, c, _ = path if len(path := Chem.GetShortestPath(mol, a, d)) == 4 else (a, *_ends(mol, a, d), d)
        angle = abs(rdMolTransforms.GetDihedralDeg(mol.GetConformer(), a, b, c, d))
        if (angle > 40) if side == 1 else (angle < 140):
            return False
    return True


def _ends(mol: Chem.Mol, a: int, d: int) -> tuple[int, int]:
    """Ends of the double bond between two substituents, which a ring may join by a shorter way."""
    for bond in mol.GetBonds():
        for b, c in ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()), (bond.GetEndAtomIdx(), bond.GetBeginAtomIdx())):
            if bond.GetBondTypeAsDouble() == 2 and mol.GetBondBetweenAtoms(a, b) and mol.GetBondBetweenAtoms(c, d):
                return b, c
    raise AssertionError


@pytest.mark.parametrize("pair", PAIRS)
def test_each_isomer_is_made_from_the_other_atoms_of_both(pair: tuple[str, str]):
    """Ten conformers of each isomer, whose hydrogens are taken away; the other atoms do not move at all."""
    for wanted in pair:
        template = data_from_smiles(wanted)
        kept = MoleculeGraph()(template).kept
        place = HydrogenPlacer(template, kept)
        for source in pair:
            mol = embed(mol_from_smiles(source), 5, seed=1, optimize=False)
            for conformer in mol.GetConformers():
                pos = torch.from_numpy(conformer.GetPositions()).float()
                item = place(pos[kept])
                assert item.pos[kept].tolist() == pos[kept].tolist()
                assert has_every_mark(item) and is_as_asked(item), (wanted, source)
                assert data_from_mol(mol_from_data(item)).smiles == item.smiles  # perceived anew


@pytest.mark.parametrize("smiles", DECIDED)
def test_other_marks_are_left_to_the_other_atoms(smiles: str):
    template = data_from_smiles(smiles)
    marks = HydrogenMarks(template, MoleculeGraph()(template).kept.tolist())
    assert len(marks) == 0
    pos = torch.randn(template.num_nodes, 3).double().numpy()
    assert np.array_equal(marks.correct(pos), pos) and marks.are_right(pos)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_correction_reverses_the_mark_exactly_and_its_repetition_does_nothing(pair: tuple[str, str]):
    ones = [data_from_smiles(smiles) for smiles in pair]
    kept = MoleculeGraph()(ones[0]).kept.tolist()
    first, second = (HydrogenMarks(one, kept) for one in ones)
    pos = embed(mol_from_smiles(pair[1]), 1, seed=1, optimize=False).GetConformer().GetPositions()
    here = first.correct(pos)
    there = second.correct(here)
    assert first.are_right(here) and second.are_right(there) and not second.are_right(here)
    assert np.array_equal(there[kept], pos[kept])
    np.testing.assert_allclose(first.correct(there), here, atol=1e-9)
    assert np.array_equal(first.correct(here), here)
    i, j = ones[0].edge_index.numpy()
    before, after = (np.sort(np.linalg.norm(p[i] - p[j], axis=1)) for p in (here, there))
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_two_free_hydrogens_change_places():
    """As those of a centre with hydrogen and deuterium do."""
    template = data_from_smiles("CCO")
    template.chirality[0] = template.chirality[1] = 1
    marks = HydrogenMarks(template, [0, 1, 2])
    pos = torch.randn(template.num_nodes, 3).double().numpy()
    right = marks.correct(pos)
    assert marks.are_right(right)
    assert sorted(map(tuple, right)) == sorted(map(tuple, pos))


def test_unmarked_hydrogens_are_where_they_were():
    free, marked = data_from_smiles("N=C(C)OC"), data_from_smiles("[H]/N=C(\\C)OC")
    assert not free.cis_trans.numel() and "[H]" not in free.smiles and marked.cis_trans.numel()
    pos = torch.from_numpy(embed(mol_from_smiles("N=C(C)OC"), 1, seed=1).GetConformer().GetPositions()).float()
    item = HydrogenPlacer(free, torch.arange(5))(pos[:5])
    assert bool(item.pos.isfinite().all()) and len(HydrogenPlacer(free, torch.arange(5)).marks) == 0


@pytest.mark.slow
def test_the_shipped_model_makes_both_isomers():
    smiles = [*PAIRS[0], "CC[P@H]C", "CC[P@@H]C", "C[P@@](C1CCCC1)c1ccccc1"]
    for text, outcome in zip(smiles, ConformerModel.load().sample(smiles, num=10, seed=0), strict=True):
        assert outcome.failure is None and len(outcome.samples) == 10
        assert outcome.num_refused == 0, text
        for sample in outcome.samples:
            assert has_every_mark(sample) and is_as_asked(sample), text
            assert sample.smiles == Chem.CanonSmiles(text)
