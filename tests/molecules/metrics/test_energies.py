"""Energies, strain and Boltzmann averages: by hand, in MMFF94, and by a small real run of xtb."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit.Chem import rdForceFieldHelpers

from graphscore.molecules import xtb
from graphscore.molecules.baselines import etkdg, etkdg_mmff
from graphscore.molecules.metrics.comparison import Comparison, prepare
from graphscore.molecules.metrics.energies import (
    METHODS,
    Energies,
    compare_energies,
    gfn2_energies,
    mmff_energies,
    summarize_energies,
)
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.xtb import KCAL_PER_EV, KT, single_point

needs_xtb = pytest.mark.skipif(shutil.which("xtb") is None, reason="needs the program xtb")
nan = float("nan")


def energies(start: list[float], relaxed: list[float], **properties: list[float]) -> Energies:
    return Energies(np.array(start), np.array(relaxed), {k: np.array(v) for k, v in properties.items()}, [])


def generated(smiles: str, num: int) -> Comparison:
    return prepare([], etkdg(smiles, num, 0))


class TestComparison:
    def test_by_hand(self):
        # Weights 1 and 1/2, and 1 and 1/4.
        references = energies([0.1, KT], [0.0, KT * np.log(2)], dipole=[3.0, 6.0])
        ours = energies([5.0, nan, 9.0], [1.0, nan, 1.0 + KT * np.log(4)], dipole=[0.0, nan, 5.0])
        result = compare_energies(references, ours)
        assert result["strain"] == pytest.approx([4.0, 8.0 - KT * np.log(4)], abs=1e-3)
        assert result["reference_strain"] == pytest.approx([0.1, KT * (1 - np.log(2))], abs=1e-3)
        assert result["above_lowest"] == pytest.approx([5.0, 9.0])
        assert result["errors"] == pytest.approx(
            {
                "lowest": 1.0,
                "energy": 1.0 + KT * np.log(4) / 5 - KT * np.log(2) / 3,
                "dipole": 5.0 / 5 - (3.0 + 3.0) / 1.5,
            }
        )

    def test_energies_may_be_far_from_zero_and_apart(self):
        result = compare_energies(energies([-1e5], [-1e5]), energies([1e9, 0.0], [1e9, -1e5 + 2.0]))
        assert result["errors"] == pytest.approx({"lowest": 2.0, "energy": 2.0})

    def test_nothing_known(self):
        nothing = {"lowest": None, "energy": None, "gap": None}
        for sides in (
            (energies([nan], [nan]), energies([1.0], [0.0], gap=[1.0])),
            (energies([1.0], [0.0]), energies([], [], gap=[])),
        ):
            assert compare_energies(*sides)["errors"] == nothing

    def test_summary(self):
        entries = [
            compare_energies(energies([0.0], [0.0]), energies([1.0, 3.0, 1e6], [0.5, 1.0, 0.5])),
            compare_energies(energies([0.0], [0.0]), energies([4.0], [-2.0])),
            {"failures": ["MMFF94 lacks parameters for it"]},
        ]
        report = summarize_energies("mmff", entries)
        assert report["strain"]["mean"] == pytest.approx((2.0 + 6.0) / 2)  # the median of 0.5, 2, 1e6
        assert report["errors"]["lowest"]["mean"] == pytest.approx((0.5 + 2.0) / 2)
        assert report["num_failures"] == 1
        assert summarize_energies("mmff", [])["strain"]["mean"] is None


class TestMMFF:
    def test_rdkit_gives_the_same(self):
        comparison = generated("OCC(N)CF", 3)
        found = mmff_energies(comparison.mol, comparison.generated)
        for number, pos in enumerate(comparison.generated):
            mol = comparison.with_conformer(pos)
            properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
            field = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)
            assert found.start[number] == pytest.approx(field.CalcEnergy())
            field.Minimize(maxIts=10_000)
            assert found.relaxed[number] == pytest.approx(field.CalcEnergy(), abs=1e-3)
        assert (found.start - found.relaxed).min() > 1.0 and found.failures == []

    def test_relaxed_conformers_have_no_strain(self):
        comparison = prepare([], etkdg_mmff("OCC(N)CF", 2, 0))
        found = mmff_energies(comparison.mol, comparison.generated)
        np.testing.assert_allclose(found.start, found.relaxed, atol=1e-3)

    def test_ions_feel_each_other(self):
        mol = mol_from_smiles("[Na+].[Cl-]")
        pos = np.array([[[0.0, 0, 0], [distance, 0, 0]] for distance in (2.5, 8.0)])
        near, far = mmff_energies(mol, pos).start
        assert near < far - 50

    def test_atoms_in_one_place_have_no_energy_and_a_reason(self):
        comparison = generated("CC", 2)
        comparison.generated[0, 1] = comparison.generated[0, 0]
        found = mmff_energies(comparison.mol, comparison.generated)
        assert np.isfinite(found.start).tolist() == np.isfinite(found.relaxed).tolist() == [False, True]
        assert found.failures == ["conformer 0: its energy is not finite"]

    def test_missing_parameters(self):
        with pytest.raises(ValueError, match="MMFF94 lacks parameters"):
            mmff_energies(mol_from_smiles("B"), np.zeros((1, 4, 3)))
        assert METHODS["mmff"](mol_from_smiles("CC"), np.zeros((0, 8, 3))).start.shape == (0,)


class TestGFN2:
    def test_without_the_program_the_error_says_where_to_get_it(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        comparison = generated("O", 1)
        with pytest.raises(RuntimeError, match="xtb"):
            gfn2_energies(comparison.mol, comparison.generated)

    @needs_xtb
    def test_water(self, tmp_path):
        """Against what xtb writes into a file of its own for the same coordinates."""
        comparison = generated("O", 1)
        found = gfn2_energies(comparison.mol, comparison.generated)
        assert found.failures == []
        rows = [f"{s} {x:.8f} {y:.8f} {z:.8f}" for s, (x, y, z) in zip("OHH", comparison.generated[0], strict=True)]
        (tmp_path / "water.xyz").write_text("\n".join(["3", "", *rows]) + "\n")
        command, environment = ["xtb", "water.xyz", "--opt", "--json"], os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
        expected = json.loads((tmp_path / "xtbout.json").read_text())
        assert found.relaxed[0] / xtb.KCAL_PER_HARTREE == pytest.approx(expected["total energy"], abs=1e-6)
        assert found.properties["gap"][0] / KCAL_PER_EV == pytest.approx(expected["HOMO-LUMO gap/eV"], abs=1e-3)
        assert found.properties["dipole"][0] == pytest.approx(2.2, abs=0.1)  # 1.85 in experiment
        assert 0 < found.start[0] - found.relaxed[0] < 5

    @needs_xtb
    def test_charges_are_told(self):
        # Not a bare atom: of the anion of fluorine, xtb 6.5 gives now and then an energy that is off by one hartree.
        comparison = generated("[OH-]", 1)
        anion, cation = (single_point(["O", "H"], comparison.generated[0], charge)[0] for charge in (-1, 1))
        assert anion < cation - 100
        assert gfn2_energies(comparison.mol, comparison.generated).start[0] == pytest.approx(anion)

    @needs_xtb
    def test_what_does_not_converge_is_a_failure_of_that_conformer(self):
        comparison = generated("O", 1)
        broken = np.concatenate([0.01 * comparison.generated, comparison.generated])
        found = gfn2_energies(comparison.mol, broken)
        assert np.isnan(found.relaxed[0]) and np.isfinite(found.relaxed[1])
        assert len(found.failures) == 1 and found.failures[0].startswith("conformer 0: xtb")
