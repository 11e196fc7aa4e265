"""Stereo marks that hydrogens decide, and the motions of hydrogens that exchange the two isomers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.molecules.check.stereo import StereoMarks

Array = NDArray[np.float64]


class _Move(NamedTuple):
    """Row of a mark among those of its kind, the hydrogens that decide it, and the frame in which they move."""

    row: int
    hydrogens: list[int]
    frame: list[int]


class HydrogenMarks:
    """The stereo marks of a molecule that its hydrogens decide, while all other atoms stay where they are.

    These are marks of double bonds with a hydrogen as the only substituent of an end, as in imines, amidines and
    diazenes; of centres with a lone pair, a hydrogen and two other neighbors, as in secondary phosphines; and of both
    where two hydrogens differ in their isotope.

    Args:
        template: Graph in the layout of :mod:`graphscore.molecules.graph`, with the marks asked for.
        kept: Atoms that do not move.
    """

    def __init__(self, template: Data, kept: Iterable[int]) -> None:
        self._marks, still = StereoMarks(template), set(kept)
        self.centres, self.bonds = list[_Move](), list[_Move]()
        if not len(self._marks):
            return
        self._around = [[b.GetIdx() for b in atom.GetNeighbors()] for atom in self._marks.mol.GetAtoms()]
        self._free = [[atom for atom in around if atom not in still] for around in self._around]
        self.centres = [move for move in map(self._at_centre, range(len(self._marks.centres))) if move]
        found = [move for move in map(self._at_bond, range(self._marks.num_bonds)) if move]
        self.bonds = list({tuple(move.frame): move for move in found}.values())

    def __len__(self) -> int:
        return len(self.centres) + len(self.bonds)

    def _at_centre(self, row: int) -> _Move | None:
        centre = int(self._marks.centres[row])
        free, around = self._free[centre], self._around[centre]
        if len(free) > 1 or (len(free) == 1 and len(around) == 3):
            return _Move(row, free[:2], [centre, *(atom for atom in around if atom not in free)])
        return None

    def _at_bond(self, row: int) -> _Move | None:
        _, *ends, _ = self._marks.paths[row].tolist()
        for end, other in (ends, ends[::-1]):
            substituents = [atom for atom in self._around[end] if atom != other]
            if all(atom in self._free[end] for atom in substituents):
                return _Move(row, substituents[:2], [end, other])
        return None

    def correct(self, pos: Array) -> Array:
        """Bring hydrogens to the sides asked for.

        A hydrogen at a double bond is turned about it by 180 degrees, one at a centre is mirrored at the plane of the
        centre and the two other neighbors, and two hydrogens change places: each of these reverses the mark.

        Args:
            pos: Coordinates ``[N, 3]``.

        Returns:
            New coordinates.
        """
        pos = pos.copy()
        for move in self._wrong(pos):
            pos[move.hydrogens] = _moved(pos[move.hydrogens], pos[move.frame])
        return pos

    def are_right(self, pos: Array) -> bool:
        """Tell whether coordinates ``[N, 3]`` have all these marks."""
        return not self._wrong(pos)

    def _wrong(self, pos: Array) -> list[_Move]:
        if not len(self):
            return []
        volumes, torsions = (values[0] for values in self._marks.values(pos[None]))
        wrong = [move for move in self.centres if volumes[move.row] <= 0]
        return wrong + [move for move in self.bonds if torsions[move.row] <= 0]


def _moved(hydrogens: Array, frame: Array) -> Array:
    """Turn a hydrogen about an axis ``[2, 3]``, mirror it at a plane ``[3, 3]``, or exchange two of them."""
    if len(hydrogens) > 1:
        return hydrogens[::-1]
    arms = frame[1:] - frame[0]
    direction = arms[0] if len(arms) == 1 else np.cross(arms[0], arms[1])
    direction = direction / max(float(np.linalg.norm(direction)), 1e-9)
    along = (hydrogens - frame[0]) @ direction
    turned = 2 * along[:, None] * direction - (hydrogens - frame[0])
    return frame[0] + (turned if len(arms) == 1 else -turned)
