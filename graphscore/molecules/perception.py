"""Stereo marks perceived from coordinates."""

from __future__ import annotations

import numpy as np

from graphscore.molecules.smiles import Chem

_PYRAMIDS = (15, 33)  # P and As: with three neighbors they hold their handedness, but RDKit reads it from SMILES alone
_FLAT = 0.1  # determinant of three unit vectors; 0.95 in PH3, and 0 in a plane


def perceive_stereo(mol: Chem.Mol, conformer: int = -1) -> None:
    """Replace the stereo marks of a molecule by those of a conformer.

    As RDKit's ``AssignStereochemistryFrom3D``, and with the marks of phosphines and arsines.

    Args:
        mol: Molecule with explicit hydrogens; it is changed.
        conformer: Id of the conformer.
    """
    pyramids = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() in _PYRAMIDS and atom.GetTotalDegree() == 3]
    if not pyramids:
        Chem.AssignStereochemistryFrom3D(mol, conformer)
        return
    Chem.DetectBondStereochemistry(mol, conformer)
    Chem.AssignAtomChiralTagsFromStructure(mol, conformer, True)
    pos = mol.GetConformer(conformer).GetPositions()
    for atom in pyramids:
        around = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
        if len(around) == 3:
            arms = pos[around] - pos[atom.GetIdx()]
            volume = np.linalg.det(arms / np.maximum(np.linalg.norm(arms, axis=1, keepdims=True), 1e-6))
            tags = Chem.ChiralType.CHI_TETRAHEDRAL_CCW, Chem.ChiralType.CHI_TETRAHEDRAL_CW
            if abs(volume) > _FLAT:
                atom.SetChiralTag(tags[int(volume < 0)])
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)  # removes those of atoms that are no centres
