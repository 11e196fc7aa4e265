"""Internal coordinates and the distances between their distributions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdMolTransforms
from torch_geometric.data import Data

from graphscore.experiment.evaluation.wasserstein import wasserstein
from graphscore.molecules.baselines import etkdg, etkdg_mmff
from graphscore.molecules.graph import data_from_mol, data_from_smiles, mol_from_data
from graphscore.molecules.metrics.comparison import prepare
from graphscore.molecules.metrics.geometry import (
    KINDS,
    bond_length_deviation,
    compare_coordinates,
    internal_coordinates,
)


def hydrogen_cyanide(length: float) -> Data:
    data = data_from_smiles("C#N")
    data.pos = torch.tensor([[0.0, 0, 0], [length, 0, 0], [-1.0, 0, 0]])
    return data


def compared(references: list[Data], generated: list[Data]) -> dict:
    return compare_coordinates([internal_coordinates(prepare(references, generated))])


class TestWasserstein:
    def test_on_a_line_it_is_scipys(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            x, y, v, w = rng.random(7), rng.random(11), rng.random(7), rng.random(11)
            assert wasserstein(x, y) == pytest.approx(wasserstein_distance(x, y), abs=1e-12)
            assert wasserstein(x, y, v, w) == pytest.approx(wasserstein_distance(x, y, v, w), abs=1e-12)

    @settings(max_examples=50)
    @given(st.integers(1, 8), st.integers(0, 1000))
    def test_on_a_circle_it_is_the_best_assignment(self, num, seed):
        x, y = np.random.default_rng(seed).uniform(-180, 180, (2, num))
        apart = np.abs(x[:, None] - y)
        costs = np.minimum(apart, 360 - apart)
        expected = costs[linear_sum_assignment(costs)].mean()
        assert wasserstein(x, y, period=360.0) == pytest.approx(expected, abs=1e-9)

    def test_by_hand(self):
        assert wasserstein(np.array([-179.0]), np.array([179.0]), period=360.0) == pytest.approx(2.0)
        assert wasserstein(np.array([-179.0]), np.array([179.0])) == pytest.approx(358.0)
        assert wasserstein(np.array([0.0]), np.array([180.0]), period=360.0) == pytest.approx(180.0)
        assert wasserstein(np.array([1.0, 2.0]), np.array([1.0]), np.array([3.0, 1.0])) == pytest.approx(0.25)

    def test_a_turn_of_the_circle_changes_nothing(self):
        x, y = np.random.default_rng(0).uniform(0, 360, (2, 30))
        assert wasserstein(x + 77, y - 283, period=360.0) == pytest.approx(wasserstein(x, y, period=360.0), abs=1e-9)


class TestCoordinates:
    def test_rdkit_measures_the_same(self):
        (data,) = etkdg("C[C@H](O)C=O", 1, 0)
        mol = mol_from_data(data)
        conformer, index = mol.GetConformer(), {"bonds": set(), "angles": set(), "torsions": set()}
        measures = {
            "bonds": rdMolTransforms.GetBondLength,
            "angles": rdMolTransforms.GetAngleDeg,
            "torsions": rdMolTransforms.GetDihedralDeg,
        }
        for i, j, k, m in mol.GetSubstructMatches(Chem.MolFromSmarts("[!#1]~*~*~[!#1]"), uniquify=False):
            index["torsions"].add(min((i, j, k, m), (m, k, j, i)))
        for i, j, k in mol.GetSubstructMatches(Chem.MolFromSmarts("*~*~*"), uniquify=False):
            index["angles"].add(min((i, j, k), (k, j, i)))
        index["bonds"] = {(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()}
        found = internal_coordinates(prepare([data], [data]))
        for kind in KINDS:
            expected = sorted(measures[kind](conformer, *atoms) for atoms in index[kind])
            assert len(expected) > 1
            np.testing.assert_allclose(sorted(found[kind].references[0]), expected, atol=1e-4)

    def test_types(self):
        (data,) = etkdg("CC(=O)[O-]", 1, 0)
        found = internal_coordinates(prepare([data], []))
        assert sorted(set(found["bonds"].types)) == ["C-C", "C-H", "C-O", "C=O"]
        assert sorted(set(found["angles"].types)) == ["C-C-H", "C-C-O", "C-C=O", "H-C-H", "O-C=O"]
        assert found["torsions"].types == []  # none without hydrogen
        (ring,) = etkdg("c1ccccc1C", 1, 0)
        assert set(internal_coordinates(prepare([ring], []))["torsions"].types) == {"C:C:C:C", "C-C:C:C"}

    def test_no_torsions_along_a_line(self):
        (data,) = etkdg("CCC#CCC", 1, 0)
        assert internal_coordinates(prepare([data], []))["torsions"].types == []


class TestComparison:
    def test_by_hand(self):
        report = compared([hydrogen_cyanide(1.2), hydrogen_cyanide(1.4)], [hydrogen_cyanide(1.3)])
        assert report["bonds"]["unit"] == "Angstrom"
        assert report["bonds"]["by_type"] == {
            "C#N": {"distance": pytest.approx(0.1, abs=1e-6), "num": 1},
            "C-H": {"distance": pytest.approx(0.0, abs=1e-6), "num": 1},
        }
        assert report["bonds"]["mean"] == pytest.approx(0.05, abs=1e-6)
        assert report["angles"]["mean"] == pytest.approx(0.0, abs=1e-6)
        assert report["torsions"] == {"unit": "degrees", "mean": None, "by_type": {}}

    def test_molecules_weigh_the_same_however_many_conformers_they_have(self):
        """Two molecules of one type of bond: 1.0 and 2.0 on both sides, but with other numbers of conformers."""
        short, long = hydrogen_cyanide(1.0), hydrogen_cyanide(2.0)
        pairs = [([short] * 5, [short]), ([long], [long] * 7)]
        report = compare_coordinates(internal_coordinates(prepare(*pair)) for pair in pairs)
        assert report["bonds"]["by_type"]["C#N"] == {"distance": pytest.approx(0.0, abs=1e-6), "num": 2}

    def test_molecules_without_conformers_are_left_out_on_both_sides(self):
        short, long = hydrogen_cyanide(1.0), hydrogen_cyanide(2.0)
        report = compare_coordinates(
            internal_coordinates(prepare(*pair)) for pair in [([short], [short]), ([long], [])]
        )
        assert report["bonds"]["by_type"]["C#N"] == {"distance": pytest.approx(0.0, abs=1e-6), "num": 1}

    def test_mirrored_torsions_are_other_torsions(self):
        conformers = etkdg_mmff("OCC(N)CF", 1, 0)
        mirrored = conformers[0].clone()
        mirrored.pos = -mirrored.pos
        report = compared(conformers, [mirrored])
        assert report["bonds"]["mean"] < 1e-4 and report["angles"]["mean"] < 0.01
        assert report["torsions"]["mean"] > 30


class TestBondLengthDeviation:
    def test_by_hand(self):
        # C-N: references have 1.3 on average, generated 1.4 and 1.8; C-H is 1.0 everywhere.
        generated, references = [hydrogen_cyanide(1.4), None, hydrogen_cyanide(1.8)], [hydrogen_cyanide(1.3)] * 2
        assert bond_length_deviation(generated, references) == pytest.approx((0.1 + 0.5 + 0 + 0) / 4, abs=1e-6)

    def test_atoms_may_come_in_any_order(self):
        (item,) = etkdg_mmff("OCC(N)CF", 1, 0)
        order = np.random.default_rng(0).permutation(item.num_nodes).tolist()
        renumbered = data_from_mol(Chem.RenumberAtoms(mol_from_data(item), order))
        assert bond_length_deviation([item], [item]) == pytest.approx(0, abs=1e-5)
        # Only equivalent hydrogens of one CH2 or NH2 may be exchanged.
        assert bond_length_deviation([renumbered], [item]) < 0.005

    def test_nothing_to_measure(self):
        some = [hydrogen_cyanide(1.2)]
        assert bond_length_deviation([], some) is None
        assert bond_length_deviation([None], some) is None
        assert bond_length_deviation(some, []) is None
        helium = data_from_smiles("[He]")
        helium.pos = torch.zeros(1, 3)
        assert bond_length_deviation([helium], [helium]) is None
