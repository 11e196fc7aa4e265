"""The checks of PoseBusters, on conformers that are right and on ones that are broken in a known way."""

from __future__ import annotations

import builtins

import pytest
import torch

pytest.importorskip("rdkit")
pytest.importorskip("posebusters")

import pandas

from graphscore.molecules.baselines import etkdg_mmff
from graphscore.molecules.metrics import validity
from graphscore.molecules.metrics.comparison import prepare
from graphscore.molecules.metrics.validity import GEOMETRY, check_validity, summarize_validity


def test_good_conformers_pass_and_broken_ones_fail_where_they_are_broken():
    good, *others = etkdg_mmff("Cc1ccccc1CCO", 3, 0)
    stretched, bent = others
    stretched.pos[0] += 1.5 * (stretched.pos[0] - stretched.pos[1])
    ring = bent.pos[1:7] - bent.pos[1:7].mean(dim=0)
    bent.pos[3] += torch.linalg.svd(ring).Vh[2]  # 1 Angstrom out of the plane
    result = check_validity(prepare([good], [good, stretched, None]))
    assert (result["num_generated"], result["all"], result["geometry"]) == (3, 1, 1)
    assert set(GEOMETRY) < set(result["passed"])
    assert (result["passed"]["bond_lengths"], result["checked"]["bond_lengths"]) == (1, 3)
    assert result["passed"]["aromatic_ring_flatness"] == 2
    folded = check_validity(prepare([good], [bent]))
    assert folded["passed"]["aromatic_ring_flatness"] == folded["geometry"] == 0
    assert folded["passed"]["inchi_convertible"] == 1


def test_pass_rates_count_failed_attempts():
    good = etkdg_mmff("CCO", 2, 0)
    molecules = [check_validity(prepare(good, attempts)) for attempts in ([*good, None], [None, None])]
    report = summarize_validity(molecules)
    assert report["all"]["share"] == report["geometry"]["share"] == report["checks"]["bond_lengths"]["share"] == 2 / 5
    assert report["all"]["total"] == report["checks"]["bond_lengths"]["total"] == 5
    assert summarize_validity([])["all"] == {"share": None, "ci": None, "total": 0}


class Module:
    """In place of PoseBusters: energies that it cannot decide, for certain stereoisomers; counts its attempts."""

    def __init__(self, undecided: set[str]) -> None:
        self.undecided, self.attempts = undecided, 0

    def PoseBusters(self, config):  # noqa: N802
        with_energy = config == "mol" or any(part["function"] == "energy_ratio" for part in config["modules"])
        return Busters(self, with_energy)


class Busters:
    def __init__(self, module: Module, with_energy: bool) -> None:
        self.config = {"modules": [{"function": "distance_geometry"}, {"function": "energy_ratio"}], "top_n": None}
        self.module, self.with_energy = module, with_energy

    def bust(self, mols):
        columns: dict[str, list[float | bool]] = {name: [True] * len(mols) for name in GEOMETRY}
        if self.with_energy:
            isomers = [validity._isomer(mol) for mol in mols]
            self.module.attempts += sum(isomer in self.module.undecided for isomer in isomers)
            energies = [float("nan") if isomer in self.module.undecided else True for isomer in isomers]
            columns["internal_energy"] = energies
        return pandas.DataFrame(columns)


def test_what_cannot_be_decided_is_no_failure_and_tried_once_for_each_stereoisomer(monkeypatch):
    left, right = etkdg_mmff("C[C@H](F)Cl", 3, 0), etkdg_mmff("C[C@@H](F)Cl", 4, 0)
    comparison = prepare([], [*left, *right])
    module = Module({validity._isomer(comparison.with_conformer(comparison.generated[0]))})
    monkeypatch.setattr(validity, "_module", lambda: module)
    result = check_validity(comparison)
    assert (result["all"], result["geometry"], module.attempts) == (7, 7, 1)
    assert (result["passed"]["internal_energy"], result["checked"]["internal_energy"]) == (4, 4)
    assert (result["passed"]["bond_lengths"], result["checked"]["bond_lengths"]) == (7, 7)


def test_without_posebusters_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def blocked(name, *arguments, **options):
        if name == "posebusters":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(ImportError, match=r"graphscore\[eval\]"):
        check_validity(prepare([], []))
