"""Options for conformers: presets, which given options win over, and what is refused before any work."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

pytest.importorskip("rdkit")

from graphscore.molecules.embedding import embed
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.request import PRESETS, ConformerRequest
from graphscore.molecules.smiles import mol_from_smiles


def fragment() -> Fragment:
    return Fragment("OC=O", data_from_mol(embed(mol_from_smiles("CC(=O)O"), 1, 0)))


def test_without_options_conformers_come_as_they_are_drawn():
    request = ConformerRequest()
    assert request == ConformerRequest(preset="fast") and not request.has_energies and not request.needs_molecules
    assert (request.num, request.oversample, request.refine, request.rmsd_cutoff) == (1, 1, "none", 0)
    assert request.weight_temperature is None


@pytest.mark.parametrize("name", PRESETS)
def test_options_that_are_given_win_over_those_of_the_preset(name: str):
    held = {"fragment": fragment()} if name == "analogue" else {}
    request = ConformerRequest(preset=name, **held)
    for option, value in PRESETS[name].items():
        assert getattr(request, option) == value
    own = {"num": 3, "refine": "mmff", "rmsd_cutoff": 0.0, "energy_window": math.inf, "oversample": 1}
    request = ConformerRequest(preset=name, **own, **held)
    assert {option: getattr(request, option) for option in own} == own
    assert dataclasses.replace(request, seed=1) == ConformerRequest(preset=name, seed=1, **own, **held)


def test_the_presets_differ_as_they_say():
    ensemble, docking = ConformerRequest(preset="ensemble"), ConformerRequest(preset="docking")
    drawn = ConformerRequest(preset="representative")
    assert drawn.select == "representative" and drawn.oversample > 1 and not drawn.has_energies
    assert ensemble.select == "representative" and docking.select == "lowest"
    assert ensemble.dielectric == 1 and math.isfinite(ensemble.energy_window) and ensemble.oversample == 4
    assert docking.dielectric == 4 and docking.energy_window == math.inf and docking.num > ensemble.num
    assert ConformerRequest(preset="docking", refine="gfnff").dielectric == 1  # which is for MMFF94 alone
    with pytest.raises(ValueError, match="analogue needs the fragment to hold"):
        ConformerRequest(preset="analogue")


def test_the_environment_is_that_of_the_preset_or_the_one_asked_for():
    assert ConformerRequest().environment is None and not ConformerRequest().needs_environment
    docking = ConformerRequest(preset="docking")
    assert docking.environment == "crystal" and not docking.needs_environment
    for preset in ("docking", "fast"):
        asked = ConformerRequest(preset=preset, environment="solvent")
        assert asked.environment == "solvent" and asked.needs_environment


def test_weights_are_for_distinct_minima_or_on_request():
    assert ConformerRequest(refine="mmff", rmsd_cutoff=0.5).weight_temperature == 298.15
    assert ConformerRequest(refine="mmff", energy_rank=True).weight_temperature is None
    assert ConformerRequest(energy_rank=True, rmsd_cutoff=0.5).weight_temperature is None
    assert ConformerRequest(refine="mmff", temperature=500).weight_temperature == 500


WRONG = [
    ({"preset": "best"}, "Unknown preset 'best'"),
    ({"environment": "sea"}, "Unknown environment 'sea'"),
    ({"refine": "uff"}, "Unknown refinement 'uff'.*gfn2"),
    ({"oversample": 0}, "oversample must be at least 1, but is 0"),
    ({"rmsd_cutoff": -0.1}, "rmsd_cutoff .* -0.1"),
    ({"rmsd_cutoff": math.inf}, "rmsd_cutoff .* inf"),
    ({"rmsd_cutoff": math.nan}, "rmsd_cutoff .* nan"),
    ({"refine": "mmff", "energy_window": -1.0}, "energy_window must be .* -1"),
    ({"refine": "mmff", "energy_window": math.nan}, "energy_window must be .* nan"),
    ({"refine": "mmff", "max_energy": math.nan}, "max_energy must be .* nan"),
    ({"refine": "mmff", "temperature": 0.0}, "temperature must be .* 0"),
    ({"refine": "mmff", "temperature": math.inf}, "temperature must be .* inf"),
    ({"refine": "mmff", "dielectric": 0.5}, "dielectric must lie between 1 .* 80 .* 0.5"),
    ({"refine": "mmff", "dielectric": math.nan}, "dielectric must lie .* nan"),
    ({"energy_window": 5.0}, "energy_window needs energies: give refine"),
    ({"max_energy": 5.0}, "max_energy needs energies"),
    ({"temperature": 300.0}, "temperature needs refine"),
    ({"energy_rank": True, "temperature": 300.0}, "temperature needs refine"),
    ({"oversample": 2}, "oversample needs something to choose by"),
    ({"select": "best"}, "Unknown choice 'best'.*representative"),
    ({"select": "representative"}, "select chooses among more .* give oversample too"),
    ({"dielectric": 4.0}, "dielectric is for energies of MMFF94"),
    ({"refine": "gfn2", "dielectric": 4.0}, "dielectric is for energies of MMFF94, but refine is gfn2"),
    ({"refine": "gfnff", "max_energy": 5.0}, "total energies of gfnff are all below 0.*energy_window"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_nonsense_is_refused(wrong: dict, words: str):
    with pytest.raises(ValueError, match=words):
        ConformerRequest(**wrong)


def test_the_description_has_every_option_in_plain_values():
    described = ConformerRequest(preset="docking", num=7).describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    own = {field.name for field in dataclasses.fields(ConformerRequest)}
    common = {field.name for field in dataclasses.fields(ConformerRequest.__mro__[1])}
    assert set(described) == own - common - {"fragment"} | {"fix"}
    assert described["energy_window"] is None and described["dielectric"] == 4
