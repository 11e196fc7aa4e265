"""Narrow limits of bond lengths, around those at rest in MMFF94."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdForceFieldHelpers

from graphscore.molecules.exact import exact_components
from graphscore.molecules.graph import Chem, rdBase
from graphscore.molecules.polyhedra import polyhedral_centres

# Å below and above the length at rest, by order and elements. At most 0.1 % of the bonds of the data set
# gfn2-ensembles are beyond, and of 7,406 molecules by DFT (the 8k set of CASCADE, Guan et al. 2021); some are longer:
# push-pull double bonds to 0.12, aromatic N-O to 1.56 Å.
STRETCHES = {
    "aromatic": {"C-C": (0.05, 0.09), "C-N": (0.08, 0.075), "N-N": (0.095, np.inf), "other": (0.135, 0.09)},
    "double": {"C-C": (0.05, 0.12), "C-N": (0.06, 0.06), "N-N": (0.09, 0.06), "other": (0.075, 0.06)},
    "single": {"C-C": (0.08, 0.09), "C-N": (0.09, 0.08), "N-N": (0.135, 0.095), "other": (0.1, 0.105)},
}
STRETCH_EQUAL = 0.05  # of the two bonds of a carboxylate, which are equally long
STRETCH_CROWDED = 0.17  # upward, of two atoms with six heavy neighbors; MMFF94: tri-tert-butylmethanol 0.15
DISAGREEMENT = 0.15  # Å, of MMFF94 and RDKit's bounds; O-O: 0.13, S=O of sulphur trioxide: 0.24

_CARBOXYLATE = Chem.MolFromSmarts("[OX1-]-[#6]=[OX1]")
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
    """Find the limits of the bonds whose length MMFF94 knows: not in rings of three or four, nor between sp atoms.

    Args:
        mol: Sanitized molecule with explicit hydrogens.
        bounds: Result of :func:`~graphscore.molecules.check.limits.distance_bounds`; bonds for which MMFF94 does not
            agree with them have no limits here.
    """
    with rdBase.BlockLogs():
        field = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    other = {atom for atoms, _ in exact_components(mol) for atom in atoms} | set(polyhedral_centres(mol))
    other |= {atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 1 or atom.GetDegree() > 4}
    linear = {atom.GetIdx() for atom in mol.GetAtoms() if atom.GetHybridization() == _SP}
    equal = {frozenset(match[k : k + 2]) for match in mol.GetSubstructMatches(_CARBOXYLATE) for k in (0, 1)}
    atoms, lower, upper = [], [], []
    for bond in mol.GetBonds():
        i, j = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        if field is None or i in other or j in other or bond.IsInRingSize(3) or bond.IsInRingSize(4):
            continue
        if linear & {i, j} and (linear >= {i, j} or bond.GetBondType() != Chem.BondType.SINGLE):
            continue
        known = field.GetMMFFBondStretchParams(mol, i, j)
        if known is None or not bounds[0][i, j] - DISAGREEMENT < known[2] < bounds[1][i, j] + DISAGREEMENT:
            continue
        below, above = (STRETCH_EQUAL, STRETCH_EQUAL) if {i, j} in equal else _stretches(bond)
        atoms.append((i, j))
        lower.append(known[2] - below)
        upper.append(known[2] + above)
    return Lengths(np.array(atoms, dtype=np.intp).reshape(-1, 2), np.array(lower), np.array(upper))


def _stretches(bond: Chem.Bond) -> tuple[float, float]:
    """Return by how much a bond may be shorter and longer than at rest, in Å."""
    ends = bond.GetBeginAtom(), bond.GetEndAtom()
    carbons = sum(end.GetAtomicNum() == 6 for end in ends)
    light = all(end.GetAtomicNum() in (6, 7, 8) for end in ends)
    elements = ("N-N", "C-N", "C-C")[carbons] if light else "other"
    double = bond.GetBondType() == Chem.BondType.DOUBLE
    below, above = STRETCHES["aromatic" if bond.GetIsAromatic() else "double" if double else "single"][elements]
    crowded = sum(other.GetAtomicNum() > 1 for end in ends for other in end.GetNeighbors()) >= 6
    return below, max(above, STRETCH_CROWDED if crowded else 0.0)
