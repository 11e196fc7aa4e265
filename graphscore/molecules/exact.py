"""Molecules of one to three atoms, whose geometry is known: from experiment, or from covalent radii and VSEPR.

References:
    K. P. Huber, G. Herzberg (1979), Molecular Spectra and Molecular Structure IV: Constants of Diatomic Molecules.
    G. Herzberg (1966), Molecular Spectra and Molecular Structure III, and the tables of the CRC Handbook of Chemistry
    and Physics, section 9, for three atoms. Ions beyond these: gas-phase spectroscopy, or in crystals (polyhalides).
    P. Pyykkö, M. Atsumi (2009), Molecular single-bond covalent radii for elements 1-118, and Molecular double-bond
    covalent radii for elements Li-E112; P. Pyykkö, S. Riedel, M. Patzschke (2005), Triple-bond covalent radii.
    R. J. Gillespie, R. S. Nyholm (1957), Inorganic stereochemistry. (VSEPR)
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from graphscore.linalg.kabsch import align
from graphscore.molecules.graph import Chem

MOST_ATOMS = 3

# Bond lengths in Å of two atoms, by their symbols and the total charge.
_DIATOMIC = {
    ("H", "H", 0): 0.741, ("H", "H", 1): 1.052, ("H", "He", 1): 0.774, ("B", "H", 0): 1.232, ("C", "H", 0): 1.120,
    ("H", "N", 0): 1.036, ("H", "N", -1): 1.039, ("H", "O", 0): 0.970, ("H", "O", -1): 0.964, ("F", "H", 0): 0.917,
    ("H", "Si", 0): 1.520, ("H", "P", 0): 1.422, ("H", "S", 0): 1.341, ("H", "S", -1): 1.343, ("Cl", "H", 0): 1.275,
    ("H", "Se", 0): 1.475, ("H", "Se", -1): 1.470, ("Br", "H", 0): 1.414, ("H", "I", 0): 1.609, ("C", "C", 0): 1.243,
    ("C", "C", -2): 1.20, ("C", "N", 0): 1.172, ("C", "N", -1): 1.177, ("C", "O", 0): 1.128, ("C", "F", 0): 1.272,
    ("C", "S", 0): 1.535, ("C", "P", 0): 1.562, ("N", "N", 0): 1.098, ("N", "O", 0): 1.151, ("N", "O", 1): 1.063,
    ("N", "O", -1): 1.262, ("N", "S", 0): 1.494, ("N", "P", 0): 1.491, ("O", "O", 0): 1.208, ("O", "O", -1): 1.347,
    ("O", "O", -2): 1.49, ("O", "O", 1): 1.116, ("O", "S", 0): 1.481, ("O", "P", 0): 1.476, ("O", "Si", 0): 1.510,
    ("F", "O", 0): 1.358, ("Cl", "O", 0): 1.570, ("Cl", "O", -1): 1.69, ("Br", "O", 0): 1.717, ("Br", "O", -1): 1.81,
    ("I", "O", -1): 1.93, ("F", "F", 0): 1.412, ("Cl", "F", 0): 1.628, ("Cl", "Cl", 0): 1.988, ("Br", "F", 0): 1.759,
    ("Br", "Cl", 0): 2.136, ("Br", "Br", 0): 2.281, ("F", "I", 0): 1.910, ("Cl", "I", 0): 2.321,
    ("Br", "I", 0): 2.469, ("I", "I", 0): 2.666, ("P", "P", 0): 1.893, ("S", "S", 0): 1.889, ("S", "S", -2): 2.10,
    ("B", "O", 0): 1.205, ("B", "F", 0): 1.263, ("B", "N", 0): 1.281, ("Se", "Se", 0): 2.166, ("C", "Se", 0): 1.676,
}  # fmt: skip
# Bond lengths in Å to the first and the last of three atoms in a chain, and the angle in degrees.
_TRIATOMIC = {
    ("H", "O", "H", 0): (0.958, 0.958, 104.5), ("H", "S", "H", 0): (1.336, 1.336, 92.1),
    ("H", "Se", "H", 0): (1.460, 1.460, 90.6), ("H", "N", "H", -1): (1.034, 1.034, 102.1),
    ("H", "N", "H", 0): (1.024, 1.024, 103.4), ("H", "P", "H", 0): (1.418, 1.418, 91.7),
    ("H", "P", "H", -1): (1.425, 1.425, 92.1), ("H", "C", "H", 0): (1.075, 1.075, 133.9),
    ("H", "F", "H", 1): (0.960, 0.960, 113.9), ("H", "Cl", "H", 1): (1.304, 1.304, 94.2),
    ("H", "B", "H", 0): (1.181, 1.181, 131.0), ("H", "Si", "H", 0): (1.514, 1.514, 92.1),
    ("O", "C", "O", 0): (1.160, 1.160, 180.0), ("O", "C", "S", 0): (1.156, 1.561, 180.0),
    ("S", "C", "S", 0): (1.553, 1.553, 180.0), ("Se", "C", "Se", 0): (1.692, 1.692, 180.0),
    ("H", "C", "N", 0): (1.066, 1.153, 180.0), ("C", "N", "H", 0): (1.169, 0.994, 180.0),
    ("H", "C", "O", 0): (1.125, 1.175, 124.9), ("H", "C", "O", 1): (1.097, 1.105, 180.0),
    ("F", "C", "N", 0): (1.262, 1.159, 180.0), ("Cl", "C", "N", 0): (1.631, 1.159, 180.0),
    ("Br", "C", "N", 0): (1.789, 1.160, 180.0), ("I", "C", "N", 0): (1.994, 1.159, 180.0),
    ("N", "C", "O", -1): (1.171, 1.226, 180.0), ("N", "C", "S", -1): (1.176, 1.656, 180.0),
    ("C", "N", "O", -1): (1.192, 1.254, 180.0), ("C", "C", "H", -1): (1.248, 1.066, 180.0),
    ("N", "N", "N", -1): (1.188, 1.188, 180.0), ("N", "N", "O", 0): (1.128, 1.184, 180.0),
    ("H", "N", "N", 1): (1.034, 1.093, 180.0), ("O", "N", "O", 0): (1.193, 1.193, 134.1),
    ("O", "N", "O", 1): (1.150, 1.150, 180.0), ("O", "N", "O", -1): (1.250, 1.250, 117.0),
    ("H", "N", "O", 0): (1.063, 1.212, 108.6), ("F", "N", "O", 0): (1.512, 1.136, 110.1),
    ("Cl", "N", "O", 0): (1.975, 1.139, 113.3), ("Br", "N", "O", 0): (2.140, 1.146, 114.5),
    ("O", "O", "O", 0): (1.272, 1.272, 116.8), ("O", "O", "O", -1): (1.340, 1.340, 113.0),
    ("H", "O", "O", 0): (0.971, 1.331, 104.3), ("H", "O", "O", -1): (0.960, 1.520, 98.0),
    ("F", "O", "F", 0): (1.405, 1.405, 103.1), ("Cl", "O", "Cl", 0): (1.696, 1.696, 110.9),
    ("F", "O", "H", 0): (1.442, 0.966, 96.8), ("Cl", "O", "H", 0): (1.690, 0.975, 102.5),
    ("Br", "O", "H", 0): (1.834, 0.961, 102.3), ("O", "S", "O", 0): (1.431, 1.431, 119.3),
    ("O", "Se", "O", 0): (1.608, 1.608, 113.8), ("Cl", "S", "Cl", 0): (2.014, 2.014, 102.7),
    ("F", "S", "F", 0): (1.589, 1.589, 98.2), ("O", "S", "S", 0): (1.465, 1.884, 118.0),
    ("O", "Cl", "O", 0): (1.470, 1.470, 117.4), ("O", "Cl", "O", -1): (1.570, 1.570, 110.5),
    ("F", "C", "F", 0): (1.300, 1.300, 104.9), ("Cl", "C", "Cl", 0): (1.716, 1.716, 109.2),
    ("O", "B", "O", -1): (1.265, 1.265, 180.0), ("F", "Xe", "F", 0): (1.977, 1.977, 180.0),
    ("F", "Kr", "F", 0): (1.889, 1.889, 180.0), ("I", "I", "I", -1): (2.920, 2.920, 180.0),
    ("Cl", "I", "Cl", -1): (2.550, 2.550, 180.0), ("Br", "I", "Br", -1): (2.710, 2.710, 180.0),
    ("Br", "Br", "Br", -1): (2.540, 2.540, 180.0), ("F", "H", "F", -1): (1.150, 1.150, 180.0),
}  # fmt: skip
# Covalent radii in Å of elements that are no metals, for single, double and triple bonds.
RADII = {
    1: (0.32, 0.32, 0.32), 2: (0.46, 0.46, 0.46), 5: (0.85, 0.78, 0.73), 6: (0.75, 0.67, 0.60), 7: (0.71, 0.60, 0.54),
    8: (0.63, 0.57, 0.53), 9: (0.64, 0.59, 0.53), 10: (0.67, 0.96, 0.96), 14: (1.16, 1.07, 1.02),
    15: (1.11, 1.02, 0.94), 16: (1.03, 0.94, 0.95), 17: (0.99, 0.95, 0.93), 18: (0.96, 1.07, 0.96),
    32: (1.21, 1.11, 1.14), 33: (1.21, 1.14, 1.06), 34: (1.16, 1.07, 1.07), 35: (1.14, 1.09, 1.10),
    36: (1.17, 1.21, 1.08), 51: (1.40, 1.33, 1.27), 52: (1.36, 1.28, 1.21), 53: (1.33, 1.29, 1.25),
    54: (1.31, 1.35, 1.22),
}  # fmt: skip
_BENT = {0: 180.0, 1: 134.0, 2: 119.0, 3: 118.0, 4: 104.5}  # degrees, by the electrons of the centre without a bond
_BENT_BELOW = {2: 102.0, 3: 97.0, 4: 98.0}  # centres below the second row


def exact_positions(mol: Chem.Mol) -> NDArray[np.float64] | None:
    """Coordinates of a molecule of one to three atoms in one component, without metals.

    Args:
        mol: Molecule with explicit hydrogens.

    Returns:
        Coordinates ``[N, 3]`` in Å around their centroid, or ``None`` for any other molecule.
    """
    size = mol.GetNumAtoms()
    if size > MOST_ATOMS or mol.GetNumBonds() < size - 1 or any(a.GetAtomicNum() not in RADII for a in mol.GetAtoms()):
        return None
    pos = np.zeros((size, 3))
    if size == 2:
        pos[1, 0] = _length(mol.GetBondWithIdx(0))
    elif size == 3 and mol.GetNumBonds() == 3:
        sides = [bond_length(mol.GetBondBetweenAtoms(i, j)) for i, j in ((0, 1), (0, 2), (1, 2))]
        pos = _triangle(sides[0], sides[1], (sides[0] ** 2 + sides[1] ** 2 - sides[2] ** 2) / (2 * sides[0] * sides[1]))
    elif size == 3:
        centre = next(atom for atom in mol.GetAtoms() if atom.GetDegree() == 2)
        ends = [other.GetIdx() for other in centre.GetNeighbors()]
        first, last, angle = _chain(mol, centre)
        pos[[centre.GetIdx(), *ends]] = _triangle(first, last, float(np.cos(np.radians(angle))))
    return pos - pos.mean(axis=0)


def exact_components(mol: Chem.Mol) -> list[tuple[list[int], NDArray[np.float64]]]:
    """Find the components of a molecule that :func:`exact_positions` knows: their atoms, and coordinates ``[n, 3]``."""
    members = [list(atoms) for atoms in Chem.GetMolFrags(mol)]
    if min(map(len, members)) > MOST_ATOMS:
        return []
    known = (exact_positions(part) for part in Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False))
    return [(atoms, pos) for atoms, pos in zip(members, known, strict=True) if pos is not None]


def superposed(pos: NDArray[np.float64], onto: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn and shift coordinates ``[n, 3]`` so that they are nearest to others."""
    x, y = (torch.from_numpy(np.ascontiguousarray(points)) for points in (pos, onto))
    return align(x, y, torch.zeros(len(x), dtype=torch.long), 1).numpy()


