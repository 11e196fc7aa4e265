"""Atropisomers: both are made, and each as its mark says."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdDepictor

BINOL = "Oc1ccc2ccccc2c1-c1c(O)ccc2ccccc12"


def drawn(smiles: str, axis: tuple[int, int], wedge: int, title: str) -> str:
    """An SDF of a flat depiction with a wedge (1) or hash (6) on a single bond from an end of an axis into its ring."""
    mol = Chem.MolFromSmiles(smiles)
    rdDepictor.Compute2DCoords(mol)
    lines = [title, *Chem.MolToMolBlock(mol).splitlines()[1:]]
    first = axis[0] + 1
    row = next(
        row for row, line in enumerate(lines[4 + mol.GetNumAtoms() :], start=4 + mol.GetNumAtoms())
        if str(first) in line.split()[:2] and str(axis[1] + 1) not in line.split()[:2] and line.split()[2] == "1"
    )  # fmt: skip
    ends = [int(word) for word in lines[row].split()[:2]]
    other = ends[1] if ends[0] == first else ends[0]
    lines[row] = f"{first:3d}{other:3d}{lines[row].split()[2]:>3}{wedge:3d}"
    return "\n".join([*lines, "$$$$", ""])


@pytest.mark.parametrize("smiles", [BINOL, "Cc1cccc2cccc(c12)-c1c(C)ccc2ccccc12"], ids=["binol", "binaphthyl"])
def test_atropisomers_of_a_depiction_are_two(sample, judge, smiles: str):
    mol = Chem.MolFromSmiles(smiles)
    axis = next(
        (b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()
        if not b.IsInRing() and min(b.GetBeginAtom().GetDegree(), b.GetEndAtom().GetDegree()) == 3
    )  # fmt: skip
    blocks = [drawn(smiles, axis, wedge, title) for wedge, title in ((1, "one"), (6, "other"))]
    job = sample("in.sdf", "".join(blocks), num=2)
    asked = [Chem.AddHs(Chem.MolFromMolBlock(block, removeHs=False)) for block in blocks]
    signs = [[bond.GetStereo() for bond in mol.GetBonds() if bond.GetStereo() in judge.ATROPISOMERS] for mol in asked]
    assert len(signs[0]) == len(signs[1]) == 1 and signs[0] != signs[1]
    for mol, title in zip(asked, ("one", "other"), strict=True):
        assert len(job.of(title)) == 2
        assert not judge.unmarked(mol, job.of(title))
        assert any(not record.warning for record in job.of(title))


def test_binol_m_and_p_turn_as_their_names_say(sample):
    """M is a torsion below zero between the carbons that bear oxygen, of the highest priority on each side."""
    for wedge in (1, 6):
        block = drawn(BINOL, (10, 11), wedge, "")
        (stereo,) = {str(bond.GetStereo()) for bond in Chem.MolFromMolBlock(block).GetBonds()} - {"STEREONONE"}
        for record in sample("in.sdf", block, num=2).records:
            pos = record.mol.GetConformer().GetPositions()
            b1, b2, b3 = np.diff(pos[[1, 10, 11, 12]], axis=0)
            turn = float(b1 @ np.cross(b2, b3))
            assert record.warning or (turn < 0) == (stereo == "STEREOATROPCCW")
