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
from graphscore.data.molecules import data_from_mol, data_from_smiles, embed, mol_from_data, mol_from_smiles
from graphscore.metrics.conformers import (
    THRESHOLDS,
    bond_length_deviation,
    evaluate_conformers,
    evaluate_molecule,
    keeps_stereo,
    rmsd_matrix,
)


def hydrogen_cyanide(length: float) -> Data:
    """H-C-N on a line; two heavy atoms, so that the RMSD of two of them is half the difference of lengths."""
    data = data_from_smiles("C#N")
    data.pos = torch.tensor([[0.0, 0, 0], [length, 0, 0], [-1.0, 0, 0]])
    return data


def conformers(smiles: str, num: int, seed: int = 0) -> list[Data]:
    mol = embed(mol_from_smiles(smiles), num, seed)
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]


def moved(data: Data, seed: int = 0) -> Data:
    rotation = torch.from_numpy(Rotation.random(rng=seed).as_matrix()).float()
    out = data.clone()
    out.pos = data.pos @ rotation.t() + torch.tensor([5.0, -3.0, 1.0])
    return out


REFERENCES = [hydrogen_cyanide(1.2), hydrogen_cyanide(1.4)]
GENERATED = [hydrogen_cyanide(1.3), hydrogen_cyanide(1.4), hydrogen_cyanide(1.8)]


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
        a, b = conformers("OCC(N)CF", 2)
        distance = rmsd_matrix([a], [b]).item()
        assert distance > 0.1
        assert rmsd_matrix([a], [moved(b)]).item() == pytest.approx(distance, abs=1e-5)
        assert rmsd_matrix([a], [moved(a)]).item() == pytest.approx(0, abs=1e-5)
        assert rmsd_matrix([b], [a]).item() == pytest.approx(distance, abs=1e-6)

    def test_equivalent_atoms_may_change_places(self):
        item = conformers("CC(C)(C)C(=O)[O-]", 1)[0]
        swapped = item.clone()
        swapped.pos = item.pos[torch.tensor([2, 1, 3, 0, 4, 6, 5, *range(7, item.num_nodes)])]
        raw = (swapped.pos - item.pos)[item.z > 1].square().sum(dim=1).mean().sqrt()
        assert raw > 1
        assert rmsd_matrix([item], [swapped]).item() == pytest.approx(0, abs=1e-5)

    def test_atoms_may_come_in_any_order(self):
        item = conformers("OCC(N)CF", 1)[0]
        order = np.random.default_rng(0).permutation(item.num_nodes).tolist()
        renumbered = data_from_mol(Chem.RenumberAtoms(mol_from_data(item), order))
        assert rmsd_matrix([item], [renumbered]).item() == pytest.approx(0, abs=1e-5)

    def test_a_mirror_image_is_not_the_same(self):
        chiral = conformers("C[C@H](N)O", 1)[0]
        mirrored = chiral.clone()
        mirrored.pos = chiral.pos * torch.tensor([1.0, 1.0, -1.0])
        assert rmsd_matrix([chiral], [mirrored]).item() > 0.3
        planar = conformers("c1ccccc1O", 1)[0]
        mirrored = planar.clone()
        mirrored.pos = planar.pos * torch.tensor([1.0, 1.0, -1.0])
        assert rmsd_matrix([planar], [mirrored]).item() < 0.01

    def test_pairs_that_are_no_bonds_do_not_matter(self):
        a, b = conformers("OCCF", 2)
        complete = CompleteGraph("bond")(b)
        assert rmsd_matrix([a], [complete]).item() == rmsd_matrix([a], [b]).item()

    def test_imine_hydrogens_do_not_matter(self):
        """RDKit would keep the hydrogen of one whose stereo it perceives."""
        a = conformers("CC=N", 1)[0]
        b = a.clone()
        assert rmsd_matrix([a], [b]).shape == (1, 1)
        b.pos[b.z == 1] += 0.3 * torch.randn(5, 3)
        assert rmsd_matrix([a], [b]).item() == pytest.approx(0, abs=1e-5)

    def test_the_inputs_stay_as_they_are(self):
        a, b = conformers("OCCF", 2)
        before = b.pos.clone()
        rmsd_matrix([a], [b])
        assert torch.equal(b.pos, before)

    def test_what_cannot_be_compared_is_refused(self):
        with pytest.raises(ValueError, match=r"one molecule, but got \['CCF', 'CCO'\]"):
            rmsd_matrix(conformers("CCO", 1), conformers("CCF", 1))
        with pytest.raises(ValueError, match="'C' has no pos"):
            rmsd_matrix([data_from_smiles("C")], [data_from_smiles("C")])
        assert rmsd_matrix([], GENERATED).shape == (0, 3)


