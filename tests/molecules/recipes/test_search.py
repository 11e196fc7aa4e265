"""The search for conformers. GFN2-xTB itself is tried where the program is; elsewhere a stand-in changes nothing."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("rdkit")

from graphscore.molecules import xtb
from graphscore.molecules.recipes.search import Ensemble, draw_stereoisomer, search
from graphscore.molecules.recipes.settings import Settings

needs_xtb = pytest.mark.skipif(shutil.which("xtb") is None, reason="the program xtb is not installed")
FEW = Settings(num_knowledge=4, num_plain=4, max_optimizations=4)

# Returns the start as the minimum, with an energy that its first atom decides.
STAND_IN = """#!/bin/sh
if [ "$1" = "--version" ]; then echo " * xtb version 9.9.9 (stand-in)"; exit 0; fi
grep -q "^XX" "$1" && { echo "-1- no such element"; exit 1; }
awk 'NR==2 {print " energy: -1.5 gnorm: 0.0"; next} {print}' "$1" > xtbopt.xyz
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "xtb"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def test_minimum_and_energy_are_read(stand_in: Path):
    pos = np.array([[0.0, 0.1, -0.2], [1.0, 2.0, 3.0]])
    result = xtb.optimize(["C", "O"], pos)
    assert_allclose(result.pos, pos, atol=1e-8)
    assert result.energy == pytest.approx(-1.5 * 627.5094740631)
    assert xtb.version() == "9.9.9"


def test_failures_say_why(stand_in: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="did not converge: -1- no such element"):
        xtb.optimize(["XX"], np.zeros((1, 3)))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="apt install xtb"):
        xtb.optimize(["H"], np.zeros((1, 3)))


@needs_xtb
def test_water_is_that_of_the_method():
    """GFN2-xTB water: O-H 0.959 A, H-O-H 107.2 degrees, total energy -5.0704 hartree (xtb 6.5.1)."""
    start = np.array([[0, 0, 0], [1.0, 0, 0], [-0.2, 1.0, 0]])
    pos, energy = xtb.optimize(["O", "H", "H"], start)
    one, other = pos[1] - pos[0], pos[2] - pos[0]
    lengths = np.linalg.norm(one), np.linalg.norm(other)
    assert_allclose(lengths, 0.959, atol=2e-3)
    assert np.degrees(np.arccos(one @ other / np.prod(lengths))) == pytest.approx(107.2, abs=0.5)
    assert energy / xtb.KCAL_PER_HARTREE == pytest.approx(-5.07054, abs=1e-4)


@needs_xtb
def test_butane_has_three_conformers_one_of_them_a_mirror_image():
    """Anti, and gauche twice, which is higher by a fraction of a kcal/mol."""
    result = search("CCCC")
    assert result.ensemble is not None
    assert result.ensemble.smiles == "CCCC"
    total = len(result.ensemble.energies) + int(result.ensemble.mirrors.sum())
    assert total == 3
    assert result.ensemble.energies[0] == 0
    assert 0.3 < result.ensemble.energies[1] < 1.0
    assert_allclose(result.ensemble.pos.mean(axis=1), 0, atol=1e-9)


def test_search_depends_on_its_molecule_and_seed_alone(stand_in: Path):
    one, other = search("CC(O)CN", FEW), search("CC(O)CN", FEW)
    assert one.ensemble is not None and other.ensemble is not None
    assert one.ensemble.pos.tolist() == other.ensemble.pos.tolist()
    assert one.ensemble.smiles in ("C[C@H](O)CN", "C[C@@H](O)CN")


def test_marked_centres_stay_and_open_ones_are_drawn():
    drawn = {draw_stereoisomer("C[C@H](F)C(Cl)Br", seed) for seed in range(12)}
    assert drawn == {"C[C@H](F)[C@H](Cl)Br", "C[C@H](F)[C@@H](Cl)Br"}
    with pytest.raises(ValueError, match="not a SMILES string"):
        draw_stereoisomer("C(", 0)


def test_conformers_of_another_molecule_are_reported(stand_in: Path):
    """The stand-in pulls the first atom away: its bond is broken."""
    stand_in.write_text(STAND_IN.replace("{print}'", "NR==3 {print $1, $2 + 5, $3, $4; next} {print}'"))
    result = search("CCO", FEW)
    assert result.ensemble is None
    reasons = [reject.reason for reject in result.rejects]
    assert any("the bond between C0 and C1 broke" in reason for reason in reasons)
    assert reasons[-1] == "no conformer was left"


def test_impossible_molecules_are_reported(stand_in: Path):
    result = search("C1CC", FEW)
    assert result.ensemble is None
    assert "not a SMILES string" in result.rejects[0].reason


def test_weights_are_boltzmanns_and_count_mirror_images():
    pos = np.zeros((2, 1, 3))
    ensemble = Ensemble("C", pos, np.array([0.0, 0.5924846]), np.array([False, True]))
    assert_allclose(ensemble.weights, np.array([1, 2 / np.e]) / (1 + 2 / np.e), rtol=1e-5)


def test_a_centre_with_all_neighbors_on_one_side_has_no_handedness():
    """In small propellanes the mark depends on the order of bonds: no coordinates count as the molecule's."""
    result = search("CC1C[C@@]23CC[C@@]2(C1)C3", Settings("mmff94", num_knowledge=4, num_plain=4))
    assert result.ensemble is None
    assert result.rejects
