"""Several methods measured on the same molecules, in Python and from files."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data import write
from graphscore.molecules.baselines import Baseline, etkdg, etkdg_mmff
from graphscore.molecules.evaluate import Measures, evaluate_files, evaluate_methods
from graphscore.molecules.metrics import measures as measuring
from graphscore.molecules.metrics.protocols import GEODIFF

SMILES = ("C[C@H](N)CO", "CC(=O)OC", "C/C=C/F")


@pytest.fixture
def files(tmp_path):
    """Two references of each molecule; four conformers of the first, three of the second, and one of another."""
    references = [data for smiles in SMILES for data in etkdg_mmff(smiles, 2, 0)]
    made = [*etkdg(SMILES[0], 4, 1), *etkdg(SMILES[1], 3, 1), *etkdg("CCCl", 1, 1)]
    write(references, tmp_path / "reference.sdf")
    write(made, tmp_path / "made.sdf")
    return tmp_path / "made.sdf", tmp_path / "reference.sdf"


@pytest.mark.parametrize("number", [1, 2])
def test_files_and_baselines(files, tmp_path, number):
    seen, measures = [], Measures(workers=number)
    options = {"baselines": ["etkdg-mmff", "etkdg"], "seed": 3, "measures": measures}
    report = evaluate_files(*files, **options, progress=lambda *x: seen.append(x))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert (report["num_molecules"], report["num_generated"]) == (3, 7)
    assert (report["num_failed_molecules"], report["num_short_molecules"]) == (1, 2)
    assert [entry["location"] for entry in report["skipped"]] == ["CCCl"]
    assert report["stereo"]["strict"]["total"] == 4  # of the third nothing was generated
    assert {"graphscore", "rdkit", "torch", "python"} <= set(report["versions"])
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert list(report["baselines"]) == ["etkdg-mmff", "etkdg"]
    for ours in report["baselines"].values():
        assert (ours["num_molecules"], ours["num_generated"], ours["num_failed_conformers"]) == (3, 12, 0)
        assert ours["stereo"]["strict"]["share"] == 1.0
        assert [entry["smiles"] for entry in ours["molecules"]] == [entry["smiles"] for entry in report["molecules"]]
    relaxed, raw = (report["baselines"][name] for name in ("etkdg-mmff", "etkdg"))
    assert relaxed["geometry"]["bonds"]["mean"] < 0.3 * raw["geometry"]["bonds"]["mean"]
    assert relaxed["amr_p"]["mean"] < raw["amr_p"]["mean"]
    again = evaluate_files(*files, baselines=["etkdg"], seed=3)
    assert again["baselines"]["etkdg"] == raw
    other = evaluate_files(*files, baselines=["etkdg"], seed=4)
    assert other["baselines"]["etkdg"]["amr_p"] != raw["amr_p"]


def test_geodiff_leaves_out_what_is_short(files):
    report = evaluate_files(*files, measures=Measures(GEODIFF))
    assert (report["num_molecules"], report["num_generated"]) == (1, 4)
    assert sorted(report["left_out"]) == ["CC=CF", "COC(C)=O"]


def test_energies_and_checks(files):
    pytest.importorskip("posebusters")
    report = evaluate_files(*files, measures=Measures(posebusters=True, energies="mmff"))
    assert report["validity"]["all"]["share"] == report["validity"]["geometry"]["share"] == 1.0
    assert report["validity"]["all"]["total"] == 7
    assert report["versions"]["posebusters"]
    assert report["energies"]["strain"]["median"] > 1.0 > report["energies"]["reference_strain"]["mean"]
    assert report["energies"]["errors"]["lowest"]["mean"] < 5
    first, second, third = report["molecules"]
    assert len(first["energies"]["strain"]) == 4 and len(first["energies"]["reference_strain"]) == 2
    assert second["validity"]["num_generated"] == 3
    assert third["energies"]["errors"] == {"lowest": None, "energy": None}


def test_molecules_without_parameters_have_no_energies_and_a_reason():
    items = etkdg("CB(O)O", 2, 0)
    report = evaluate_methods({"CB(O)O": items}, {"same": lambda *_: items}, Measures(energies="mmff"))["same"]
    assert report["molecules"][0]["energies"] == {"failures": ["MMFF94 lacks parameters for it"]}
    assert (report["energies"]["num_failures"], report["energies"]["strain"]["mean"]) == (1, None)
    assert report["amr_r"]["mean"] < 1e-6


def test_a_baseline_makes_the_stereoisomers_of_the_references_and_says_why_it_fails():
    left, right = etkdg("C[C@H](N)O", 2, 0), etkdg("C[C@@H](N)O", 1, 0)
    made = Baseline(etkdg, 2, 0)("CC(N)O", [*left, *right])
    assert [data.smiles for data in made] == [left[0].smiles] * 4 + [right[0].smiles] * 2

    def broken(smiles, num, seed):
        if "@@" in smiles:
            raise ValueError("too hard")
        return etkdg(smiles, num - 1, seed)

    attempts = Baseline(broken, 2, 0)("CC(N)O", [*left, *right])
    reasons = [attempt for attempt in attempts if isinstance(attempt, str)]
    num_hard = sum("@@" in data.smiles for data in made)
    assert sorted(reasons) == ["it was not made", *["too hard"] * num_hard] and num_hard in (2, 4)
    assert len(attempts) == 6
    report = evaluate_methods({"CC(N)O": [*left, *right]}, {"": lambda *_: attempts})[""]
    assert "too hard" in {entry["failure"] for entry in report["molecules"][0]["conformers"]}


def test_what_rdkit_cannot_measure_is_the_failure_of_that_molecule(monkeypatch):
    groups = {"CCO": etkdg("CCO", 2, 0), "CCC": etkdg("CCC", 2, 0), "CC": etkdg("CC", 2, 0)}
    real, made = measuring.internal_coordinates, {name: items[::-1] for name, items in groups.items()}

    def broken(comparison):
        if comparison.name == "CCC" and len(comparison.generated):
            Chem.MolToSmiles(None)
        if comparison.name == "CC":
            comparison.mol.GetAtomWithIdx(99)
        return real(comparison)

    monkeypatch.setattr(measuring, "internal_coordinates", broken)
    report = evaluate_methods(groups, {"a": made})["a"]
    assert report["num_molecules"] == 2 and report["num_failed_conformers"] == 2 and report["left_out"] == ["CC"]
    good, bad = report["molecules"]
    assert good["num_failed"] == 0
    assert all("it cannot be measured: RDKit fails" in entry["failure"] for entry in bad["conformers"])


def test_what_is_missing_is_said_before_any_work(files, monkeypatch):
    for options, words in (
        ({"measures": Measures(energies="dft")}, "Unknown method for energies 'dft'"),
        ({"baselines": ["omega"]}, "Unknown baseline 'omega'"),
    ):
        with pytest.raises(ValueError, match=words):
            evaluate_files(*files, **options)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="needs the program xtb"):
        evaluate_files(*files, measures=Measures(energies="gfn2"))
