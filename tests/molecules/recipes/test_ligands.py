"""Ligands as refined: what restrained relaxing changes, and what it leaves as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit.Chem import rdMolTransforms

from graphscore.molecules.datasets.ensembles import ConformerEnsembles
from graphscore.molecules.embedding import embed
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import Chem, set_positions
from graphscore.molecules.recipes import ligands
from graphscore.molecules.recipes.lists import flat_key, part_of_molecule
from graphscore.molecules.recipes.records import pack, packed
from graphscore.molecules.recipes.search import Ensemble
from graphscore.molecules.smiles import mol_from_smiles

ACID, ESTER = "O=C(O)CCc1ccccc1", "COC(=O)CCc1ccccc1"  # canonical


def refined(smiles: str) -> np.ndarray:
    """Coordinates with noisy bonds, whose chain is extended apart from 25 degrees."""
    mol = embed(mol_from_smiles(smiles), 1, 0)
    rdMolTransforms.SetDihedralDeg(mol.GetConformer(), *torsion(mol), 180 + 25)
    return positions(mol) + 0.03 * np.random.default_rng(0).normal(size=(mol.GetNumAtoms(), 3))


def positions(mol: Chem.Mol) -> np.ndarray:
    return mol.GetConformer().GetPositions()


def torsion(mol: Chem.Mol) -> tuple[int, ...]:
    carbon, _, *others = mol.GetSubstructMatch(Chem.MolFromSmarts("C(=O)CCc"))
    return carbon, *others


def torsion_angle(mol: Chem.Mol, pos: np.ndarray) -> float:
    mol = Chem.Mol(mol)
    set_positions(mol, pos)
    return rdMolTransforms.GetDihedralDeg(mol.GetConformer(), *torsion(mol))


def test_bonds_become_those_of_the_force_field_and_the_shape_stays():
    mol, start = mol_from_smiles(ACID), refined(ACID)
    relaxed = ligands.relax(ACID, start)
    field = ForceField(mol)
    free, lowest, _ = field.minimize(start)
    assert 0.02 < relaxed.moved < 0.15
    turned = [
        abs((torsion_angle(mol, pos) - torsion_angle(mol, start) + 180) % 360 - 180) for pos in (relaxed.pos, free)
    ]
    assert turned[0] < 10 < turned[1]
    bonds = np.array([[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in mol.GetBonds()]).T

    def lengths(pos: np.ndarray) -> np.ndarray:
        return np.linalg.norm(pos[bonds[0]] - pos[bonds[1]], axis=-1)

    assert abs(lengths(relaxed.pos) - lengths(free)).max() < 0.012 < abs(lengths(start) - lengths(free)).max()
    assert field.energy(relaxed.pos) - lowest < 5 < field.energy(start) - lowest


def test_ligands_that_move_far_or_become_others_are_refused(monkeypatch: pytest.MonkeyPatch):
    start = refined(ACID)
    with pytest.raises(ValueError, match="bond between O0 and C1 broke"):
        monkeypatch.setattr(ForceField, "minimize", lambda *_, **__: (start + 5 * np.eye(len(start), 3), 0.0, True))
        ligands.relax(ACID, start)
    with pytest.raises(ValueError, match=r"heavy atoms move by 0.\d\d A, more than 0.2"):
        monkeypatch.setattr(ForceField, "minimize", lambda *_, **__: (1.1 * start, 0.0, True))
        ligands.relax(ACID, start)


def test_ligands_are_packed_with_their_environment_and_a_second_run_adds_nothing(tmp_path: Path):
    stored = {smiles: refined(smiles) for smiles in (ACID, ESTER)}
    records = [
        {"source": "x", "part": "train", "flat": smiles, "rejects": []}
        | {"ensemble": packed(Ensemble(smiles, pos[None] - pos.mean(0), np.zeros(1), np.array([True])))}
        for smiles, pos in stored.items()
    ]
    given, _ = pack(records, tmp_path / "given.npz", ["rdkit 1"])
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        data, report = ligands.build(tmp_path / "out", 1, lambda *n: seen.append(n), data=given)
    assert seen == [(1, 2), (2, 2)]
    dataset = ConformerEnsembles(data)
    assert set(dataset.smiles) == set(stored) and dataset.sources == ["pdb"]
    assert set(dataset.environment) == {"crystal"} and dataset.level == ligands.LEVEL
    assert dataset.part == [part_of_molecule(flat_key(smiles)) for smiles in dataset.smiles]
    for number, smiles in enumerate(dataset.smiles):
        ensemble = dataset.ensemble(number)
        assert ensemble.mirrors.tolist() == [True] and ensemble.energies.tolist() == [0]
        assert (
            np.abs(ensemble.pos[0] - ligands.relax(smiles, ConformerEnsembles(given).ensemble(number).pos[0]).pos).max()
            < 0.1
        )
    assert report.read_text().splitlines() == ["source,smiles,stage,reason"]


def test_ligands_that_cannot_be_relaxed_are_reported():
    """Of an arsenic compound, which MMFF94 does not know."""
    record = ligands.compute(
        Ensemble("C[AsH2]", np.random.default_rng(0).normal(size=(1, 7, 3)), np.zeros(1), np.array([False]))
    )
    assert record["ensemble"] is None
    assert [reject["reason"] for reject in record["rejects"]] == ["conformer 0: MMFF94 lacks parameters for it"]


def test_a_file_of_ligands_is_needed(tmp_path: Path):
    with pytest.raises(ValueError, match="needs a file of ligands: --data"):
        ligands.build(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none.npz"):
        ligands.build(tmp_path, data=tmp_path / "none.npz")
