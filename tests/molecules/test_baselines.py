"""RDKit's conformers as something to measure against."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("rdkit")

from graphscore.molecules.baselines import BASELINES, etkdg, etkdg_clustered, etkdg_mmff
from graphscore.molecules.graph import mol_from_data
from graphscore.molecules.metrics.conformers import rmsd_matrix
from graphscore.molecules.metrics.energies import mmff_energies


@pytest.mark.parametrize("name", BASELINES)
def test_they_give_as_many_as_asked_for_with_stereo_and_by_seed(name):
    make = BASELINES[name]
    first, same, other = make("C[C@H](N)CO", 4, 0), make("C[C@H](N)CO", 4, 0), make("C[C@H](N)CO", 4, 1)
    assert len(first) == len(same) == len(other) == 4
    assert {data.smiles for data in first} == {"C[C@H](N)CO"}
    assert all(torch.equal(a.pos, b.pos) for a, b in zip(first, same, strict=True))
    assert not torch.equal(first[0].pos, other[0].pos)


@pytest.mark.parametrize("make", BASELINES.values())
def test_what_cannot_be_embedded_is_refused(make):
    with pytest.raises(ValueError, match="RDKit cannot embed"):
        make("CC1(C)[C@H]2CC=C[C@H]1C2", 1, 0)


def test_relaxed_means_at_a_minimum_of_the_force_field():
    for make, is_relaxed in ((etkdg, False), (etkdg_mmff, True)):
        mol = mol_from_data(make("OCC(N)CF", 1, 0)[0])
        found = mmff_energies(mol, mol.GetConformer().GetPositions()[None])
        assert (found.start - found.relaxed < 0.001).item() is is_relaxed


@pytest.mark.parametrize("smiles", ["OCC(N)CCO", "CCCCCO", "COc1ccc(CCN)cc1"])
def test_clustering_covers_the_pool_better_than_drawing_fewer(smiles):
    pool, few = etkdg(smiles, 80, 0), etkdg_clustered(smiles, 8, 0)
    to_few = rmsd_matrix(pool, few).min(axis=1)
    assert (to_few < 1e-6).sum() == 8  # taken from that very pool
    assert to_few.mean() < 0.95 * rmsd_matrix(pool, pool[:8]).min(axis=1).mean()


def test_clustering_a_pool_that_is_too_small_gives_all_of_it(monkeypatch):
    monkeypatch.setattr("graphscore.molecules.baselines.OVERSAMPLING", 1)
    a, b = etkdg_clustered("OCCO", 3, 0), etkdg("OCCO", 3, 0)
    assert all(torch.equal(x.pos, y.pos) for x, y in zip(a, b, strict=True))
