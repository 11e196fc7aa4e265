"""The wide search: its moves, its choice of conformers, and the program xtb where that is."""

from __future__ import annotations

import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("rdkit")

from graphscore.molecules import xtb
from graphscore.molecules.bonding import distances
from graphscore.molecules.embedding import embed
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import Chem
from graphscore.molecules.recipes import ensembles as recipe
from graphscore.molecules.recipes import wide
from graphscore.molecules.recipes.comparison import Comparison, Conformer, distinct
from graphscore.molecules.recipes.search import search
from graphscore.molecules.recipes.settings import (
    SAMPLED,
    SAMPLED_THOROUGH,
    WIDE,
    WIDE_THOROUGH,
    Settings,
    choose_settings,
)
from graphscore.molecules.smiles import mol_from_smiles

needs_xtb = pytest.mark.skipif(shutil.which("xtb") is None, reason="the program xtb is not installed")
FEW = replace(WIDE, num_knowledge=2, num_plain=2, num_torsions=2, num_rounds=1, num_moves=3, num_frames=2)
BUTANE = mol_from_smiles("CCCC")


@pytest.fixture(scope="module")
def butane() -> list[Conformer]:
    """Anti, gauche and its mirror image."""
    found = search("CCCC", Settings("mmff94")).ensemble
    assert found is not None and len(found.pos) == 3
    return [Conformer(*pair) for pair in zip(found.pos, found.energies.tolist(), strict=True)]


def test_mirror_images_count_as_equal_where_wanted(butane: list[Conformer]):
    assert len(distinct(BUTANE, butane, 6.0, WIDE)) == 3
    assert len(distinct(BUTANE, butane, 6.0, WIDE, mirrors=True)) == 2
    anti, gauche, image = (c.pos for c in butane)
    assert Comparison(BUTANE, mirrors=True).rmsd(gauche, image) < 0.02 < Comparison(BUTANE).rmsd(gauche, image)
    assert Comparison(BUTANE, mirrors=True).rmsd(anti, gauche) > 0.2


def test_the_lowest_conformer_and_then_the_farthest_are_chosen(butane: list[Conformer]):
    anti, gauche, image = butane
    nearby = Conformer(anti.pos + 0.01 * np.random.default_rng(0).normal(size=anti.pos.shape), 0.1)
    chosen = wide.diverse(BUTANE, [anti, nearby, gauche, image], 3)
    assert [c.energy for c in chosen] == [anti.energy, gauche.energy, image.energy]
    assert wide.diverse(BUTANE, butane, 3) == butane == wide.diverse(BUTANE, butane, None)
    assert wide.diverse(BUTANE, butane, 1) == [anti]


def test_samples_are_thinned_evenly(butane: list[Conformer]):
    five = [Conformer(butane[0].pos, float(energy)) for energy in range(5)]
    assert [c.energy for c in wide.evenly(five, 3)] == [0, 2, 4]
    assert wide.evenly(five, 5) == five == wide.evenly(five, None)


def test_training_molecules_cost_less():
    assert choose_settings("gfn2//gfnff", 25, training=True) == WIDE
    assert choose_settings("gfn2//gfnff", 25, training=False) == WIDE_THOROUGH
    assert WIDE_THOROUGH.num_rounds > WIDE.num_rounds
    assert choose_settings("gfn2//mmff94", 25, training=True) == SAMPLED
    assert choose_settings("gfn2//mmff94", 25, training=False) == SAMPLED_THOROUGH


def test_optimizations_that_fail_are_reported(monkeypatch: pytest.MonkeyPatch):
    """One that does not converge, one that ends in other bonds, and one that GFN-FF sees with other bonds."""
    start = embed(mol_from_smiles("CCO"), 1, 0).GetConformer().GetPositions()
    results = iter([None, start + np.eye(9, 3) * 5, start])

    def optimize(*_):
        if (pos := next(results)) is None:
            raise ValueError("xtb did not converge: no reason given")
        return xtb.Optimized(pos, -100.0)

    monkeypatch.setattr(xtb, "optimize", optimize)
    monkeypatch.setattr(xtb, "energy", lambda *_: -50.0)
    rejects = []
    starts = [Conformer(start, 0.0)] * 3
    settings = replace(FEW, num_torsions=0)
    found = wide.explore(mol_from_smiles("CCO"), "CCO", starts, settings, random.Random(0), rejects)
    assert found == ([], 3)
    reasons = [reject.reason for reject in rejects]
    assert "did not converge" in reasons[0] and "broke" in reasons[1] and "sees other bonds" in reasons[2]


