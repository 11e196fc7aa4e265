"""What a second search finds that is not stored, on made-up searches; counts against a list."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

pytest.importorskip("rdkit")

from graphscore.molecules.recipes import audit
from graphscore.molecules.recipes import ensembles as recipe
from graphscore.molecules.recipes.lists import Job
from graphscore.molecules.recipes.search import Ensemble, of_others, search
from graphscore.molecules.recipes.settings import Level, Settings

needs_xtb = pytest.mark.skipif(shutil.which("xtb") is None, reason="the program xtb is not installed")


def butane() -> Ensemble:
    """Anti, and gauche, whose mirror image is one more conformer."""
    found = search("CCCC", Settings("mmff94")).ensemble
    assert found is not None and len(found.pos) == 3
    return Ensemble(found.smiles, found.pos[:2], found.energies[:2], np.array([False, True]))


BUTANE = butane()


def rotated(pos: np.ndarray) -> np.ndarray:
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    return pos @ (turn * np.sign(np.linalg.det(turn)))


def test_conformers_are_known_however_they_lie():
    assert not of_others(BUTANE, rotated(BUTANE.pos), BUTANE.energies).any()
    mirrored = BUTANE.pos * [1, 1, -1]
    assert not of_others(BUTANE, rotated(mirrored), BUTANE.energies).any()


def test_what_an_ensemble_lacks_is_found():
    anti = Ensemble(BUTANE.smiles, BUTANE.pos[:1], BUTANE.energies[:1], BUTANE.mirrors[:1])
    assert of_others(anti, BUTANE.pos, BUTANE.energies).tolist() == [False, True]
    # A mirror image counts as held only where the ensemble says that it stands for it.
    one_gauche = Ensemble(BUTANE.smiles, BUTANE.pos, BUTANE.energies, np.zeros(2, dtype=bool))
    assert of_others(one_gauche, BUTANE.pos * [1, 1, -1], BUTANE.energies).tolist() == [False, True]


def test_conformers_of_other_energies_are_others():
    assert of_others(BUTANE, BUTANE.pos, BUTANE.energies + 0.2).all()


def test_shares_count_molecules_and_conformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One molecule whose second search finds a new lowest conformer, one with nothing new, one without a result."""
    rows = {
        "new": (np.array([-0.5, 3.0]), np.array([True, False])),
        "old": (np.array([0.0, 2.0]), np.array([False, False])),
        "none": None,
    }
    monkeypatch.setattr(audit, "_search_again", lambda job: rows[job[0]])
    monkeypatch.setattr(audit.xtb, "version", lambda: "9.9.9")
    monkeypatch.setattr(audit, "map_in_workers", _in_process)
    dataset = type("Made", (), {"source": ["a"] * 3, "part": ["val"] * 3, "sources": ["a"], "level": "gfn2"})()
    dataset.ensemble = list(rows).__getitem__
    monkeypatch.setattr(audit, "GFN2Ensembles", lambda *_, **__: dataset)
    assert audit.audit_second_seed(part="val") == {
        "molecules": 3, "failed": 1, "new_lowest": 0.5, "new_low": 0.5, "known": 0.75,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"no molecules of \['a'\] in part 'train'"):
        audit.audit_second_seed()
    dataset.level = "mmff94"
    with pytest.raises(ValueError, match="needs ensembles of level gfn2 or .*, but theirs is 'mmff94'"):
        audit.audit_second_seed(part="val")


def _in_process(function, jobs, num_workers):
    yield from map(function, jobs)


def test_counts_are_compared_molecule_by_molecule(tmp_path: Path):
    records = [recipe.compute(Job("made-up", smiles, "train"), "mmff94") for smiles in ("CCCC", "CCO", "CC", "CCC=O")]
    data, _ = recipe.pack(records, tmp_path / "data.formats.npz", ["rdkit 1"])
    stored = {r["flat"]: len(r["ensemble"]["mirrors"]) + sum(r["ensemble"]["mirrors"]) for r in records}
    table = tmp_path / "list.csv"
    table.write_text("smiles,n_conformers\n" + "".join(f"{s},{10 * n}\n" for s, n in stored.items()) + "C(,3\nCCF,1\n")
    report = audit.audit_counts([table], data)
    assert report["molecules"] == 4 and report["impossible"] == 1
    assert report["listed"] == 10 * report["stored"]
    assert report["rank_correlation"] == pytest.approx(1)
    table.write_text("smiles\nCC\n")
    with pytest.raises(ValueError, match=r"needs columns \['n_conformers'\]"):
        audit.audit_counts([table], data)


def test_ranks_are_those_of_scipy():
    values = np.array([3, 1, 1, 7, 3, 3, 0])
    assert audit._ranks(values).tolist() == rankdata(values).tolist()


@needs_xtb
@pytest.mark.parametrize("level", audit.LEVELS)
def test_a_second_search_of_a_stored_molecule_finds_it_again(level: Level):
    """Of a rigid molecule, whose energy the stored coordinates give within their rounding."""
    stored = search("C1CC1", Settings(level, num_knowledge=2, num_plain=2)).ensemble
    assert stored is not None
    row = audit._search_again((stored, level, True))
    assert row is not None
    energies, new = row
    assert not new.any() and abs(energies).max() < 0.05