class TestOneMolecule:
    def test_by_hand(self):
        result = evaluate_molecule(REFERENCES, GENERATED, thresholds=(0.04, 0.06))
        assert result["amr_r"] == pytest.approx((0.05 + 0) / 2, abs=1e-6)
        assert result["amr_p"] == pytest.approx((0.05 + 0 + 0.2) / 3, abs=1e-6)
        assert result["cov_r"] == {"0.04": 1 / 2, "0.06": 1.0}
        assert result["cov_p"] == {"0.04": 1 / 3, "0.06": 2 / 3}
        assert (result["num_references"], result["num_generated"], result["failures"]) == (2, 3, [])
        assert result["smiles"] == "C#N"

    def test_covered_means_strictly_below(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("graphscore.metrics.conformers.rmsd_matrix", lambda r, g: np.array([[0.5]]))
        result = evaluate_molecule(REFERENCES[:1], GENERATED[:1], thresholds=(0.5, 0.500001))
        assert result["cov_r"] == result["cov_p"] == {"0.5": 0.0, "0.500001": 1.0}

    def test_failed_attempts_are_uncovered_but_not_averaged(self):
        broken, other = hydrogen_cyanide(1.2), data_from_smiles("CO")
        broken.pos[0] = torch.nan
        other.pos = torch.randn(6, 3)
        attempts = [None, broken, data_from_smiles("C#N"), other, hydrogen_cyanide(1.4)]
        result = evaluate_molecule(REFERENCES, attempts, thresholds=(0.04,))
        assert result["num_generated"] == 5 and len(result["failures"]) == 4
        reasons = ["nothing was generated", "not finite", "no pos", "it is CO, not C#N"]
        assert all(reason in text for reason, text in zip(reasons, result["failures"], strict=True))
        assert result["cov_p"] == {"0.04": 1 / 5} and result["cov_r"] == {"0.04": 1 / 2}
        assert result["amr_p"] == pytest.approx(0, abs=1e-6) and result["amr_r"] == pytest.approx(0.05, abs=1e-6)

    def test_nothing_but_failures(self):
        result = evaluate_molecule(REFERENCES, [None, None], thresholds=(0.5,))
        assert (result["amr_r"], result["amr_p"]) == (None, None)
        assert result["cov_r"] == result["cov_p"] == {"0.5": 0.0}

    def test_empty_denominators_are_none(self):
        result = evaluate_molecule(REFERENCES, [], thresholds=(0.5,))
        assert (result["cov_r"], result["cov_p"]) == ({"0.5": 0.0}, {"0.5": None})
        result = evaluate_molecule([], GENERATED, thresholds=(0.5,))
        assert (result["cov_r"], result["cov_p"]) == ({"0.5": None}, {"0.5": None})
        assert (result["amr_r"], result["amr_p"]) == (None, None)


class TestManyMolecules:
    def test_means_medians_and_counts(self):
        pairs = [
            (REFERENCES, GENERATED),
            (REFERENCES, [hydrogen_cyanide(1.2)]),
            (REFERENCES[:1], [hydrogen_cyanide(1.2), None]),
            (REFERENCES, [None]),
        ]
        report = evaluate_conformers(pairs, thresholds=(0.04,))
        assert json.loads(json.dumps(report)) == report
        counts = {key: value for key, value in report.items() if key.startswith("num_")}
        assert counts == {
            "num_molecules": 4,
            "num_references": 7,
            "num_generated": 7,
            "num_failed_conformers": 2,
            "num_failed_molecules": 1,
        }
        assert report["amr_r"] == pytest.approx({"mean": (0.025 + 0.05 + 0) / 3, "median": 0.025}, abs=1e-6)
        assert report["amr_p"] == pytest.approx({"mean": (0.25 / 3 + 0 + 0) / 3, "median": 0.0}, abs=1e-6)
        assert report["cov_r"]["0.04"] == pytest.approx({"mean": (0.5 + 0.5 + 1 + 0) / 4, "median": 0.5})
        assert report["cov_p"]["0.04"] == pytest.approx(
            {"mean": (1 / 3 + 1 + 0.5 + 0) / 4, "median": (1 / 3 + 0.5) / 2}
        )
        assert len(report["molecules"]) == 4

    def test_nothing_at_all(self):
        report = evaluate_conformers([])
        assert report["amr_r"] == {"mean": None, "median": None}
        assert report["cov_p"] == {str(t): {"mean": None, "median": None} for t in THRESHOLDS}

    def test_conformers_cover_themselves(self):
        items = conformers("OCC(N)CF", 4)
        report = evaluate_conformers([(items, [moved(item, seed=i) for i, item in enumerate(items)])])
        assert report["amr_r"]["mean"] < 1e-4 and report["amr_p"]["mean"] < 1e-4
        assert all(value["mean"] == 1.0 for value in (*report["cov_r"].values(), *report["cov_p"].values()))


class TestBondLengths:
    def test_by_hand(self):
        # C-N: references have 1.3 on average, generated 1.4 and 1.8; C-H is 1.0 everywhere.
        deviation = bond_length_deviation([GENERATED[1], None, GENERATED[2]], REFERENCES)
        assert deviation == pytest.approx((0.1 + 0.5 + 0 + 0) / 4, abs=1e-6)

    def test_atoms_may_come_in_any_order(self):
        item = conformers("OCC(N)CF", 1)[0]
        order = np.random.default_rng(0).permutation(item.num_nodes).tolist()
        renumbered = data_from_mol(Chem.RenumberAtoms(mol_from_data(item), order))
        assert bond_length_deviation([moved(item)], [item]) == pytest.approx(0, abs=1e-5)
        # Only equivalent hydrogens of one CH2 or NH2 may be exchanged.
        assert bond_length_deviation([renumbered], [item]) < 0.005

    def test_nothing_to_measure(self):
        assert bond_length_deviation([], REFERENCES) is None
        assert bond_length_deviation([None], REFERENCES) is None
        assert bond_length_deviation(GENERATED, []) is None
        helium = data_from_smiles("[He]")
        helium.pos = torch.zeros(1, 3)
        assert bond_length_deviation([helium], [helium]) is None


@pytest.mark.parametrize(
    ("smiles", "mirrored_keeps"),
    [("C[C@H](N)O", False), ("CC(N)O", True), ("C/C=C/F", True), ("O[C@@H](F)C[C@H](F)N", False), ("CCO", True)],
)
def test_stereo_is_kept_by_conformers_and_lost_by_their_mirror_images(smiles, mirrored_keeps):
    (conformer,) = conformers(smiles, 1)
    conformer.smiles = smiles
    assert keeps_stereo(conformer)
    conformer.pos = -conformer.pos
    assert keeps_stereo(conformer) == mirrored_keeps


def test_the_other_double_bond_isomer_does_not_keep_stereo():
    (cis,), (trans,) = conformers("C/C=C\\F", 1), conformers("C/C=C/F", 1)
    cis.smiles, trans.smiles = trans.smiles, cis.smiles
    assert not keeps_stereo(cis)
    assert not keeps_stereo(trans)
