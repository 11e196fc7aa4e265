"""Stereochemistry of conformers compared with their SMILES: R/S of tetrahedral centres, E/Z of double bonds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.molecules.graph import Chem, mol_from_data, remove_hydrogens
from graphscore.molecules.labels import without_isotopes
from graphscore.molecules.metrics.comparison import Comparison
from graphscore.molecules.smiles import rdkit_errors

RIGHT, MIRRORED, WRONG = "right", "mirrored", "wrong"


@rdkit_errors()
def keeps_stereo(conformer: Data) -> bool:
    """Tell whether coordinates have all stereo marks (R/S, E/Z) of the ``smiles``; unmarked centres may have either."""
    return _has_stereo(mol_from_data(conformer), [Chem.MolFromSmiles(conformer.smiles)])


def is_as_asked(conformer: Data) -> bool:
    """Tell whether a sampled conformer has the stereo marks of its ``smiles``; true if there are no marks."""
    if not set(conformer.get("smiles") or "") & set("@/\\"):
        return True
    return bool(conformer["pos"].isfinite().all()) and keeps_stereo(conformer)


def stereo_of(comparison: Comparison) -> list[str] | None:
    """Compare generated conformers with the stereo marks of the references' SMILES.

    Args:
        comparison: References with one or more SMILES; a conformer must fit one of them. Unmarked centres and double
            bonds may have either configuration. Isotopes do not count.

    Returns:
        For each of the G generated conformers ``"right"``, ``"mirrored"`` (it is the enantiomer: every R is an S and
        every S an R, while E and Z are right) or ``"wrong"``; None if the SMILES have no stereo marks.
    """
    if not any(set(smiles) & set("@/\\") for smiles in comparison.smiles):
        return None
    wanted = [_light(Chem.MolFromSmiles(smiles)) for smiles in comparison.smiles]
    return [_verdict(comparison, pos, wanted) for pos in comparison.generated]


def _light(mol: Chem.Mol) -> Chem.Mol:
    """Return a molecule without isotopes, and without the hydrogens that were atoms for their sake."""
    light = without_isotopes(mol)
    return mol if light is mol else remove_hydrogens(light)


def _verdict(comparison: Comparison, pos: NDArray[np.float64], wanted: Sequence[Chem.Mol]) -> str:
    if _has_stereo(comparison.with_conformer(pos), wanted):
        return RIGHT
    return MIRRORED if _has_stereo(comparison.with_conformer(-pos), wanted) else WRONG


def _has_stereo(mol: Chem.Mol, wanted: Sequence[Chem.Mol]) -> bool:
    heavy = remove_hydrogens(mol)
    return any(heavy.HasSubstructMatch(one, useChirality=True) for one in wanted)