@needs_xtb
def test_metadynamics_moves_a_molecule_and_keeps_its_bonds():
    """Of a hydroxy acid, whose frames differ from the start by far more than by vibration."""
    mol = mol_from_smiles("OCCCC(=O)O")
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    start = xtb.optimize(symbols, embed(mol, 1, 0).GetConformer().GetPositions(), method="gfnff").pos
    one, same = (xtb.metadynamics(symbols, start, num_frames=4, picoseconds=1.0) for _ in range(2))
    assert len(one) == 4 and np.array_equal(one, same)
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    for frame in one:
        assert abs(distances(frame) - distances(start))[bonded].max() < 0.2
    assert max(Comparison(mol).rmsd(start, frame) for frame in one) > 0.5
    with pytest.raises(ValueError, match="xtb"):
        xtb.metadynamics(["H", "H"], np.zeros((2, 3)), num_frames=1)


@needs_xtb
def test_conformers_are_minima_of_gfnff_with_energies_of_gfn2():
    result = search("OCCCO", FEW)
    ensemble = result.ensemble
    assert ensemble is not None and len(ensemble.pos) > 1
    assert result.counts["optimized"] <= 2 + 2 + 2 + 3 + 2
    symbols = [atom.GetSymbol() for atom in mol_from_smiles("OCCCO").GetAtoms()]
    energies = np.array([xtb.energy(symbols, pos) for pos in ensemble.pos[:2]])
    assert_allclose(energies[1] - energies[0], ensemble.energies[1], atol=1e-3)
    again = xtb.optimize(symbols, ensemble.pos[1], method="gfnff").pos
    assert_allclose(again - again.mean(0), ensemble.pos[1], atol=0.02)
    same = search("OCCCO", FEW).ensemble
    assert same is not None and np.array_equal(same.pos, ensemble.pos)


@needs_xtb
def test_searches_from_samples_end_at_minima_of_mmff94_with_energies_of_gfn2():
    few = replace(SAMPLED, num_samples=4, num_rounds=1, num_moves=2)
    smiles = "C[C@H](O)C(=O)OCCO"
    result = search(smiles, few)
    ensemble = result.ensemble
    assert ensemble is not None and ensemble.smiles == smiles and 1 < len(ensemble.pos) <= 6
    mol = mol_from_smiles(smiles)
    force_field, symbols = ForceField(mol), [atom.GetSymbol() for atom in mol.GetAtoms()]
    energies = np.array([xtb.energy(symbols, pos) for pos in ensemble.pos])
    assert_allclose(energies - energies[0], ensemble.energies, atol=1e-6)
    for pos in ensemble.pos:
        assert np.abs(force_field.minimize(pos)[0] - pos).max() < 0.02
    same = search(smiles, few).ensemble
    assert same is not None and np.array_equal(same.pos, ensemble.pos)


@needs_xtb
def test_neutral_molecules_of_drug_like_size_are_taken(tmp_path: Path):
    smiles = tmp_path / "list.smi"
    smiles.write_text("CCO\nC[N+](C)(C)CCCCCCCC\nCC(C)C\n" + f"{'C' * 36}\n")
    data, report = recipe.build_wide(tmp_path / "out", 1, smiles=[smiles])
    assert data.name == "wide_ensembles.npz"
    text = report.read_text()
    assert "3 heavy atoms, not 10 to 35" in text and "36 heavy atoms" in text and "charge +1" in text
    with np.load(data, allow_pickle=False) as arrays:
        assert arrays["level"].item() == b"gfn2//gfnff" and len(arrays["smiles"]) == 0
        assert [version.split()[0] for version in arrays["versions"].tolist()] == [b"rdkit", b"xtb"]
    with pytest.raises(ValueError, match="those of level gfn2//mmff94 a folder of their own"):
        recipe.build_wide(tmp_path / "out", 1, smiles=[smiles], level="gfn2//mmff94")
    data, _ = recipe.build_wide(tmp_path / "sampled", 1, smiles=[smiles], level="gfn2//mmff94")
    assert data.name == "sampled_ensembles.npz"
    with np.load(data, allow_pickle=False) as arrays:
        names = [version.split()[0] for version in arrays["versions"].tolist()]
    assert names == [b"rdkit", b"xtb", b"conformers", b"drug-like"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "needs lists of molecules: --smiles FILE"),
        ({"part": "all"}, "no part 'all'; expected one of ['train'"),
        ({"level": "gfn2"}, "no level 'gfn2'; expected one of ['gfn2//gfnff', 'gfn2//mmff94']"),
    ],
)
def test_a_build_without_molecules_or_of_an_unknown_part_is_refused(tmp_path: Path, wrong: dict, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        recipe.build_wide(tmp_path, 1, **wrong)
