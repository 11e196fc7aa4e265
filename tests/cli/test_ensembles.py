"""Ensembles by ``graphscore sample``: distinct conformers, energies and weights in the file, and presets."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolAlign

from graphscore.data import write
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.smiles import mol_from_smiles

RT = 8.31446261815324 / 4184 * 298.15  # kcal/mol


@pytest.fixture
def sample(run, conformer_checkpoint):
    """Run ``graphscore sample`` with the tiny model."""
    return lambda *arguments: run("sample", "--checkpoint", conformer_checkpoint, *arguments, "--out", "x.sdf")


def read() -> list[Chem.Mol]:
    return list(Chem.SDMolSupplier("x.sdf", removeHs=False))


def report() -> dict:
    return json.loads(Path("x.sdf.report.json").read_text())


def values(mols: list[Chem.Mol], name: str) -> list[float]:
    return [mol.GetDoubleProp(name) for mol in mols]


def check_distinct(mols: list[Chem.Mol], cutoff: float) -> None:
    heavy = [Chem.RemoveHs(mol) for mol in mols]
    for number, mol in enumerate(heavy):
        for other in heavy[:number]:
            assert rdMolAlign.GetBestRMS(Chem.Mol(mol), other) >= cutoff - 1e-3


def test_an_ensemble_has_distinct_conformers_in_a_window_with_weights(sample):
    result = sample("OCCCCF", "--for", "ensemble", "--num", 5, "--energy-window", 4)
    assert result.code == 0, result.err
    mols = read()
    assert 1 < len(mols) <= 5
    check_distinct(mols, 0.5)
    above = values(mols, "relative_energy")
    assert above == sorted(above) and above[0] == 0 and above[-1] <= 4
    factors = [math.exp(-energy / RT) for energy in above]
    np.testing.assert_allclose(values(mols, "weight"), np.array(factors) / sum(factors), rtol=1e-6)
    described = report()
    assert (described["preset"], described["oversample"], described["energy_window"]) == ("ensemble", 4, 4)
    assert described["inputs"][0]["notes"][-1].startswith("left out of 20 conformers: ")


def test_without_energies_conformers_can_be_distinct_too(sample):
    assert sample("OCCCCF", "--num", 3, "--oversample", 3, "--rmsd-cutoff", 0.4).code == 0
    mols = read()
    assert len(mols) <= 3 and not mols[0].HasProp("energy") and not mols[0].HasProp("weight")
    check_distinct(mols, 0.4)
    numbers = [mol.GetIntProp("sample") for mol in mols]
    assert numbers == sorted(numbers) and numbers[0] == 1 and numbers[-1] <= 9


def test_the_temperature_is_that_of_the_weights(sample):
    assert sample("OCCCF", "--num", 3, "--refine", "mmff", "--temperature", 600).code == 0
    above = np.array(values(mols := read(), "relative_energy"))
    factors = np.exp(-above / RT * 298.15 / 600)
    np.testing.assert_allclose(values(mols, "weight"), factors / factors.sum(), rtol=1e-6)
    assert "drawn twice" in report()["inputs"][0]["notes"][-1]


def test_charges_are_weaker_with_a_dielectric_constant(sample):
    energies = []
    for constant in (1, 10):
        assert sample("OCCO", "--refine", "mmff", "--dielectric", constant).code == 0
        energies.append(values(read(), "energy")[0])
    assert abs(energies[0] - energies[1]) > 1


def test_an_analogue_keeps_the_fragment_where_it_is(sample):
    write([data_from_mol(embed(mol_from_smiles("CC(=O)NC"), 1, 0))], "t.sdf")
    held = ("--fix", "CC(=O)NC", "--from", "t.sdf")
    assert sample("CCCNC(=O)CCO", "--preset", "analogue", "--num", 3, *held).code == 0
    template = Chem.MolFromMolFile("t.sdf")
    places = template.GetConformer().GetPositions()[list(template.GetSubstructMatch(Chem.MolFromSmarts("CC(=O)NC")))]
    mols = read()
    check_distinct(mols, 0.5)
    for mol in mols:
        atoms = mol.GetSubstructMatch(Chem.MolFromSmarts("CC(=O)NC"))
        off = mol.GetConformer().GetPositions()[list(atoms)] - places
        assert np.sqrt(np.square(off).sum(axis=1).mean()) < 1e-3 and mol.HasProp("energy")


def test_when_nothing_remains_it_is_a_failure_that_says_why(sample):
    result = sample("CCO", "--refine", "mmff", "--max-energy", -1000)
    assert result.code == 2 and "1 with more than -1000 kcal/mol; 0 remain of 1 asked for" in result.err


def test_a_missing_program_is_said_before_the_work(sample, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    result = sample("CCO", "--refine", "gfn2")
    assert (
        result.code == 2
        and "error: refine is gfn2. This needs the program xtb" in result.err
        and not list(Path().glob("x*"))
    )


WRONG = [
    (["--preset", "best"], "Unknown preset 'best'"),
    (["--preset", "analogue"], "--fix SMARTS --from FILE"),
    (["--energy-window", "5"], "energy_window needs energies"),
    (["--refine", "mmff", "--dielectric", "0"], "dielectric must lie between 1"),
    (["--rmsd-cutoff", "-1"], "rmsd_cutoff must be"),
    (["--oversample", "4"], "something to choose by"),
    (["--refine", "mmff", "--temperature", "-5"], "temperature must be positive"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_nonsense_is_refused(sample, options: list[str], words: str):
    result = sample("CCO", *options)
    assert result.code == 2 and words in result.err and not list(Path().glob("x*"))
