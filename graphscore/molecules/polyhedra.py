"""Centres with five or more electron pairs around them, such as in PF6-, ArSF5, PCl5, SF4 or ArICl2, by VSEPR.

Directions are those of the trigonal bipyramid, the octahedron and the pentagonal bipyramid, where lone pairs take the
places that VSEPR gives them, with the angles of SF4, ClF3 and BrF5 in the gas phase. Lengths are typical ones of such
centres by experiment, or sums of covalent radii.

References:
    R. J. Gillespie, R. S. Nyholm (1957), Inorganic stereochemistry; R. J. Gillespie, I. Hargittai (1991), The VSEPR
    Model of Molecular Geometry, also for the lengths. E. L. Muetterties, W. Mahler, R. Schmutzler (1963),
    Stereochemistry of phosphorus(V) fluorides (electronegative ligands are axial).
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit.Chem import rdqueries

from graphscore.linalg.kabsch import kabsch
from graphscore.molecules.exact import RADII, bond_length, free_electrons
from graphscore.molecules.graph import Chem

NEON = 10  # atoms of these elements have four electron pairs at most
_BEYOND = rdqueries.AtomNumGreaterQueryAtom(NEON)
CHELATE = 7  # atoms of the largest ring whose ligands must be neighbors in the polyhedron

NEAR, TWISTS = 0.80, 36  # share of the sum of van der Waals radii below which a branch is turned; angles to try

# Lengths in Å of single and of double bonds, by the symbols of centre and ligand.
_SINGLE = {
    ("Si", "F"): 1.69, ("P", "F"): 1.59, ("S", "F"): 1.56, ("Cl", "F"): 1.65, ("As", "F"): 1.71, ("Se", "F"): 1.69,
    ("Br", "F"): 1.75, ("Sb", "F"): 1.87, ("Te", "F"): 1.82, ("I", "F"): 1.87, ("Xe", "F"): 1.95, ("P", "Cl"): 2.06,
    ("S", "Cl"): 2.05, ("Si", "Cl"): 2.15, ("As", "Cl"): 2.17, ("Sb", "Cl"): 2.36, ("I", "Cl"): 2.48,
    ("I", "Br"): 2.65, ("I", "O"): 2.08, ("S", "O"): 1.75, ("P", "O"): 1.66, ("Si", "O"): 1.74, ("P", "N"): 1.70,
    ("S", "C"): 1.80, ("P", "C"): 1.83, ("I", "C"): 2.10, ("S", "H"): 1.34, ("P", "H"): 1.42, ("I", "H"): 1.61,
    ("S", "S"): 2.21,
}  # fmt: skip
_DOUBLE = {
    ("S", "O"): 1.43,
    ("P", "O"): 1.46,
    ("Cl", "O"): 1.42,
    ("Br", "O"): 1.61,
    ("I", "O"): 1.79,
    ("Xe", "O"): 1.75,
}
_ELECTRONEGATIVITY = {1: 2.2, 5: 2.0, 6: 2.55, 7: 3.0, 8: 3.4, 9: 4.0, 14: 1.9, 15: 2.2, 17: 3.2, 35: 3.0}
_MULTIPLE = 2.0  # of a ligand by a multiple bond, which takes more room, and is not axial

Array = NDArray[np.float64]


def _ring(count: int, elevation: float = 0.0) -> Array:
    """Directions around the z axis, elevated above the plane by degrees."""
    turns, up = 2 * np.pi * np.arange(count) / count, np.radians(elevation)
    flat = np.stack([np.cos(turns), np.sin(turns), np.zeros(count)], axis=1)
    return np.cos(up) * flat + np.array([0.0, 0.0, np.sin(up)])


def _bent(count: int, between_axial: float, between_others: float) -> Array:
    """Two axial directions, and one or two others on the x side, with angles in degrees."""
    tilt, half = np.radians(90 - between_axial / 2), np.radians(between_others / 2) * (count - 1)
    axial = [[np.sin(tilt), 0.0, sign * np.cos(tilt)] for sign in (1, -1)]
    return np.array([*axial, *([np.cos(half), sign * np.sin(half), 0.0] for sign in (1, -1)[:count])])


_AXIS = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
_SHAPES: dict[tuple[int, int], tuple[Array, tuple[int, ...]]] = {
    # Electron pairs and ligands: directions, and the places for the most electronegative ligands.
    (5, 5): (np.concatenate([_AXIS, _ring(3)]), (0, 1)),
    (5, 4): (_bent(2, 173.0, 101.6), (0, 1)),
    (5, 3): (_bent(1, 175.0, 0.0), (0, 1)),
    (5, 2): (_AXIS, ()),
    (6, 6): (np.concatenate([_AXIS, _ring(4)]), ()),
    (6, 5): (np.concatenate([_AXIS[:1], _ring(4, 5.2)]), (1, 2, 3, 4)),
    (6, 4): (_ring(4), ()),
    (6, 3): (np.concatenate([_AXIS, _ring(1)]), ()),
    (7, 7): (np.concatenate([_AXIS, _ring(5)]), ()),
    (7, 6): (np.concatenate([_AXIS, _ring(4)]), ()),
}


def polyhedral_centres(mol: Chem.Mol) -> list[int]:
    """Find the atoms with five to seven electron pairs around them, bonds and lone pairs."""
    return [atom.GetIdx() for atom in mol.GetAtomsMatchingQuery(_BEYOND) if is_polyhedral(atom)]


def has_polyhedra(mol: Chem.Mol) -> bool:
    """Tell whether a molecule has an atom with five to seven electron pairs around it."""
    return bool(polyhedral_centres(mol))


def is_polyhedral(atom: Chem.Atom) -> bool:
    """Tell whether an atom has five to seven electron pairs around it."""
    return _shape(atom) in _SHAPES


def rigid_pairs(mol: Chem.Mol) -> list[tuple[int, int]]:
    """List the pairs among each such atom and its neighbors, whose distances no force field has to change."""
    found = set()
    for centre in polyhedral_centres(mol):
        atoms = sorted([centre, *(other.GetIdx() for other in mol.GetAtomWithIdx(centre).GetNeighbors())])
        found |= {(i, j) for place, i in enumerate(atoms) for j in atoms[place + 1 :]}
    return sorted(found)


def _shape(atom: Chem.Atom) -> tuple[int, int]:
    """Numbers of electron pairs around an atom, and of its neighbors; zeros for elements that have four at most."""
    if atom.GetAtomicNum() <= NEON or atom.GetAtomicNum() not in RADII or atom.GetIsAromatic():
        return 0, 0
    return atom.GetDegree() + (free_electrons(atom) + 1) // 2, atom.GetDegree()


class _Centre(NamedTuple):
    """A centre: its ligands with their lengths, branches, and directions in all ways that they may be placed.

    Attributes:
        atom: Number of the centre.
        ligands: Its neighbors, ``[n]``.
        lengths: Bond lengths, ``[n]``.
        branches: Ligands, as places in ``ligands``, that are connected by other atoms too, and all atoms of the branch.
        directions: Unit vectors to the ligands, ``[P, n, 3]``.
    """

    atom: int
    ligands: NDArray[np.intp]
    lengths: Array
    branches: list[tuple[list[int], NDArray[np.intp]]]
    directions: Array


class Polyhedra:
    """Ideal geometry of the centres of one molecule that have five to seven electron pairs around them.

    Args:
        mol: Molecule with explicit hydrogens.
    """

    def __init__(self, mol: Chem.Mol) -> None:
        self.centres = [_centre(mol, number) for number in polyhedral_centres(mol)]
        table = Chem.GetPeriodicTable()
        self._radii = np.array([table.GetRvdw(atom.GetAtomicNum()) for atom in mol.GetAtoms()])

    @property
    def atoms(self) -> set[int]:
        """The centres and all their ligands."""
        return {atom for centre in self.centres for atom in (centre.atom, *centre.ligands.tolist())}

    @property
    def bent(self) -> set[int]:
        """Atoms of rings through a centre and what hangs on them, which have to be relaxed afterwards."""
        branches = (branch for centre in self.centres for ligands, branch in centre.branches if len(ligands) > 1)
        return {atom for branch in branches for atom in branch.tolist()} - self.atoms

    def idealise(self, pos: Array) -> Array:
        """Turn and shift the ligands of all centres, each with its branch, to ideal directions and lengths.

        Ligands that may exchange places take those nearest to the given ones.

        Args:
            pos: Coordinates ``[N, 3]`` in Å.

        Returns:
            A changed copy. The atoms of a chelate between its ligands follow them as a rigid body.
        """
        pos = pos.copy()
        for centre in self.centres:
            origin = pos[centre.atom].copy()
            vectors = pos[centre.ligands] - origin
            # A hydrogen that was placed at its centre has no direction.
            old = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 0.5)
            goals = origin + centre.lengths[:, None] * _nearest(centre.directions, old)
            for places, branch in centre.branches:
                ligands = centre.ligands[places]
                if len(places) == 1:
                    here = np.array([vectors[places[0]], -vectors[places[0]]])
                    there = goals[places[0]] - origin
                    turn = _rotations(here[None], np.array([[there, -there]]))[0]
                    pos[branch] = (pos[branch] - pos[ligands[0]]) @ turn.T + goals[places[0]]
                else:
                    middle, target = pos[ligands].mean(axis=0), goals[places].mean(axis=0)
                    here = np.concatenate([pos[ligands] - middle, [origin - middle]])
                    there = np.concatenate([goals[places] - target, [origin - target]])
                    turn = _rotations(here[None], there[None])[0]
                    pos[branch] = (pos[branch] - middle) @ turn.T + target
                    pos[ligands] = goals[places]
        for centre in self.centres:
            for places, branch in centre.branches:
                if len(places) == 1 and len(branch) > 1:
                    self._twist(pos, centre.atom, int(centre.ligands[places[0]]), branch)
        return pos

    def _twist(self, pos: Array, centre: int, ligand: int, branch: NDArray[np.intp]) -> None:
        """Turn a branch about its bond to the centre if it is too near to the rest."""
        moved = branch[branch != ligand]
        rest = np.setdiff1d(np.arange(len(pos)), [*branch.tolist(), centre])
        if not len(rest):
            return
        axis = (pos[ligand] - pos[centre]) / np.linalg.norm(pos[ligand] - pos[centre])
        turns = 2 * np.pi * np.arange(TWISTS) / TWISTS
        arms = pos[moved] - pos[ligand]
        along = (arms @ axis)[:, None] * axis
        across = arms - along
        # By Rodrigues' formula; the first turn is by 0.
        places = along + np.cos(turns)[:, None, None] * across + np.sin(turns)[:, None, None] * np.cross(axis, across)
        gaps = np.linalg.norm(pos[ligand] + places[:, :, None] - pos[rest], axis=-1)
        nearest = (gaps / (self._radii[moved][:, None] + self._radii[rest])).min(axis=(1, 2))
        if nearest[0] < NEAR:
            pos[moved] = pos[ligand] + places[int(nearest.argmax())]


def _centre(mol: Chem.Mol, number: int) -> _Centre:
    atom = mol.GetAtomWithIdx(number)
    bonds = list(atom.GetBonds())
    ligands = [bond.GetOtherAtomIdx(number) for bond in bonds]
    directions, axial = _SHAPES[_shape(atom)]
    orders = np.array(list(permutations(range(len(ligands)))))
    angles = np.degrees(np.arccos(np.clip(directions @ directions.T, -1, 1)))
    chelates = _chelates(mol, number, ligands)
    strain = np.zeros(len(orders))
    for a, b in chelates:
        wide = angles[orders[:, a], orders[:, b]]
        strain += (wide > 100) + 10.0 * (wide > 150)
    wishes = np.array([
        _ELECTRONEGATIVITY.get(mol.GetAtomWithIdx(ligand).GetAtomicNum(), 2.6)
        if bond.GetBondType() == Chem.BondType.SINGLE
        else _MULTIPLE
        for ligand, bond in zip(ligands, bonds, strict=True)
    ])  # fmt: skip
    granted = (np.isin(orders, axial) * wishes).sum(axis=1)
    orders = orders[strain == strain.min()] if chelates else orders
    granted = granted[strain == strain.min()] if chelates else granted
    orders = orders[granted > granted.max() - 1e-6]
    lengths = np.array([_length(bond, atom) for bond in bonds])
    return _Centre(number, np.array(ligands), lengths, _branches(mol, number, ligands), directions[orders])


def _length(bond: Chem.Bond, centre: Chem.Atom) -> float:
    table = {Chem.BondType.SINGLE: _SINGLE, Chem.BondType.DOUBLE: _DOUBLE}.get(bond.GetBondType(), {})
    ends = centre.GetSymbol(), bond.GetOtherAtom(centre).GetSymbol()
    if (known := table.get(ends)) is not None:
        return known
    numbers = [atom.GetAtomicNum() for atom in (centre, bond.GetOtherAtom(centre))]
    if all(number in RADII for number in numbers):
        return bond_length(bond)
    return sum(Chem.GetPeriodicTable().GetRcovalent(number) for number in numbers)


def _chelates(mol: Chem.Mol, number: int, ligands: list[int]) -> list[tuple[int, int]]:
    """Pairs of ligands, as places in the list, that are in a small ring with the centre."""
    rings = [set(ring) for ring in mol.GetRingInfo().AtomRings() if number in ring and len(ring) <= CHELATE]
    pairs = [(a, b) for b in range(len(ligands)) for a in range(b)]
    return [(a, b) for a, b in pairs if any({ligands[a], ligands[b]} <= ring for ring in rings)]


def _branches(mol: Chem.Mol, number: int, ligands: list[int]) -> list[tuple[list[int], NDArray[np.intp]]]:
    """Ligands with all atoms that hang on them; ligands that other atoms connect are together."""
    left, found = set(range(len(ligands))), []
    while left:
        reached, waiting = {number}, [ligands[min(left)]]
        while waiting:
            if (atom := waiting.pop()) not in reached:
                reached.add(atom)
                waiting += [other.GetIdx() for other in mol.GetAtomWithIdx(atom).GetNeighbors()]
        places = [place for place in sorted(left) if ligands[place] in reached]
        found.append((places, np.array(sorted(reached - {number}))))
        left -= set(places)
    return found


def _nearest(directions: Array, old: Array) -> Array:
    """Of P sets of directions ``[P, n, 3]``, the one that can be turned nearest to the old ones ``[n, 3]``, turned."""
    # Directions and their opposites have their centroid at the centre.
    both = np.concatenate([directions, -directions], axis=1)
    target = np.broadcast_to(np.concatenate([old, -old]), both.shape)
    turned = both @ _rotations(both, target).swapaxes(1, 2)
    best = int(((turned - target) ** 2).sum(axis=(1, 2)).round(9).argmin())
    return turned[best, : len(old)]


def _rotations(here: Array, there: Array) -> Array:
    """Rotations ``[B, 3, 3]`` of points ``[B, n, 3]`` onto others, by Kabsch."""
    count, rows = here.shape[:2]
    x, y = (torch.from_numpy(np.ascontiguousarray(points.reshape(-1, 3))) for points in (here, there))
    return kabsch(x, y, torch.arange(count).repeat_interleave(rows), count).numpy()