def bond_length(bond: Chem.Bond) -> float:
    """Sum of the covalent radii of two atoms that are no metals, for the order of their bond, in Å."""
    orders = {Chem.BondType.DOUBLE: (1,), Chem.BondType.TRIPLE: (2,), Chem.BondType.AROMATIC: (0, 1)}
    columns = orders.get(bond.GetBondType(), (0,))
    radii = [RADII[atom.GetAtomicNum()] for atom in (bond.GetBeginAtom(), bond.GetEndAtom())]
    return sum(radius[column] for radius in radii for column in columns) / len(columns)


def _length(bond: Chem.Bond) -> float:
    """Bond length of a molecule of two atoms."""
    atoms = (bond.GetBeginAtom(), bond.GetEndAtom())
    first, last = sorted(atom.GetSymbol() for atom in atoms)
    charge = sum(atom.GetFormalCharge() for atom in atoms)
    return _DIATOMIC.get((first, last, charge)) or bond_length(bond)


def _chain(mol: Chem.Mol, centre: Chem.Atom) -> tuple[float, float, float]:
    """Bond lengths of a centre to its two neighbors, and the angle between them in degrees."""
    first, last = centre.GetNeighbors()
    charge = Chem.GetFormalCharge(mol)
    key = first.GetSymbol(), centre.GetSymbol(), last.GetSymbol()
    if (known := _TRIATOMIC.get((*key, charge))) is not None:
        return known
    if (known := _TRIATOMIC.get((key[2], key[1], key[0], charge))) is not None:
        return known[1], known[0], known[2]
    lengths = [bond_length(bond) for bond in centre.GetBonds()]
    free = free_electrons(centre)
    below = _BENT_BELOW if centre.GetAtomicNum() > 10 else {}
    return lengths[0], lengths[1], below.get(free, _BENT.get(free, 180.0))


def free_electrons(atom: Chem.Atom) -> int:
    """Number of valence electrons of an atom of the main groups that are in no bond."""
    outer = Chem.GetPeriodicTable().GetNOuterElecs(atom.GetAtomicNum())
    return max(outer - atom.GetFormalCharge() - round(sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds())), 0)


def _triangle(first: float, last: float, cosine: float) -> NDArray[np.float64]:
    """A centre at the origin and two neighbors at given distances."""
    sine = float(np.sqrt(max(1.0 - cosine**2, 0.0)))
    return np.array([[0.0, 0.0, 0.0], [first, 0.0, 0.0], [last * cosine, last * sine, 0.0]])
