"""Samples relaxed by MMFF94, GFN-FF and GFN2-xTB, and nothing but that; what fails stays and is counted."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers
from torch_geometric.data import Data

from graphscore.molecules import forcefield, xtb
from graphscore.molecules.embedding import embed
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import bare_mol, data_from_mol, data_from_smiles, set_positions
from graphscore.molecules.metrics.stereo import is_as_asked
from graphscore.molecules.relaxation import XTB, refine
from graphscore.molecules.smiles import mol_from_smiles

needs_xtb = pytest.mark.skipif(shutil.which("xtb") is None, reason="the program xtb is not installed")
SMILES = "C[C@H](O)CC(=O)N"
ZWITTERION = "[NH3+]CCCC(=O)[O-]"


def conformers(smiles: str = SMILES, num: int = 3, seed: int = 0) -> list[Data]:
    mol = embed(mol_from_smiles(smiles), num, seed, optimize=False)
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]


def rdkit_energy(item: Data) -> float:
    mol = bare_mol(item)
    set_positions(mol, item.pos.numpy())
    return rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=0, ignoreInterfragInteractions=False)[0][1]


def coulomb(item: Data) -> float:
    """The electrostatic energy of MMFF94 in vacuum, by RDKit with all other terms off."""
    mol = bare_mol(item)
    set_positions(mol, item.pos.numpy())
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    for term in ("Bond", "Angle", "StretchBend", "Oop", "Torsion", "VdW"):
        getattr(properties, f"SetMMFF{term}Term")(False)
    return rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties).CalcEnergy()


def wrong(item: Data) -> float:
    return float(not is_as_asked(item))


@pytest.mark.parametrize("smiles", [SMILES, "C[NH3+].[O-]C=O"])
def test_energies_are_those_of_rdkit(smiles: str):
    items = conformers(smiles)
    result = refine(items, "none")
    for item, given in zip(result.samples, items, strict=True):
        assert item.energy == pytest.approx(rdkit_energy(given), abs=1e-9)
        assert torch.equal(item.pos, given.pos) and "energy" not in given


@pytest.mark.parametrize("dielectric", [1.0, 4.0, 80.0])
def test_the_dielectric_constant_divides_the_coulomb_energy_alone(dielectric: float):
    (item,) = conformers(ZWITTERION, 1)
    energy = refine([item], "none", dielectric=dielectric).samples[0].energy
    expected = rdkit_energy(item) - coulomb(item) * (1 - 1 / dielectric)
    assert energy == pytest.approx(expected, abs=1e-8) and abs(coulomb(item)) > 10


def test_charges_hold_each_other_in_vacuum_and_less_in_a_protein():
    """4-aminobutanoate from a stretched chain: ammonium and carboxylate meet, or stay apart."""
    items = conformers(ZWITTERION, 12)

    def distances(dielectric: float) -> float:
        relaxed = refine(items, "mmff", dielectric=dielectric).samples
        return float(np.mean([(item.pos[0] - item.pos[6]).norm() for item in relaxed]))

    assert distances(1.0) < distances(10.0) - 0.3


def test_relaxing_ends_in_a_minimum_below():
    items = conformers()
    once = refine(items)
    assert once.notes == []
    for item, start in zip(once.samples, items, strict=True):
        assert item.energy < rdkit_energy(start) - 1
        assert item.energy == pytest.approx(rdkit_energy(item), abs=1e-3)  # coordinates are in float32
    for item, before in zip(refine(once.samples).samples, once.samples, strict=True):
        assert item.energy == pytest.approx(before.energy, abs=1e-4)


@pytest.mark.parametrize("method", ["mmff", pytest.param("gfnff", marks=needs_xtb)])
def test_held_atoms_do_not_move(method: str):
    items = conformers()
    held = [0, 1, 2, 3]
    for item, start in zip(refine(items, method, held).samples, items, strict=True):
        assert float((item.pos[held] - start.pos[held]).abs().max()) < 1e-7
        assert float((item.pos - start.pos).norm(dim=1).max()) > 0.05


@pytest.mark.parametrize("method", ["mmff", pytest.param("gfnff", marks=needs_xtb)])
def test_rounding_errors_of_the_start_make_no_difference(method: str):
    """Bit for bit; what is not on the edge of rounding cannot be told from its neighborhood."""
    (item,) = conformers("CC(C)Cc1ccc(cc1)C(C)C(=O)O", 1)
    centres = forcefield.START_GRID * torch.round(item.pos / forcefield.START_GRID)
    results = []
    for seed in range(3):
        item.pos = centres + 1e-3 * torch.rand(centres.shape, generator=torch.Generator().manual_seed(seed))
        results.append(refine([item], method).samples[0])
    assert torch.equal(results[0].pos, results[1].pos) and torch.equal(results[0].pos, results[2].pos)
    assert results[0].energy == results[1].energy == results[2].energy


def test_what_would_lose_its_stereochemistry_stays_as_it_is_and_is_counted(monkeypatch: pytest.MonkeyPatch):
    items = conformers()

    def relax(self: ForceField, pos: np.ndarray, held: object) -> tuple[np.ndarray, float, bool]:
        number = next(n for n, item in enumerate(items) if np.allclose(item.pos.numpy(), pos, atol=1e-6))
        return pos * [-1, 1, 1] if number == 1 else pos, 0.0, number != 2

    monkeypatch.setattr(ForceField, "relax", relax)
    result = refine(items, judge=wrong)
    assert torch.equal(result.samples[1].pos, items[1].pos)
    assert [item.energy for item in result.samples] == [0.0, pytest.approx(rdkit_energy(items[1])), 0.0]
    assert result.notes[0].startswith("1 conformers were not relaxed to the end")
    assert result.notes[1].startswith("1 conformers are not relaxed: MMFF94 breaks their geometry or stereochemistry")
    items[1].pos = items[1].pos * torch.tensor([-1.0, 1, 1])  # was wrong before: that is not for refinement to judge
    assert [item.energy for item in refine(items, judge=wrong).samples] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("method", ["none", "mmff"])
@pytest.mark.parametrize("broken", [lambda: Chem.Mol().GetAtomWithIdx(3), lambda: Chem.MolToSmiles(None)])
def test_what_rdkit_fails_at_stays_and_the_others_are_refined(monkeypatch: pytest.MonkeyPatch, method: str, broken):
    items, real = conformers(), ForceField._at

    def at(self: ForceField, pos: np.ndarray):
        if np.abs(pos - items[1].pos.numpy()).max() < forcefield.START_GRID:
            broken()
        return real(self, pos)

    monkeypatch.setattr(ForceField, "_at", at)
    result = refine(items, method)
    assert result.samples[1] is items[1] and ["energy" in item for item in result.samples] == [True, False, True]
    what = "could not be relaxed, and have no energy" if method == "mmff" else "have no energy"
    assert re.match(f"1 conformers {what}: RDKit fails: ", result.notes[-1])


@pytest.mark.parametrize("method", ["none", "mmff"])
def test_without_parameters_conformers_stay_and_it_is_said(method: str):
    item = data_from_smiles("CB(C)C")
    item.pos = torch.randn(item.num_nodes, 3)
    result = refine([item], method)
    assert result.samples == [item] and "MMFF94 lacks parameters" in result.notes[0]
    assert refine([], method) == ([], [])


@pytest.mark.parametrize("options", [{"method": "uff"}, {"dielectric": 0.0}, {"dielectric": 81.0}])
def test_nonsense_is_refused(options: dict):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        refine(conformers(num=1), **options)


@needs_xtb
@pytest.mark.parametrize("method", ["gfnff", "gfn2"])
@pytest.mark.parametrize("smiles", ["C[NH3+]", "[CH3]", "CB(C)C"])
def test_xtb_relaxes_ions_radicals_and_what_mmff_has_no_parameters_for(method: str, smiles: str):
    (item,) = conformers(smiles, 1)
    (relaxed,) = refine([item], method).samples
    start, (same,) = XTB(bare_mol(item), method), refine([item], method, range(len(item.z))).samples
    assert torch.equal(same.pos, item.pos) and same.energy == pytest.approx(start.energy(item.pos.double().numpy()))
    assert relaxed.energy < same.energy - 0.1
    assert relaxed.energy == pytest.approx(start.energy(relaxed.pos.double().numpy()), abs=0.05)


@needs_xtb
def test_salts_are_for_gfn2_and_not_for_gfnff():
    (item,) = conformers("C[NH3+].[O-]C=O", 1)
    start = XTB(bare_mol(item), "gfn2").energy(item.pos.double().numpy())
    assert refine([item], "gfn2").samples[0].energy < start - 1
    result = refine([item], "gfnff")
    assert result.samples == [item]
    assert result.notes == [
        "conformers are not relaxed, and have no energies: GFN-FF cannot tell the charges of its 2 components; gfn2 "
        "and mmff can"
    ]


# Fails for starts in which the first atom is to the left, and otherwise returns them as the minimum.
STAND_IN = """#!/bin/sh
if [ "$1" = "--version" ]; then echo " * xtb version 9.9.9 (stand-in)"; exit 0; fi
awk 'NR==3 && $2 < 0 {exit 1}' "$1" || { echo "-1- it fails"; exit 1; }
echo "$@" >> "$XTB_CALLS"
awk 'NR==2 {print " energy: -1.5 gnorm: 0.0"; next} {print}' "$1" > xtbopt.xyz
"""


def test_what_xtb_fails_at_stays_and_the_others_are_relaxed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "xtb"
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XTB_CALLS", str(tmp_path / "calls"))
    items = conformers("[O-]CC[N]", 3)
    for item, x in zip(items, [1.0, -1.0, 1.0], strict=True):
        item.pos = item.pos + (x - item.pos[0, 0]) * torch.tensor([1.0, 0, 0])
    result = refine(items, "gfn2")
    assert result.samples[1] is items[1] and "energy" not in items[1]
    assert [result.samples[k].energy for k in (0, 2)] == pytest.approx([-1.5 * xtb.KCAL_PER_HARTREE] * 2)
    assert result.notes == ["1 conformers could not be relaxed, and have no energy: xtb did not converge: -1- it fails"]
    assert (tmp_path / "calls").read_text().splitlines() == ["start.xyz --opt --gfn 2 --chrg -1 --uhf 2"] * 2
