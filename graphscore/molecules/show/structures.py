"""Ball-and-stick models of molecules: shapes, colors and sizes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphscore.molecules.graph import BONDS, Chem

# The usual colors (Corey, Pauling, Koltun), changed where they are too pale or too bright on white.
_COLORS = {
    "H": "#f2f2f2",
    "B": "#ffb5a3",
    "C": "#50555c",
    "N": "#2f5fe3",
    "O": "#e02b20",
    "F": "#7ecb3c",
    "Si": "#d8b48c",
    "P": "#f58a1f",
    "S": "#f2c31b",
    "Cl": "#1fa34a",
    "Br": "#9c3428",
    "I": "#7a35a0",
}
_OTHER_COLOR = "#ff69b4"
_BALL = 0.23  # radius of a ball, as a share of the van der Waals radius
_STICK = 0.1  # radius of a single bond, in Angstrom
STRANDS: dict[int, list[tuple[float, float, bool]]] = {
    1: [(0.0, _STICK, False)],
    2: [(-0.12, 0.07, False), (0.12, 0.07, False)],
    3: [(-0.17, 0.05, False), (0.0, 0.05, False), (0.17, 0.05, False)],
    4: [(0.0, 0.085, False), (0.21, 0.05, True)],
}
"""Strands of a bond, by its number in graphs: distance from the line between the atoms (towards the ring in aromatic
bonds) and radius, both in Angstrom, and whether it is dashed."""


class Shape(NamedTuple):
    """One conformer as balls and sticks; x to the right, y up, z towards the viewer, in Angstrom.

    Attributes:
        elements: Atomic number of each ball, ``[N]``.
        centers: Centers of the balls, ``[N, 3]``.
        radii: Radii of the balls, ``[N]``.
        sticks: Ends of the sticks, which have round caps, ``[S, 2, 3]``. Each half of a bond and each dash is a stick.
        stick_radii: Radii of the sticks, ``[S]``.
        stick_elements: Atomic number of the atom that gives a stick its color, ``[S]``.
        stick_bonds: Numbers of the two bonded atoms of a stick, ``[S, 2]``.
    """

    elements: np.ndarray
    centers: np.ndarray
    radii: np.ndarray
    sticks: np.ndarray
    stick_radii: np.ndarray
    stick_elements: np.ndarray
    stick_bonds: np.ndarray

    @property
    def extent(self) -> float:
        """Radius of the sphere around the origin that contains all balls."""
        return float((np.linalg.norm(self.centers, axis=1) + self.radii).max())


def color_of(number: int) -> str:
    """Return the color of an element by atomic number, as ``#rrggbb``."""
    return _COLORS.get(Chem.GetPeriodicTable().GetElementSymbol(int(number)), _OTHER_COLOR)


def radius_of(number: int) -> float:
    """Return the radius of an element's ball in Angstrom."""
    return _BALL * Chem.GetPeriodicTable().GetRvdw(int(number))


def ball_and_stick(mol: Chem.Mol, pos: np.ndarray) -> Shape:
    """Make the balls and sticks of a molecule.

    Double and triple bonds are parallel sticks, aromatic ones a stick and dashes on the side of the ring.

    Args:
        mol: Molecule with all hydrogens.
        pos: ``[N, 3]`` coordinates, in Angstrom.
    """
    elements = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    radii = np.array([radius_of(number) for number in elements])
    sticks, stick_radii, owners, bonds = [], [], [], []
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        side = _side(bond, pos)
        for offset, radius, dashed in STRANDS[BONDS[bond.GetBondType()]]:
            for owner, ends in _strand(pos[[i, j]] + offset * side, radii[[i, j]], abs(offset), dashed):
                sticks.append(ends)
                stick_radii.append(radius)
                owners.append((i, j)[owner])
                bonds.append((i, j))
    return Shape(
        elements=elements,
        centers=pos,
        radii=radii,
        sticks=np.array(sticks).reshape(-1, 2, 3),
        stick_radii=np.array(stick_radii, dtype=float),
        stick_elements=elements[np.array(owners, dtype=int)],
        stick_bonds=np.array(bonds, dtype=int).reshape(-1, 2),
    )


def _side(bond: Chem.Bond, pos: np.ndarray) -> np.ndarray:
    """Unit vector ``[3]`` perpendicular to a bond, in the plane of its neighbors, towards the ring if aromatic."""
    i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    axis = pos[j] - pos[i]
    axis = axis / max(np.linalg.norm(axis), 1e-6)
    neighbors = [
        (atom.GetIdx(), other.GetOtherAtomIdx(atom.GetIdx()))
        for atom in (bond.GetBeginAtom(), bond.GetEndAtom())
        for other in atom.GetBonds()
        if other.GetIdx() != bond.GetIdx() and (other.GetIsAromatic() or not bond.GetIsAromatic())
    ]
    across = [pos[b] - pos[a] for a, b in neighbors]
    across = [vector - (vector @ axis) * axis for vector in across]
    # Two rings beside a bond cancel, and collinear neighbors add nothing: other directions are tried in turn, those
    # perpendicular to the view first. The last is for atoms at the same place.
    ring = [sum(across, np.zeros(3))] if bond.GetIsAromatic() else []
    others = [np.cross(axis, [0.0, 0.0, 1.0]), np.cross(axis, [0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])]
    choices = [*ring, *sorted(across, key=lambda vector: abs(vector[2])), *others]
    side = next(vector for vector in choices if np.linalg.norm(vector) > 0.3)
    return side / np.linalg.norm(side)


def _strand(ends: np.ndarray, radii: np.ndarray, offset: float, dashed: bool) -> list[tuple[int, np.ndarray]]:
    """Pieces ``[2, 3]`` of the line between two balls, each with the end, 0 or 1, that gives its color."""
    length = float(np.linalg.norm(ends[1] - ends[0]))
    inside = 0.9 * np.sqrt(np.maximum(radii**2 - offset**2, 0))  # where the line leaves each ball
    visible = length - inside.sum()
    if visible <= 0:
        return []
    start = ends[0] + (ends[1] - ends[0]) * (inside[0] / length)
    step = (ends[1] - ends[0]) * (visible / length)
    if not dashed:
        cuts, owners = [(0.0, 0.5), (0.5, 1.0)], [0, 1]
    else:
        count = max(2, 2 * round(visible / 0.4))
        cuts = [((k + 0.25) / count, (k + 0.65) / count) for k in range(count)]
        owners = [int(2 * k >= count) for k in range(count)]
    return [(owner, start + np.outer(cut, step)) for owner, cut in zip(owners, cuts, strict=True)]
