"""Narrow limits of bond lengths, around those at rest in MMFF94."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdForceFieldHelpers

from graphscore.molecules.exact import exact_components
from graphscore.molecules.graph import Chem, rdBase
from graphscore.molecules.polyhedra import polyhedral_centres

STRETCH, STRETCH_DOUBLE = 0.09, 0.08  # Å from the length at rest; by GFN2 and DFT, 0.2 % of bonds are beyond
STRETCH_CROWDED = 0.17  # upward, of two atoms with six heavy neighbors; MMFF94: tri-tert-butylmethanol 0.15
DISAGREEMENT = 0.15  # Å, of MMFF94 and RDKit's bounds; O-O: 0.13, S=O of sulphur trioxide: 0.24

_SP = Chem.HybridizationType.SP


class Lengths(NamedTuple):
    """Limits of bonds between heavy atoms.

    Attributes:
        atoms: The two atoms of B bonds, the smaller number first, ``[B, 2]``.
        lower: Smallest lengths in Å, ``[B]``.
        upper: Largest lengths in Å, ``[B]``.
    """

    atoms: NDArray[np.intp]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


def length_limits(mol: Chem.Mol, bounds: tuple[NDArray[np.float64], NDArray[np.float64]]) -> Lengths:
    """Find the limits of the bonds whose length MMFF94 knows: not in rings of three or four, nor of sp atoms.

    Args:
        mol: Sanitized molecule with explicit hydrogens.
        bounds: Result of :func:`~graphscore.molecules.check.limits.distance_bounds`; bonds for which MMFF94 does not
            agree with them have no limits here.
    """
    with rdBase.BlockLogs():
        field = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    other = {atom for atoms, _ in exact_components(mol) for atom in atoms} | set(polyhedral_centres(mol))
    other |= {atom.GetIdx() for atom in mol.GetAtoms() if atom.GetHybridization() == _SP or atom.GetDegree() > 4}
    other |= {atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 1}
    atoms, lower, upper = [], [], []
    for bond in mol.GetBonds():
        i, j = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        if field is None or i in other or j in other or bond.IsInRingSize(3) or bond.IsInRingSize(4):
            continue
        known = field.GetMMFFBondStretchParams(mol, i, j)
        if known is None or not bounds[0][i, j] - DISAGREEMENT < known[2] < bounds[1][i, j] + DISAGREEMENT:
            continue
        atoms.append((i, j))
        lower.append(known[2] - (STRETCH_DOUBLE if bond.GetBondType() == Chem.BondType.DOUBLE else STRETCH))
        upper.append(known[2] + _upward(bond))
    return Lengths(np.array(atoms, dtype=np.intp).reshape(-1, 2), np.array(lower), np.array(upper))


def _upward(bond: Chem.Bond) -> float:
    """How much longer a bond may be than at rest."""
    ends = bond.GetBeginAtom(), bond.GetEndAtom()
    if bond.GetIsAromatic() and all(end.GetAtomicNum() != 6 for end in ends):  # N-O to 1.56 Å
        return np.inf
    if sum(other.GetAtomicNum() > 1 for end in ends for other in end.GetNeighbors()) >= 6:
        return STRETCH_CROWDED
    return STRETCH_DOUBLE if bond.GetBondType() == Chem.BondType.DOUBLE else STRETCH
