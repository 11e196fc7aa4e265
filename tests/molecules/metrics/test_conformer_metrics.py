"""Conformer metrics: cases that can be computed by hand, then invariances."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

pytest.importorskip("rdkit")

from rdkit import Chem
from scipy.spatial.transform import Rotation

from graphscore.data import CompleteGraph
from graphscore.molecules.baselines import etkdg_mmff
from graphscore.molecules.graph import data_from_mol, data_from_smiles, mol_from_data
from graphscore.molecules.metrics.comparison import prepare
from graphscore.molecules.metrics.conformers import THRESHOLDS, evaluate_conformers, evaluate_molecule, rmsd_matrix
from graphscore.molecules.metrics.protocols import GEODIFF, TORSIONAL_DIFFUSION


def hydrogen_cyanide(length: float) -> Data:
    """H-C-N on a line; two heavy atoms, so that the RMSD of two of them is half the difference of lengths."""
    data = data_from_smiles("C#N")
    data.pos = torch.tensor([[0.0, 0, 0], [length, 0, 0], [-1.0, 0, 0]])
    return data


def moved(data: Data, seed: int = 0) -> Data:
    rotation = torch.from_numpy(Rotation.from_quat(np.random.default_rng(seed).normal(size=4)).as_matrix()).float()
    out = data.clone()
    out.pos = data.pos @ rotation.t() + torch.tensor([5.0, -3.0, 1.0])
    return out


REFERENCES = [hydrogen_cyanide(1.2), hydrogen_cyanide(1.4)]
GENERATED = [hydrogen_cyanide(1.3), hydrogen_cyanide(1.4), hydrogen_cyanide(1.8)]


def averages(summary: dict[str, float]) -> tuple[float, float]:
    return summary["mean"], summary["median"]


class TestRMSD:
    def test_by_hand(self):
        expected = [[0.05, 0.1, 0.3], [0.05, 0.0, 0.2]]
        np.testing.assert_allclose(rmsd_matrix(REFERENCES, GENERATED), expected, atol=1e-6)

    def test_three_atoms_by_hand(self):
        """Bent by 90 degrees against straight: the optimum is found by brute force over the plane's rotations."""
        straight, bent = data_from_smiles("COC"), data_from_smiles("COC")
        for data, end in ((straight, [1.0, 0.0]), (bent, [0.0, 1.0])):
            # Atoms are C, O, C and six hydrogens, which do not count.
            data.pos = torch.zeros(9, 3)
            data.pos[3:] = torch.arange(18.0).view(6, 3)
            data.pos[0, 0], data.pos[2, :2] = -1.0, torch.tensor(end)
        a = straight.pos[:3, :2].double().numpy()
        b = bent.pos[:3, :2].double().numpy() - bent.pos[:3, :2].double().numpy().mean(axis=0)
        angles = np.linspace(0, 2 * np.pi, 100_001)
        turned = np.stack([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
        points = np.einsum("ijk,nj->kni", turned, b)
        best = np.sqrt(((points - a) ** 2).sum(axis=2).mean(axis=1)).min()
        assert rmsd_matrix([straight], [bent]).item() == pytest.approx(best, abs=1e-6)

    def test_motion_changes_nothing(self):
        a, b = etkdg_mmff("OCC(N)CF", 2, 0)
        distance = rmsd_matrix([a], [b]).item()
        assert distance > 0.1
        assert rmsd_matrix([a], [moved(b)]).item() == pytest.approx(distance, abs=1e-5)
        assert rmsd_matrix([a], [moved(a)]).item() == pytest.approx(0, abs=1e-5)
        assert rmsd_matrix([b], [a]).item() == pytest.approx(distance, abs=1e-6)

    def test_equivalent_atoms_may_change_places(self):
        item = etkdg_mmff("CC(C)(C)C(=O)[O-]", 1, 0)[0]
        swapped = item.clone()
        swapped.pos = item.pos[torch.tensor([2, 1, 3, 0, 4, 6, 5, *range(7, item.num_nodes)])]
        raw = (swapped.pos - item.pos)[item.z > 1].square().sum(dim=1).mean().sqrt()
        assert raw > 1
        assert rmsd_matrix([item], [swapped]).item() == pytest.approx(0, abs=1e-5)

    def test_atoms_may_come_in_any_order(self):
        item = etkdg_mmff("OCC(N)CF", 1, 0)[0]
        order = np.random.default_rng(0).permutation(item.num_nodes).tolist()
        renumbered = data_from_mol(Chem.RenumberAtoms(mol_from_data(item), order))
        assert rmsd_matrix([item], [renumbered]).item() == pytest.approx(0, abs=1e-5)

    def test_a_mirror_image_is_not_the_same(self):
        chiral = etkdg_mmff("C[C@H](N)O", 1, 0)[0]
        mirrored = chiral.clone()
        mirrored.pos = chiral.pos * torch.tensor([1.0, 1.0, -1.0])
        assert rmsd_matrix([chiral], [mirrored]).item() > 0.3
        planar = etkdg_mmff("c1ccccc1O", 1, 0)[0]
        mirrored = planar.clone()
        mirrored.pos = planar.pos * torch.tensor([1.0, 1.0, -1.0])
        assert rmsd_matrix([planar], [mirrored]).item() < 0.01

    def test_pairs_that_are_no_bonds_do_not_matter(self):
        a, b = etkdg_mmff("OCCF", 2, 0)
        complete = CompleteGraph("bond")(b)
        assert rmsd_matrix([a], [complete]).item() == rmsd_matrix([a], [b]).item()

    def test_imine_hydrogens_do_not_matter(self):
        """RDKit would keep the hydrogen of one whose stereo it perceives."""
        a = etkdg_mmff("CC=N", 1, 0)[0]
        b = a.clone()
        assert rmsd_matrix([a], [b]).shape == (1, 1)
        b.pos[b.z == 1] += 0.3 * torch.randn(5, 3)
        assert rmsd_matrix([a], [b]).item() == pytest.approx(0, abs=1e-5)

    def test_the_inputs_stay_as_they_are(self):
        a, b = etkdg_mmff("OCCF", 2, 0)
        before = b.pos.clone()
        rmsd_matrix([a], [b])
        assert torch.equal(b.pos, before)

    def test_what_cannot_be_compared_is_refused(self):
        with pytest.raises(ValueError, match="number 0: it is CCF, not CCO"):
            rmsd_matrix(etkdg_mmff("CCO", 1, 0), etkdg_mmff("CCF", 1, 0))
        with pytest.raises(ValueError, match="'C' has no pos"):
            rmsd_matrix([data_from_smiles("C")], [data_from_smiles("C")])
        assert rmsd_matrix([], GENERATED).shape == (0, 3)
        assert rmsd_matrix([], []).shape == (0, 0)


class TestOneMolecule:
    def test_by_hand(self):
        result = evaluate_molecule(prepare(REFERENCES, GENERATED), thresholds=(0.04, 0.06))
        assert result["amr_r"] == pytest.approx((0.05 + 0) / 2, abs=1e-6)
        assert result["amr_p"] == pytest.approx((0.05 + 0 + 0.2) / 3, abs=1e-6)
        assert result["cov_r"] == {"0.04": 1 / 2, "0.06": 1.0}
        assert result["cov_p"] == {"0.04": 1 / 3, "0.06": 2 / 3}
        assert (result["num_references"], result["num_generated"], result["num_failed"]) == (2, 3, 0)
        assert (result["smiles"], result["stereo"], result["rmsd_is_exact"]) == ("C#N", None, True)
        assert result["reference_rmsd"] == pytest.approx([0.05, 0.0], abs=1e-6)
        assert [entry["rmsd"] for entry in result["conformers"]] == pytest.approx([0.05, 0.0, 0.2], abs=1e-6)

    def test_covered_is_below_or_equal_by_protocol(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("graphscore.molecules.metrics.conformers.best_rmsd", lambda *_: np.array([[0.5]]))
        comparison = prepare(REFERENCES[:1], GENERATED[:1])
        for protocol, at_threshold in ((TORSIONAL_DIFFUSION, 0.0), (GEODIFF, 1.0)):
            result = evaluate_molecule(comparison, (0.499999, 0.5, 0.500001), protocol)
            assert result["cov_r"] == result["cov_p"] == {"0.499999": 0.0, "0.5": at_threshold, "0.500001": 1.0}

    def test_failed_attempts_are_uncovered_but_not_averaged(self):
        broken, other = hydrogen_cyanide(1.2), data_from_smiles("CO")
        broken.pos[0] = torch.nan
        other.pos = torch.randn(6, 3)
        attempts = [None, "out of time", broken, data_from_smiles("C#N"), other, hydrogen_cyanide(1.4)]
        result = evaluate_molecule(prepare(REFERENCES, attempts), thresholds=(0.04,))
        assert result["num_generated"] == 6 and result["num_failed"] == 5
        reasons = ["nothing was generated", "out of time", "not finite", "no pos", "it is CO, not C#N"]
        failures = [entry["failure"] for entry in result["conformers"]]
        assert all(reason in text for reason, text in zip(reasons, failures[:5], strict=True)) and failures[5] is None
        assert [entry["rmsd"] for entry in result["conformers"]] == [None] * 5 + [0.0]
        assert result["cov_p"] == {"0.04": 1 / 6} and result["cov_r"] == {"0.04": 1 / 2}
        assert result["amr_p"] == pytest.approx(0, abs=1e-6) and result["amr_r"] == pytest.approx(0.05, abs=1e-6)

    def test_nothing_but_failures(self):
        result = evaluate_molecule(prepare(REFERENCES, [None, None]), thresholds=(0.5,))
        assert (result["amr_r"], result["amr_p"]) == (None, None)
        assert result["cov_r"] == result["cov_p"] == {"0.5": 0.0}

    def test_empty_denominators_are_none(self):
        result = evaluate_molecule(prepare(REFERENCES, []), thresholds=(0.5,))
        assert (result["cov_r"], result["cov_p"]) == ({"0.5": 0.0}, {"0.5": 0.0})  # a failure, not nothing
        result = evaluate_molecule(prepare([], GENERATED), thresholds=(0.5,))
        assert (result["cov_r"], result["cov_p"]) == ({"0.5": None}, {"0.5": None})
        assert (result["amr_r"], result["amr_p"]) == (None, None)
        assert evaluate_molecule(prepare([], []), thresholds=(0.5,))["cov_p"] == {"0.5": None}

    def test_stereo_is_judged_for_each_conformer_against_the_references(self):
        right = etkdg_mmff("O[C@@H](F)C[C@H](F)N", 3, 0)
        attempts = [moved(right[0]), moved(right[1]), None, *etkdg_mmff("O[C@@H](F)C[C@@H](F)N", 1, 0)]
        attempts[1].pos = -attempts[1].pos
        attempts[0].smiles = attempts[3].smiles  # what a conformer says of itself does not matter
        result = evaluate_molecule(prepare(right, attempts))
        assert [entry["stereo"] for entry in result["conformers"]] == ["right", "mirrored", None, "wrong"]
        assert result["stereo"] == {"right": 1, "mirrored": 1}


class TestManyMolecules:
    def test_means_medians_and_counts(self):
        pairs = [
            (REFERENCES, GENERATED),
            (REFERENCES, [hydrogen_cyanide(1.2)]),
            (REFERENCES[:1], [hydrogen_cyanide(1.2), None]),
            (REFERENCES, [None]),
        ]
        report = evaluate_conformers(pairs, thresholds=(0.04,))
        assert json.loads(json.dumps(report, allow_nan=False)) == report
        counts = {key: value for key, value in report.items() if key.startswith("num_")}
        assert counts == {
            "num_molecules": 4,
            "num_references": 7,
            "num_generated": 7,
            "num_failed_conformers": 2,
            "num_failed_molecules": 1,
            "num_short_molecules": 3,
            "num_upper_bounds": 0,
        }
        assert averages(report["amr_r"]) == pytest.approx(((0.025 + 0.05 + 0) / 3, 0.025), abs=1e-6)
        assert averages(report["amr_p"]) == pytest.approx(((0.25 / 3 + 0 + 0) / 3, 0.0), abs=1e-6)
        assert averages(report["cov_r"]["0.04"]) == pytest.approx(((0.5 + 0.5 + 1 + 0) / 4, 0.5))
        assert averages(report["cov_p"]["0.04"]) == pytest.approx(((1 / 3 + 1 + 0.5 + 0) / 4, (1 / 3 + 0.5) / 2))
        assert len(report["molecules"]) == 4

    def test_the_protocols_take_twice_as_many_and_treat_failures_differently(self):
        none, far, near = None, hydrogen_cyanide(1.8), hydrogen_cyanide(1.4)
        pairs = [
            (REFERENCES, [none, none, far, far, near, near]),  # two failures, then two more than are needed
            (REFERENCES, [near, near, near]),  # too few
        ]
        ours = evaluate_conformers(pairs, (0.04,), TORSIONAL_DIFFUSION)
        theirs = evaluate_conformers(pairs, (0.04,), GEODIFF)
        assert (ours["num_molecules"], ours["num_generated"], ours["num_failed_conformers"]) == (2, 7, 2)
        assert (ours["num_short_molecules"], ours["left_out"]) == (1, [])
        assert [result["cov_p"]["0.04"] for result in ours["molecules"]] == [0.0, 1.0]
        assert (theirs["num_molecules"], theirs["num_generated"], theirs["num_failed_conformers"]) == (1, 4, 0)
        assert (theirs["num_short_molecules"], theirs["left_out"]) == (0, ["C#N"])
        assert [result["cov_p"]["0.04"] for result in theirs["molecules"]] == [0.5]
        assert "<" in ours["protocol"]["rules"] and "<=" in theirs["protocol"]["rules"]

    def test_geodiff_leaves_out_what_has_several_components(self):
        salt = etkdg_mmff("[NH4+].[Cl-]", 2, 0)
        assert evaluate_conformers([(salt[:1], salt)], protocol=GEODIFF)["left_out"] == [salt[0].smiles]
        assert evaluate_conformers([(salt[:1], salt)])["num_molecules"] == 1

    def test_stereo_is_a_share_of_all_attempts(self):
        chiral = etkdg_mmff("C[C@H](N)O", 2, 0)
        mirrored = chiral[1].clone()
        mirrored.pos = -mirrored.pos
        report = evaluate_conformers([(chiral, [chiral[0], mirrored, None]), (REFERENCES, GENERATED)])
        assert report["stereo"]["strict"] == {"share": 1 / 3, "ci": None, "total": 3}
        assert report["stereo"]["enantiomer_tolerant"]["share"] == 2 / 3

    def test_upper_bounds_are_counted(self, monkeypatch: pytest.MonkeyPatch):
        items = etkdg_mmff("CC(F)(F)F", 1, 0)
        monkeypatch.setattr("graphscore.molecules.metrics.rmsd.MAX_MATCHES", 5)
        report = evaluate_conformers([(items, items), (REFERENCES, GENERATED)])
        assert report["num_upper_bounds"] == 1

    def test_nothing_at_all(self):
        report = evaluate_conformers([])
        nothing = {"mean": None, "median": None, "mean_ci": None, "median_ci": None}
        assert report["amr_r"] == nothing
        assert report["cov_p"] == {str(t): nothing for t in THRESHOLDS}

    def test_conformers_cover_themselves(self):
        items = etkdg_mmff("OCC(N)CF", 4, 0)
        report = evaluate_conformers([(items, [moved(item, seed=i) for i, item in enumerate(items)])])
        assert report["amr_r"]["mean"] < 1e-4 and report["amr_p"]["mean"] < 1e-4
        assert all(value["mean"] == 1.0 for value in (*report["cov_r"].values(), *report["cov_p"].values()))
