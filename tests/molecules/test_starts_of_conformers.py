"""Conformers that start from others: poses and frames stay in place, atoms are found again, mismatches are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.molecules.conformers import ConformerRequest
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol, data_from_smiles
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.starts import identity, superpose

PEPTIDE = "C[C@H](N)C(=O)N[C@@H](CO)C(=O)O"


def posed(smiles: str, num: int = 2, place: float = 40.0) -> Chem.Mol:
    """A molecule with conformers far from the origin, as in a protein."""
    mol = embed(mol_from_smiles(smiles), num, 0)
    for conformer in mol.GetConformers():
        conformer.SetPositions(conformer.GetPositions() + place)
    return mol


def graphs(mol: Chem.Mol):
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]


def test_each_conformer_is_a_start_in_its_place(shipped):
    mol, items = posed(PEPTIDE), graphs(posed(PEPTIDE))
    near, far = ([*shipped.sample([mol], num=2, noise=noise, workers=1)] for noise in (0.05, 0.6))
    same = [*shipped.sample(items, num=2, noise=0.05, workers=1)]
    for start, one, other, moved in zip(items, near, same, far, strict=True):
        assert one.failure is None and len(one.samples) == 2
        for a, b, c in zip(one.samples, other.samples, moved.samples, strict=True):
            assert torch.equal(a.pos, b.pos)  # whether molecules or graphs of them are given
            heavy = start.z > 1
            off = (a.pos - start.pos)[heavy]
            assert a.start_rmsd == pytest.approx(float(off.square().sum(1).mean().sqrt()), rel=1e-3)
            assert a.start_rmsd < 0.3 < c.start_rmsd and "warning" not in a
            assert_close(a.pos[heavy].mean(0), start.pos[heavy].mean(0), rtol=0, atol=1e-3)
    assert mol.GetNumConformers() == 2 and float(mol.GetConformer(0).GetPositions().mean()) > 30


def test_components_stay_beside_each_other(shipped):
    mol = posed("CCC[NH3+].CCC(=O)[O-]", 1)
    pos = mol.GetConformer().GetPositions()
    base, ion = map(list, Chem.GetMolFrags(mol))
    pos[ion] += pos[base].mean(0) - pos[ion].mean(0) + np.array([7.0, 0, 0])
    mol.GetConformer().SetPositions(pos)
    (outcome,) = shipped.sample([mol], noise=0.05, workers=1)
    assert outcome.samples[0].start_rmsd < 0.3


def test_inputs_without_coordinates_fail(shipped):
    flat = Chem.MolFromSmiles("CCO")
    failures = [outcome.failure for outcome in shipped.sample(["CCO", flat, "O"], noise=0.1, workers=1)]
    assert all("no coordinates (pos) to start from" in failure for failure in failures)


def test_small_molecules_and_refinement_stay_in_place(shipped):
    water, chain = posed("O", 1), posed("CCCO", 1)
    outcomes = [*shipped.sample([water, chain], noise=0.1, refine="mmff", workers=1)]
    for mol, outcome in zip((water, chain), outcomes, strict=True):
        assert np.abs(outcome.samples[0].pos.numpy().mean(0) - mol.GetConformer().GetPositions().mean(0)).max() < 0.2
        assert outcome.samples[0].start_rmsd < 0.4


def test_starts_have_their_stereo():
    with pytest.raises(ValueError, match="conformers, whose stereo is known, but stereo is 'enumerate'"):
        ConformerRequest(noise=0.1, stereo="enumerate")


@pytest.mark.parametrize("smiles", [PEPTIDE, "C/C=C/C(C)(C)O", "c1ccccc1[N+](=O)[O-]", "O[C@H]1CC[C@@H](O)CC1"])
def test_atoms_are_found_again_in_any_order(smiles):
    """With their marks: the coordinates of a shuffled molecule, put in order, have the stereo of the input."""
    mol = embed(mol_from_smiles(smiles), 1, 0)
    shuffled = Chem.RenumberAtoms(mol, np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist())
    item, start = data_from_smiles(smiles), data_from_mol(shuffled)
    (key, order), (other, places) = identity(item), identity(start)
    assert key == other and sorted(order.tolist()) == list(range(item.num_nodes))
    assert torch.equal(item.z[order], start.z[places])
    pos = torch.empty(item.num_nodes, 3)
    pos[order] = start.pos[places]
    placed = Chem.Mol(mol_from_smiles(smiles))
    placed = Chem.AddHs(placed)
    conformer = Chem.Conformer(len(pos))
    conformer.SetPositions(pos.double().numpy())
    placed.AddConformer(conformer)
    assert data_from_mol(placed).smiles == item.smiles


def test_stereoisomers_differ_unless_marks_do_not_count():
    left, right = data_from_smiles("C[C@H](F)Cl"), data_from_smiles("C[C@@H](F)Cl")
    assert identity(left)[0] != identity(right)[0]
    assert identity(left, marks=False)[0] == identity(right, marks=False)[0]


def test_superposition_undoes_any_rigid_motion():
    start = graphs(posed(PEPTIDE, 1))[0]
    sample = start.clone()
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))
    sample.pos = start.pos @ (turn * torch.linalg.det(turn)) - 9
    superpose(sample, start)
    assert_close(sample.pos, start.pos, rtol=0, atol=1e-4)
    assert sample.start_rmsd < 1e-4
