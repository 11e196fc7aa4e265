"""Faults that a relaxation mends: repaired only if it did not mend them."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("rdkit")

from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.completion import complete, waiting
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem, data_from_mol
from graphscore.molecules.repair import faults_of, warning
from graphscore.molecules.request import ConformerRequest


def conformer(smiles: str):
    """A sound conformer, its check, and a copy with a bond to its first atom 0.25 Angstrom too long."""
    mol = embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), 1, 0, optimize=False)
    sound = data_from_mol(mol)
    check, stretched = GeometryCheck(sound), sound.clone()
    away = sound.pos[0] - sound.pos[1]
    moved = [0, *(atom.GetIdx() for atom in mol.GetAtomWithIdx(0).GetNeighbors() if atom.GetAtomicNum() == 1)]
    stretched.pos[moved] += 0.25 * away / away.norm()
    stretched.warning = warning(faults_of(stretched, check))
    for item in (sound, stretched):
        item.drift, item.sample, item.method = 0.0, 1, "sampled"
    return sound, stretched, check


def refused(samples):
    raise AssertionError("nothing is left to repair")


def test_the_repair_of_what_relaxing_mends_waits():
    sound, stretched, check = conformer("CCCO")
    faults = faults_of(stretched, check)
    assert faults and {fault.kind for fault in faults} <= {"bond", "angle", "stretch"}
    assert waiting([sound, stretched], check, "mmff") == [1]
    for other in ("none", "gfnff", "gfn2"):
        assert waiting([sound, stretched], check, other) == []
    assert waiting([sound], check, "mmff") == []


def test_other_isomers_do_not_wait():
    sound, _, check = conformer("C[C@H](O)CC")
    sound.pos = -sound.pos
    sound.warning = warning(faults_of(sound, check))
    assert "handedness" in sound.warning and waiting([sound], check, "mmff") == []


def test_relaxed_conformers_are_sound():
    _, stretched, check = conformer("CCCO")
    found, notes, failures = complete([stretched], ConformerRequest(refine="mmff"), 1, check, [], refused)
    assert [len(found), notes, failures] == [1, [], []] and "warning" not in found[0]
    assert not faults_of(found[0], check) and found[0].method == "sampled"


def test_what_is_not_mended_is_repaired_in_the_end():
    """MMFF94 has no parameters for boron."""
    sound, stretched, check = conformer("CCCB(C)C")
    given = []

    def mend(samples):
        given.extend(samples)
        return [sound]

    found, notes, _ = complete([stretched], ConformerRequest(refine="mmff"), 1, check, [], mend)
    assert given == [stretched] and torch.equal(found[0].pos, sound.pos) and "warning" not in found[0]
    assert len(notes) == 1 and "lacks parameters" in notes[0]
