"""Stereochemistry of conformers compared with what was asked for: R/S of tetrahedral centres, E/Z of double bonds.

Marks are judged by :class:`~graphscore.molecules.check.stereo.StereoMarks`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.molecules.check.stereo import StereoMarks
from graphscore.molecules.graph import bare_mol, data_from_mol
from graphscore.molecules.labels import without_isotopes
from graphscore.molecules.marks import MARKS
from graphscore.molecules.metrics.comparison import Comparison
from graphscore.molecules.smiles import Chem, mol_from_smiles, rdkit_errors

RIGHT, MIRRORED, WRONG = "right", "mirrored", "wrong"


@rdkit_errors()
def is_as_asked(conformer: Data) -> bool:
    """Tell whether a sampled conformer has the stereo marks asked for; unmarked centres may have either handedness.

    Args:
        conformer: Graph whose marks are what was asked for, or without them, one whose ``smiles`` is.

    Returns:
        True also if there are no marks; False if coordinates are not finite.
    """
    pos = conformer["pos"].detach().cpu().double().numpy()[None]
    if any(conformer.get(name) is None for name in MARKS):
        smiles = conformer.get("smiles") or ""
        return not _has_marks(smiles) or _Asked(smiles, bare_mol(conformer)).keeps(pos)[0]
    asked = (conformer.get(name) for name in ("chirality", "cis_trans", "axis_index"))
    if not any(marks is not None and bool(marks.any()) for marks in asked):
        return True
    return bool(StereoMarks(conformer).keeps(pos)[0])


def stereo_of(comparison: Comparison) -> list[str] | None:
    """Compare generated conformers with the stereo marks of the references' SMILES.

    Args:
        comparison: References with one or more SMILES; a conformer must fit one of them. Unmarked centres and double
            bonds may have either configuration. Isotopes do not count.

    Returns:
        For each of the G generated conformers ``"right"``, ``"mirrored"`` (it is the enantiomer: every R is an S and
        every S an R, while E and Z are right) or ``"wrong"``; None if the SMILES have no stereo marks.
    """
    if not any(_has_marks(smiles) for smiles in comparison.smiles):
        return None
    wanted = [_Asked(smiles, comparison.mol) for smiles in comparison.smiles]
    pos = comparison.generated
    right, mirrored = (np.any([one.keeps(way) for one in wanted], axis=0) for way in (pos, -pos))
    return [RIGHT if a else MIRRORED if b else WRONG for a, b in zip(right, mirrored, strict=True)]


class _Asked:
    """The marks of a SMILES, for coordinates in a molecule's own order of atoms."""

    def __init__(self, smiles: str, mol: Chem.Mol) -> None:
        asked = data_from_mol(without_isotopes(mol_from_smiles(smiles)))
        self.marks = StereoMarks(asked)
        self.order = np.array(mol.GetSubstructMatch(bare_mol(asked)), dtype=np.intp)

    def keeps(self, pos: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which conformers ``[K, N, 3]`` have them; none if the SMILES is of another molecule."""
        if len(self.order) != pos.shape[1]:
            return np.zeros(len(pos), dtype=bool)
        return self.marks.keeps(pos[:, self.order])


def _has_marks(smiles: str) -> bool:
    return bool(set(smiles) & set("@/\\"))
