"""Relaxed in the force field, and nothing but that."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers
from torch_geometric.data import Data

from graphscore.molecules import forcefield as refinement
from graphscore.molecules.embedding import embed
from graphscore.molecules.forcefield import ForceField, rank, refine
from graphscore.molecules.graph import bare_mol, data_from_mol, data_from_smiles, set_positions
from graphscore.molecules.smiles import mol_from_smiles

SMILES = "C[C@H](O)CC(=O)N"


def conformers(smiles: str = SMILES, num: int = 3, seed: int = 0) -> list[Data]:
    mol = embed(mol_from_smiles(smiles), num, seed, optimize=False)
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]


def rdkit_energy(item: Data) -> float:
    mol = bare_mol(item)
    set_positions(mol, item.pos.numpy())
    return rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=0, ignoreInterfragInteractions=False)[0][1]


@pytest.mark.parametrize("smiles", [SMILES, "C[NH3+].[O-]C=O"])
def test_energies_are_those_of_rdkit(smiles: str):
    items = conformers(smiles)
    result = refine(items, relax=False)
    for item, given in zip(result.samples, items, strict=True):
        assert item.energy == pytest.approx(rdkit_energy(given), abs=1e-9)
        assert torch.equal(item.pos, given.pos) and "energy" not in given


def test_relaxing_ends_in_a_minimum_below():
    items = conformers()
    once = refine(items, relax=True)
    assert once.notes == []
    for item, start in zip(once.samples, items, strict=True):
        assert item.energy < rdkit_energy(start) - 1
        assert item.energy == pytest.approx(rdkit_energy(item), abs=1e-3)  # coordinates are in float32
    again = refine(once.samples, relax=True)
    for item, before in zip(again.samples, once.samples, strict=True):
        assert item.energy == pytest.approx(before.energy, abs=1e-4)


def test_held_atoms_do_not_move_at_all():
    items = conformers()
    held = [0, 1, 2, 3]
    for item, start in zip(refine(items, True, held).samples, items, strict=True):
        assert torch.equal(item.pos[held], start.pos[held])
        assert float((item.pos - start.pos).norm(dim=1).max()) > 0.05


def test_rounding_errors_of_the_start_make_no_difference():
    """Bit for bit; what is not on the edge of rounding cannot be told from its neighborhood."""
    (item,) = conformers("CC(C)Cc1ccc(cc1)C(C)C(=O)O", 1)
    centres = refinement.START_GRID * torch.round(item.pos / refinement.START_GRID)
    results = []
    for seed in range(3):
        item.pos = centres + 1e-3 * torch.rand(centres.shape, generator=torch.Generator().manual_seed(seed))
        results.append(refine([item], relax=True).samples[0])
    assert torch.equal(results[0].pos, results[1].pos) and torch.equal(results[0].pos, results[2].pos)
    assert results[0].energy == results[1].energy == results[2].energy


def test_what_relaxing_breaks_stays_as_it_was_and_is_counted(monkeypatch: pytest.MonkeyPatch):
    items, before = conformers(), [item.pos.clone() for item in conformers()]

    def relax(self: ForceField, pos: np.ndarray, held: object) -> tuple[np.ndarray, float, bool]:
        number = next(n for n, item in enumerate(items) if np.allclose(item.pos.numpy(), pos, atol=1e-6))
        return pos * [-1, 1, 1] if number == 1 else pos + 1, 0.0, number != 2

    def judge(item: Data) -> float:
        return float((item.pos[:, 0] + before[1][:, 0]).abs().max() < 1e-3)

    monkeypatch.setattr(ForceField, "relax", relax)
    result = refine(items, relax=True, judge=judge)
    for number, (item, start) in enumerate(zip(result.samples, before, strict=True)):
        torch.testing.assert_close(item.pos, start if number == 1 else start + 1)
    assert result.samples[1].energy == pytest.approx(rdkit_energy(items[1]), abs=1e-9)
    assert result.notes[0].startswith("1 conformers were not relaxed to the end")
    assert result.notes[1].startswith("1 conformers are not relaxed: MMFF94 breaks")
    mirrored = refine(items, relax=True).samples[1]  # nobody judges
    torch.testing.assert_close(mirrored.pos, before[1] * torch.tensor([-1.0, 1, 1]))


@pytest.mark.parametrize("relax", [False, True])
@pytest.mark.parametrize("broken", [lambda: Chem.Mol().GetAtomWithIdx(3), lambda: Chem.MolToSmiles(None)])
def test_what_rdkit_fails_at_is_counted_and_the_others_are_refined(monkeypatch: pytest.MonkeyPatch, relax, broken):
    items, real = conformers(), ForceField._at

    def at(self: ForceField, pos: np.ndarray):
        if np.abs(pos - items[1].pos.numpy()).max() < refinement.START_GRID:
            broken()
        return real(self, pos)

    monkeypatch.setattr(ForceField, "_at", at)
    result = refine(items, relax)
    assert ["energy" in item for item in result.samples] == [True, False, True]
    assert torch.equal(result.samples[1].pos, items[1].pos)
    what = "could not be relaxed, and have no energy" if relax else "have no energy"
    assert re.match(f"1 conformers {what}: RDKit fails: ", result.notes[-1])


@pytest.mark.parametrize("relax", [False, True])
def test_without_parameters_conformers_stay_and_it_is_said(relax: bool):
    item = data_from_smiles("CB(C)C")
    item.pos = torch.randn(item.num_nodes, 3)
    result = refine([item], relax)
    assert result.samples == [item]
    assert "MMFF94 lacks parameters" in result.notes[0]
    assert refine([], relax) == ([], [])


def test_ranks_by_energy_with_unknown_ones_last():
    items = [Data(energy=2.0), Data(), Data(energy=-1.0), Data(energy=2.0), Data()]
    assert rank(items) == [2, 0, 3, 1, 4]
