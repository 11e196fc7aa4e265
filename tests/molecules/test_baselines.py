"""RDKit's conformers as something to measure against."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.molecules.baselines import (
    BASELINES,
    SELECTING,
    check_baseline,
    etkdg,
    etkdg_clustered,
    etkdg_mmff,
    etkdg_oversampled,
    openconf,
)
from graphscore.molecules.embedding import embed
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import mol_from_data
from graphscore.molecules.metrics.conformers import rmsd_matrix
from graphscore.molecules.metrics.energies import mmff_energies
from graphscore.molecules.smiles import mol_from_smiles

PLAIN = [name for name, make in BASELINES.items() if make not in SELECTING]


@pytest.mark.parametrize("name", PLAIN)
def test_they_give_as_many_as_asked_for_with_stereo_and_by_seed(name):
    make = BASELINES[name]
    first, same, other = make("C[C@H](N)CO", 4, 0), make("C[C@H](N)CO", 4, 0), make("C[C@H](N)CO", 4, 1)
    assert len(first) == len(same) == len(other) == 4
    assert {data.smiles for data in first} == {"C[C@H](N)CO"}
    assert all(torch.equal(a.pos, b.pos) for a, b in zip(first, same, strict=True))
    assert not torch.equal(first[0].pos, other[0].pos)


@pytest.mark.parametrize("make", [BASELINES[name] for name in (*PLAIN, "etkdg-oversampled")])
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


def test_oversampling_keeps_distinct_conformers_and_the_lowest_of_the_pool():
    made, pool = etkdg_oversampled("OCC(N)CCO", 4, 0), embed(mol_from_smiles("OCC(N)CCO"), 32, 0)
    apart = rmsd_matrix(made, made)
    assert 1 < len(made) <= 4 and apart[np.triu_indices(len(made), 1)].min() >= 0.5
    lowest = min(conformer.GetDoubleProp("energy") for conformer in pool.GetConformers())
    assert min(data.energy for data in made) == lowest
    assert len(etkdg_oversampled("CC", 4, 0)) == 1


def test_weakened_charges_have_minima_of_their_own():
    (relaxed,) = BASELINES["etkdg-mmff-10"]("[NH3+]CCC(=O)[O-]", 1, 0)
    pos = relaxed.pos.double().numpy()
    for dielectric, is_minimum in ((10.0, True), (1.0, False)):
        field = ForceField(mol_from_data(relaxed), dielectric=dielectric)
        assert (field.energy(pos) - field.minimize(pos)[1] < 0.01) is is_minimum


def test_the_program_openconf_is_asked_for_so_many_conformers(monkeypatch):
    asked = []

    def generate(mol, config):
        asked.append((Chem.MolToSmiles(mol), config.preset, config.max_out, config.random_seed))
        made = embed(Chem.AddHs(mol), config.max_out, 0)
        return SimpleNamespace(mol=made, conf_ids=[one.GetId() for one in made.GetConformers()][1:])

    program = SimpleNamespace(preset_config=lambda preset: SimpleNamespace(preset=preset), generate_conformers=generate)
    monkeypatch.setitem(sys.modules, "openconf", program)
    made = check_baseline("openconf-docking")("C[C@H](N)CO", 4, 7)
    assert asked == [("C[C@H](N)CO", "docking", 4, 7)]
    assert len(made) == 3 and {data.smiles for data in made} == {"C[C@H](N)CO"}
    monkeypatch.setitem(sys.modules, "openconf", None)
    for ask in (lambda: check_baseline("openconf"), lambda: openconf("CCO", 1, 0)):
        with pytest.raises(ImportError, match="pip install openconf"):
            ask()
