"""Distinct conformers of low energy, and their weights: known energies, known distances, equivalent atoms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from hypothesis import given
from hypothesis import strategies as st
from rdkit.Chem import rdMolTransforms
from torch_geometric.data import Data

from graphscore.molecules.embedding import embed
from graphscore.molecules.ensemble import (
    boltzmann_weights,
    distinct,
    rank,
    relative_energies,
    select,
    weigh,
)
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.metrics.conformers import rmsd_matrix
from graphscore.molecules.smiles import mol_from_smiles

ENERGIES = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=9)


def embedded(smiles: str, num: int = 1, seed: int = 0) -> list[Data]:
    mol = embed(mol_from_smiles(smiles), num, seed, optimize=False)
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]


def at(angles: list[float], energies: list[float | None]) -> list[Data]:
    """Butane at torsion angles in degrees, with energies."""
    mol = embed(mol_from_smiles("CCCC"), 1, 0, optimize=False)
    (conformer,) = mol.GetConformers()
    items = []
    for angle, energy in zip(angles, energies, strict=True):
        rdMolTransforms.SetDihedralDeg(conformer, 0, 1, 2, 3, angle)
        items.append(data_from_mol(mol, conformer.GetId()))
        if energy is not None:
            items[-1].energy = energy
    return items


def test_ranks_by_energy_with_unknown_ones_last():
    items = [Data(energy=2.0), Data(), Data(energy=-1.0), Data(energy=2.0), Data()]
    assert rank(items) == [2, 0, 3, 1, 4]


@given(ENERGIES, st.floats(1, 1e4))
def test_weights_are_those_of_boltzmann(energies: list[float], temperature: float):
    weights = boltzmann_weights(np.array(energies), temperature)
    assert weights.sum() == pytest.approx(1, abs=1e-12) and (weights >= 0).all()
    rt = 8.31446261815324 / 4184 * temperature  # kcal/mol
    for one, energy in zip(weights, energies, strict=True):
        log_ratio = (min(energies) - energy) / rt
        if log_ratio > -600:
            assert one == pytest.approx(max(weights) * math.exp(log_ratio), rel=1e-5)


def test_the_weight_of_one_kilocalorie_at_room_temperature():
    assert boltzmann_weights(np.array([7.0, 6.0]))[1] / boltzmann_weights(np.array([7.0, 6.0]))[0] == pytest.approx(
        5.407, abs=1e-3
    )
    items = weigh([Data(energy=-3.0), Data(energy=-3.0)]).samples
    assert [item.weight for item in items] == [0.5, 0.5]


def test_what_has_no_energy_has_no_weight_nor_has_any_other():
    result = weigh([Data(energy=1.0), Data()])
    assert not any("weight" in item for item in result.samples)
    assert result.notes == ["no Boltzmann weights: 1 conformers have no energy"]
    assert weigh([]) == ([], [])


def test_relative_energies_count_from_the_lowest():
    given = [Data(energy=2.5), Data(), Data(energy=-1.0)]
    assert [item.get("relative_energy") for item in relative_energies(given)] == [3.5, None, 0.0]
    assert "relative_energy" not in given[0]


def test_of_close_conformers_the_lowest_stays():
    items = at([180, 170, 65, 60, 55], [0.0, -0.1, 1.0, 0.8, 0.9])
    result = select(items, rmsd_cutoff=0.3)
    assert [item.energy for item in result.samples] == [-0.1, 0.8]
    assert result.notes == ["left out of 5 conformers: 3 within 0.3 A of another; 2 remain"]


def test_without_energies_the_first_stays():
    items = at([180, 170, 65, 60], [None] * 4)
    assert [any(item is kept for kept in select(items, rmsd_cutoff=0.3).samples) for item in items] == [1, 0, 1, 0]


def test_mirror_images_are_distinct_conformers():
    assert distinct(at([60, -60, 180], [None] * 3), 0.3) == ([0, 1, 2], 0)


@pytest.mark.parametrize("cutoff", [0.05, 0.2, 0.5, 1.0])
def test_the_cutoff_is_kept_and_nothing_that_is_left_out_is_distinct(cutoff: float):
    items = embedded("CCCCO", 30)
    kept, equal = distinct(items, cutoff)
    rmsd = rmsd_matrix(items, items)
    among = rmsd[np.ix_(kept, kept)][np.triu_indices(len(kept), 1)]
    assert len(kept) + equal == 30 and (len(kept) == 1 or among.min() >= cutoff)
    others = [number for number in range(30) if number not in kept]
    assert all(rmsd[number, [k for k in kept if k < number]].min() < cutoff for number in others)
    assert distinct(items, cutoff, 2)[0] == kept[:2]


@pytest.mark.parametrize("smiles", ["Cc1ccccc1", "CC(=O)[O-]", "CC(C)(C)CO", "O=[N+]([O-])c1ccccc1"])
def test_equivalent_atoms_that_change_places_make_no_other_conformer(smiles: str):
    """A ring that flips, a carboxylate that turns, methyl groups in another order."""
    (item,) = embedded(smiles)
    mol = mol_from_smiles(smiles)
    orders = mol.GetSubstructMatches(mol, uniquify=False)
    copies = []
    for order in orders[: min(len(orders), 12)]:
        turned = item.clone()
        turned.pos = item.pos[list(order)] + torch.tensor([1.0, 2.0, 3.0])
        copies.append(turned)
    assert len(copies) > 1 and distinct(copies, 1e-3) == ([0], len(copies) - 1)


@pytest.mark.parametrize("smiles", ["[H][H]", "O", "[Na+].[Cl-]", "[H+]"])
def test_the_smallest_molecules_have_one_conformer(smiles: str):
    (item,) = embedded(smiles)
    assert distinct([item, item.clone()], 0.1) == ([0], 1)


def test_thresholds_of_energy():
    energies = [1.0, 0.0, 3.0, None, 8.0, 50.0]
    items = at([180, 60, -60, 120, 90, 30], energies)
    found = select(items, energy_window=3.0)
    assert [item.energy for item in found.samples] == [1.0, 0.0, 3.0]  # in their order
    assert found.notes == [
        "left out of 6 conformers: 1 without an energy, 2 over 3 kcal/mol above the lowest; 3 remain"
    ]
    assert [item.energy for item in select(items, max_energy=0.5).samples] == [0.0]
    both = select(items, energy_window=4.0, max_energy=20.0, num=9)
    assert both.notes == [
        "left out of 6 conformers: 1 without an energy, 1 with more than 20 kcal/mol, "
        "1 over 4 kcal/mol above the lowest; 3 remain of 9 asked for"
    ]
    none = select(items, max_energy=-1.0)
    assert none.samples == [] and "5 with more than -1 kcal/mol; 0 remain" in none.notes[0]


def test_the_lowest_of_those_asked_for_stay():
    items = at([180, 60, -60, 120], [1.0, 0.0, 3.0, None])
    found = select(items, 2)
    assert [item.energy for item in found.samples] == [1.0, 0.0]
    assert found.notes == ["left out of 4 conformers: 2 beyond the 2 asked for; 2 remain"]
    assert select(items, 3).samples == items[:3] and select(items, 4) == (items, [])


def test_without_any_energy_thresholds_are_not_applied_and_it_is_said():
    items = at([180, 60], [None, None])
    assert select(items, energy_window=1.0) == (
        items,
        ["thresholds of energy were not applied: there are no energies"],
    )
    assert select([], energy_window=1.0) == ([], [])


def test_representatives_are_the_lowest_and_those_of_what_was_drawn_most():
    often, seldom, lowest = [60.0, 61.0, 62.0, 63.0, 64.0], 100.0, 180.0
    items = at([*often, seldom, lowest], [3.0, 3.0, 2.9, 3.0, 3.0, 2.8, 0.0])
    assert select(items, 2, 0.1).samples == [items[5], items[6]]
    result = select(items, 2, 0.1, choice="representative")
    assert result.samples == [items[2], items[6]]  # of equal ones the lowest
    assert result.notes == ["left out of 7 conformers: 4 within 0.1 A of another, 1 beyond the 2 asked for; 2 remain"]
    assert len(select(items, 6, 0.1, choice="representative").samples) == 3  # what is equal stays out


def test_conformers_with_faults_or_without_energies_represent_none_but_fill_up():
    items = at([60.0, 90.0, 120.0, 150.0, 180.0], [1.0, 0.0, 2.0, None, 3.0])
    items[1].warning = "it is wrong"
    for num, expected in ((2, {0, 2, 4}), (3, {0, 2, 4}), (4, {0, 2, 3, 4}), (5, {0, 1, 2, 3, 4})):
        chosen = {items.index(item) for item in select(items, num, choice="representative").samples}
        assert chosen <= expected and len(chosen) == num and 0 in chosen
    for item in items:
        item["warning"] = "they are wrong"
    assert len(select(items, 2, choice="representative").samples) == 2


def test_representatives_need_no_energies():
    items = at([60.0, 61.0, 62.0, 180.0, 181.0, 182.0], [None] * 6)
    chosen = select(items, 2, 0.1, choice="representative").samples
    assert {items.index(item) // 3 for item in chosen} == {0, 1}


def test_too_many_conformers_are_chosen_by_energy_and_a_note_says_so(monkeypatch: pytest.MonkeyPatch):
    items = at([60.0, 90.0, 120.0, 150.0, 180.0], [1.0, 0.0, 2.0, 5.0, 3.0])
    monkeypatch.setattr("graphscore.molecules.ensemble.MOST_PAIRED", 4)
    result = select(items, 2, choice="representative")
    assert result.samples == [items[0], items[1]]
    assert result.notes[0] == "those of the lowest energies stay: 5 are too many to find representatives"
