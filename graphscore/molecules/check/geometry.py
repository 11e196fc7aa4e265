"""The check of conformers: bond lengths, angles, contacts, planes and stereo marks, all conformers in one pass."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.molecules.check.faults import Fault
from graphscore.molecules.check.lengths import length_limits
from graphscore.molecules.check.limits import angle_limits, distance_bounds, distance_limits
from graphscore.molecules.check.planes import (
    FLAT,
    PUCKERED,
    PYRAMID,
    distances_from_plane,
    height,
    planar_carbons,
    planar_groups,
)
from graphscore.molecules.check.stereo import FLAT_CENTRE, TWISTED, StereoMarks
from graphscore.molecules.smiles import rdkit_errors

FARTHEST = 1e5  # Å from the origin; distances lose their digits beyond
_CHUNK = 2_000_000  # numbers in one array of distances

Array = NDArray[np.float64]


class _Measured(NamedTuple):
    """Values of K conformers, and where they are outside of the limits."""

    squares: Array
    distances: NDArray[np.bool_]
    doubted: NDArray[np.bool_]
    cosines: Array
    angles: NDArray[np.bool_]
    stretched: NDArray[np.bool_]
    planes: list[tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]]
    heights: Array
    volumes: Array
    torsions: Array

    def passes(self) -> NDArray[np.bool_]:
        """Tell for each conformer whether nothing is outside of the limits but doubtful faults, ``[K]``."""
        wrong = self.distances.any(axis=(1, 2)) | self.angles.any(axis=1) | (self.heights > PYRAMID).any(axis=1)
        wrong |= (self.volumes < FLAT_CENTRE).any(axis=1) | (self.torsions < TWISTED).any(axis=1)
        for _, outside, doubtful in self.planes:
            wrong |= (outside & ~doubtful).any(axis=1)
        return np.logical_not(wrong)

    def blameless(self) -> NDArray[np.bool_]:
        """Tell for each conformer whether it has not even a doubtful fault, ``[K]``."""
        doubtful = self.doubted.any(axis=(1, 2)) | self.stretched.any(axis=1)
        for _, outside, _ in self.planes:
            doubtful |= outside.any(axis=1)
        return np.logical_and(self.passes(), ~doubtful)


class GeometryCheck:
    """Check of conformers of one molecule; it is built once, and finds what is wrong with any number of conformers.

    Limits and their sources are in :mod:`~graphscore.molecules.check.limits`,
    :mod:`~graphscore.molecules.check.planes` and :mod:`~graphscore.molecules.check.stereo`.

    Args:
        template: Graph in the layout of :mod:`graphscore.molecules.graph`. Its ``chirality``, ``cis_trans_index`` and
            ``cis_trans`` are the stereo marks asked for; its coordinates, if any, are not used.

    Raises:
        ValueError: If the graph is not a molecule.
    """

    @rdkit_errors()
    def __init__(self, template: Data) -> None:
        self.stereo = StereoMarks(template)
        mol = self.stereo.mol
        self.num_atoms = mol.GetNumAtoms()
        bounds = distance_bounds(mol)
        self._limits = distance_limits(mol, bounds)
        self._angles = angle_limits(mol, bounds)
        upper_half = np.triu(np.ones_like(self._limits.lower, dtype=bool), 1)
        self._lower = np.where(upper_half, self._limits.lower**2, -1.0)
        self._upper = np.where(upper_half, self._limits.upper**2, np.inf)
        self._doubted = np.where(upper_half, self._limits.doubted**2, -1.0)
        # The cosine falls from 0 to 180 degrees.
        self._smallest = np.cos(np.radians(self._angles.upper)) - 1e-9
        self._largest = np.cos(np.radians(self._angles.lower)) + 1e-9
        self._lengths = length_limits(mol, bounds)
        self._groups = planar_groups(mol)
        self._carbons = planar_carbons(mol)

    @cached_property
    def _centres(self) -> dict[tuple[int, int], list[int]]:
        """Centres of the angles between two atoms."""
        found: dict[tuple[int, int], list[int]] = {}
        for a, centre, b in self._angles.atoms.tolist():
            found.setdefault((a, b), []).append(centre)
        return found

    def passes(self, pos: Tensor | Array) -> NDArray[np.bool_]:
        """Tell which conformers have no fault but doubtful ones, without RDKit's perception of stereo marks.

        Bonds count by their wide limits alone: a fault of the kind ``"stretch"`` is easily relaxed.

        Args:
            pos: Coordinates ``[K, N, 3]`` in Å.

        Returns:
            ``[K]``.

        Raises:
            ValueError: If there are not N atoms.
        """
        pos, usable = self._checked(pos)
        out = usable.copy()
        for rows in self._chunks(np.flatnonzero(usable)):
            out[rows] = self._measure(pos[rows]).passes()
        return out

    def __call__(self, pos: Tensor | Array, perceive: bool = True) -> list[tuple[Fault, ...]]:
        """Find the faults of conformers.

        Args:
            pos: Coordinates ``[K, N, 3]`` in Å.
            perceive: Whether RDKit perceives the stereo marks asked for anew from each conformer, a second opinion
                that takes longer than all the rest.

        Returns:
            The faults of each of the K conformers, none where all is right.

        Raises:
            ValueError: If there are not N atoms.
        """
        pos, usable = self._checked(pos)
        found: list[list[Fault]] = [[] for _ in pos]
        for row in np.flatnonzero(~usable):
            (atoms,) = np.nonzero(~(np.abs(pos[row]) < FARTHEST).all(axis=-1))
            names = ", ".join(self.stereo.labels[atom] for atom in atoms)
            found[row].append(Fault("coordinates", tuple(atoms.tolist()), f"no usable coordinates of {names}"))
        for rows in self._chunks(np.flatnonzero(usable)):
            measured = self._measure(pos[rows])
            for number in np.flatnonzero(~measured.blameless()).tolist():
                found[rows[number]] = self._faults(measured, number)
        if perceive and len(self.stereo):
            for row in np.flatnonzero(usable):
                known = {(fault.kind, fault.atoms) for fault in found[row]}
                for fault in self.stereo.perceived(pos[row]):
                    if (fault.kind, fault.atoms) not in known:
                        known.add((fault.kind, fault.atoms))
                        found[row].append(fault)
        return [tuple(faults) for faults in found]

    def _checked(self, pos: Tensor | Array) -> tuple[Array, NDArray[np.bool_]]:
        """Coordinates in float64, and which conformers have usable ones."""
        values = pos.detach().cpu().numpy() if isinstance(pos, Tensor) else np.asarray(pos)
        if values.ndim != 3 or values.shape[1:] != (self.num_atoms, 3):
            raise ValueError(f"Expected coordinates [K, {self.num_atoms}, 3], but got {list(values.shape)}")
        values = values.astype(np.float64)
        return values, np.asarray((np.abs(values) < FARTHEST).all(axis=(1, 2)))

    def _chunks(self, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        size = max(_CHUNK // self.num_atoms**2, 1)
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def _measure(self, pos: Array) -> _Measured:
        centred = pos - pos.mean(axis=1, keepdims=True)
        norms = (centred**2).sum(axis=-1)
        squares = norms[:, :, None] + norms[:, None] - 2.0 * centred @ centred.swapaxes(1, 2)
        a, centre, b = self._angles.atoms.T
        first, last = squares[:, a, centre], squares[:, centre, b]
        cosines = (first + last - squares[:, a, b]) / np.sqrt(np.maximum(4.0 * first * last, 1e-12))
        volumes, torsions = self.stereo.measure(centred)
        lengths = np.sqrt(np.maximum(squares[:, self._lengths.atoms[:, 0], self._lengths.atoms[:, 1]], 0.0))
        return _Measured(
            squares=squares,
            distances=(squares < self._lower) | (squares > self._upper),
            doubted=squares < self._doubted,
            cosines=cosines,
            angles=(cosines < self._smallest) | (cosines > self._largest),
            stretched=(lengths < self._lengths.lower) | (lengths > self._lengths.upper),
            planes=[self._planes(centred, number) for number in range(len(self._groups))],
            heights=height(centred[:, self._carbons]),
            volumes=volumes,
            torsions=torsions,
        )

    def _planes(self, pos: Array, number: int) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
        """Largest distances from the planes, which are wrong, and which of these are doubtful, ``[K, G]``."""
        groups = self._groups[number]
        distances = distances_from_plane(pos[:, groups.atoms])
        farthest = np.abs(distances).max(axis=-1)
        # A plane has no upper side: the smaller of both, so that PoseBusters agrees whichever it takes.
        sides = np.minimum(distances.max(axis=-1), -distances.min(axis=-1))
        outside = np.where(groups.puckered, sides < PUCKERED, farthest > FLAT)
        return farthest, outside, outside & (farthest <= groups.doubtful)

    def _faults(self, measured: _Measured, row: int) -> list[Fault]:
        distances = np.sqrt(np.maximum(measured.squares[row], 0.0))
        pairs = np.argwhere(measured.distances[row]).tolist()
        bonds = [self._bond(i, j, distances[i, j]) for i, j in pairs if self._limits.steps[i, j] == 1]
        broken = {fault.atoms for fault in bonds}
        stretched = [self._stretched(k, distances) for k in np.flatnonzero(measured.stretched[row]).tolist()]
        bonds += [fault for fault in stretched if fault.atoms not in broken]
        angles = [self._angle(k, measured.cosines[row, k]) for k in np.flatnonzero(measured.angles[row]).tolist()]
        bent = {(fault.atoms[0], fault.atoms[2]) for fault in angles}
        for i, j in pairs:
            # Atoms two bonds apart are named unless their angle, or a bond on the way, is.
            if self._limits.steps[i, j] == 2 and (i, j) not in bent:
                centres = self._centres[i, j]
                if not any({(min(a, c), max(a, c)) for a in (i, j)} & broken for c in centres):
                    angles.append(self._spread(i, centres[0], j, distances[i, j]))
        contacts = [self._contact(i, j, distances[i, j], False) for i, j in pairs if self._limits.steps[i, j] > 2]
        close = np.argwhere(measured.doubted[row] & ~measured.distances[row]).tolist()
        contacts += [self._contact(i, j, distances[i, j], True) for i, j in close]
        planes = self._plane_faults(measured, row)
        volumes, torsions = measured.volumes[row], measured.torsions[row]
        centres = [self.stereo.centre_fault(k, volumes[k]) for k in np.flatnonzero(volumes < FLAT_CENTRE).tolist()]
        reversed_ = [self.stereo.bond_fault(k, torsions[k]) for k in np.flatnonzero(torsions < TWISTED).tolist()]
        once = {(fault.kind, fault.atoms): fault for fault in reversed(reversed_)}
        return [*bonds, *angles, *contacts, *planes, *centres, *reversed(once.values())]

    def _bond(self, i: int, j: int, value: float) -> Fault:
        limits = f"{self._limits.lower[i, j]:.2f} to {self._limits.upper[i, j]:.2f}"
        return Fault("bond", (i, j), f"bond {self._name(i, j)} {value:.2f} Å, expected {limits}")

    def _stretched(self, number: int, distances: Array) -> Fault:
        i, j = self._ends(number)
        limits = f"{self._lengths.lower[number]:.2f} to {self._lengths.upper[number]:.2f}"
        return Fault("stretch", (i, j), f"bond {self._name(i, j)} {distances[i, j]:.2f} Å, expected {limits}")

    def _ends(self, number: int) -> tuple[int, int]:
        i, j = self._lengths.atoms[number].tolist()
        return i, j

    def _angle(self, number: int, cosine: float) -> Fault:
        atoms = tuple(self._angles.atoms[number].tolist())
        limits = f"{self._angles.lower[number]:.0f} to {self._angles.upper[number]:.0f}"
        value = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
        return Fault("angle", atoms, f"angle {self._name(*atoms)} {value:.0f}°, expected {limits}")

    def _spread(self, i: int, centre: int, j: int, value: float) -> Fault:
        limits = f"{self._limits.lower[i, j]:.2f} to {self._limits.upper[i, j]:.2f}"
        place = f"angle {self._name(i, centre, j)} with {self.stereo.labels[i]}...{self.stereo.labels[j]} {value:.2f} Å"
        return Fault("angle", (i, centre, j), f"{place}, expected {limits}")

    def _contact(self, i: int, j: int, value: float, doubtful: bool) -> Fault:
        where = " of different components" if self._limits.steps[i, j] > self.num_atoms else ""
        place = f"contact {self.stereo.labels[i]}...{self.stereo.labels[j]}{where} {value:.2f} Å"
        lower = (self._limits.doubted if doubtful else self._limits.lower)[i, j]
        return Fault("contact", (i, j), f"{place}, expected at least {lower:.2f}", doubtful)

    def _plane_faults(self, measured: _Measured, row: int) -> list[Fault]:
        found = []
        for groups, (farthest, outside, doubtful) in zip(self._groups, measured.planes, strict=True):
            for k in np.flatnonzero(outside[row]).tolist():
                group, kind = tuple(groups.atoms[k].tolist()), "plane"
                reason = f"{groups.names[k]} {self._name(*group)}"
                if groups.puckered[k]:
                    kind, reason = "flat ring", f"{reason} is flat, expected puckered"
                else:
                    reason += f" {farthest[row, k]:.2f} Å from flat, expected at most {FLAT}"
                found.append(Fault(kind, group, reason, bool(doubtful[row, k])))
        flat = {atom for fault in found if not fault.doubtful for atom in fault.atoms}
        for k in np.flatnonzero(measured.heights[row] > PYRAMID).tolist():
            group = tuple(self._carbons[k].tolist())
            if group[0] not in flat:
                value = f"{measured.heights[row, k]:.2f} Å from the plane of its neighbors, expected at most {PYRAMID}"
                found.append(Fault("plane", group, f"carbon {self.stereo.labels[group[0]]} {value}"))
        return found

    def _name(self, *atoms: int) -> str:
        return "-".join(self.stereo.labels[atom] for atom in atoms)
