"""Packing of the components of a molecule: rigid bodies side by side at van der Waals contact, ions at ionic contact.

References:
    A. Bondi (1964), van der Waals volumes and radii (as in RDKit's periodic table).
    G. A. Jeffrey (1997), An Introduction to Hydrogen Bonding: charge-assisted bonds N-H...O with N...O 2.7 to 2.9 Å,
    N-H...Cl with N...Cl 3.1 to 3.3 Å.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphscore.molecules.graph import Chem

MARGIN = 0.05  # Å beyond the sum of van der Waals radii
# Components of opposite charge: share of that sum, and smallest distances of a hydrogen bond, H...A and D...A, in Å.
IONIC = 0.88
HYDROGEN_BOND, LARGER = 1.75, 0.45
DONOR, LARGER_DONOR = 0.40, 0.25  # Å less than the sum for donor and acceptor
CANDIDATES, ROUNDS = 48, 3  # places that are tried, and searches around the best of them for ions
_SPACE = 2_000_000  # numbers in one array
COULOMB = 332.06 / 4.0  # kcal/mol Å for charges in e, with a dielectric constant of 4
COMPACT = 0.5  # kcal/mol for each Å between the centres

Array = NDArray[np.float64]


class _Body(NamedTuple):
    """Atoms with all that packing depends on, one row each.

    Attributes:
        pos: Coordinates.
        radii: Van der Waals radii.
        charges: See :func:`spread_charges`.
        ion: Total formal charge of the component.
        donor: Whether it is positive and has hydrogens.
        given: Whether it is a hydrogen of a donor.
        acceptor: Whether it shares a negative charge.
        large: Whether it is beyond the second row of the periodic table.
    """

    pos: Array
    radii: Array
    charges: Array
    ion: Array
    donor: NDArray[np.bool_]
    given: NDArray[np.bool_]
    acceptor: NDArray[np.bool_]
    large: NDArray[np.bool_]


class Packer:
    """Packing of the components of one molecule, for any number of conformers.

    The largest component stays where it is. The others follow, each with a random orientation on a random side: it is
    moved towards those before until it touches them. Several places are tried, and the most compact one is taken, or
    for ions the one of the lowest electrostatic energy, where hydrogens of charged donors touch charged acceptors.

    Args:
        mol: Molecule with explicit hydrogens.
        components: Atoms of each component.
    """

    def __init__(self, mol: Chem.Mol, components: Sequence[Sequence[int]]) -> None:
        self.components = [np.array(atoms) for atoms in components]
        table, atoms = Chem.GetPeriodicTable(), list(mol.GetAtoms())
        charges, ion = spread_charges(mol), np.zeros(len(atoms))
        for members in self.components:
            ion[members] = sum(atoms[atom].GetFormalCharge() for atom in members.tolist())
        hydrogen = np.array([atom.GetAtomicNum() == 1 for atom in atoms])
        self.whole = _Body(
            pos=np.zeros((len(atoms), 3)),
            radii=np.array([table.GetRvdw(atom.GetAtomicNum()) for atom in atoms]),
            charges=charges,
            ion=ion,
            donor=np.array([atom.GetFormalCharge() > 0 and atom.GetTotalNumHs(True) > 0 for atom in atoms]),
            given=hydrogen & (charges > 0),
            acceptor=~hydrogen & (charges < 0),
            large=np.array([atom.GetAtomicNum() > 10 for atom in atoms]),
        )

    def __call__(self, pos: Array, seed: Sequence[int], anchor: int | None = None) -> Array:
        """Pack the components.

        Args:
            pos: Coordinates ``[N, 3]`` in Å, those of each component right by themselves.
            seed: Numbers that the places and orientations depend on.
            anchor: The component that stays where it is; by default the largest, and the whole is centred.

        Returns:
            Coordinates ``[N, 3]``.
        """
        rng, out = np.random.default_rng(list(seed)), pos.copy()
        order = self._order(anchor)
        placed = self.components[order[0]]
        for number in order[1:]:
            members = self.components[number]
            cluster, body = (_rows(self.whole._replace(pos=out), rows) for rows in (placed, members))
            out[members] = _place(cluster, body, rng)
            placed = np.concatenate([placed, members])
        return out if anchor is not None else out - out.mean(axis=0)

    def _order(self, anchor: int | None) -> list[int]:
        """The largest first, then those of the opposite charge of all before, if there are any."""
        left = sorted(range(len(self.components)), key=lambda i: (i != anchor, -len(self.components[i]), i))
        order, total = [], 0.0
        while left:
            balancing = [i for i in left if self._charge(i) * total < 0]
            chosen = (balancing or left)[0]
            left.remove(chosen)
            order.append(chosen)
            total += self._charge(chosen)
        return order

    def _charge(self, number: int) -> float:
        return float(self.whole.ion[self.components[number][0]])


def spread_charges(mol: Chem.Mol) -> Array:
    """Formal charges ``[N]``, shared by the hydrogens of a positive atom, and by equal atoms of an anion."""
    charges = np.array([float(atom.GetFormalCharge()) for atom in mol.GetAtoms()])
    for atom in mol.GetAtoms():
        number, charge = atom.GetIdx(), atom.GetFormalCharge()
        around = list(atom.GetNeighbors())
        if charge > 0 and (hydrogens := [a.GetIdx() for a in around if a.GetAtomicNum() == 1]):
            charges[number] -= charge
            charges[hydrogens] += charge / len(hydrogens)
        elif charge < 0 and len(around) == 1:
            alike = [
                bond.GetOtherAtomIdx(around[0].GetIdx())
                for bond in around[0].GetBonds()
                if bond.GetBondTypeAsDouble() == 2.0
                and bond.GetOtherAtom(around[0]).GetAtomicNum() == atom.GetAtomicNum()
            ]
            charges[number] -= charge
            charges[[number, *alike]] += charge / (1 + len(alike))
    return charges


def _rows(body: _Body, rows: NDArray[np.intp]) -> _Body:
    values: Any = [part[rows] for part in body]
    return _Body(*values)


def _smallest(cluster: _Body, body: _Body) -> Array:
    """Smallest distances between the atoms of two sets, ``[A, B]``."""
    sums = cluster.radii[:, None] + body.radii
    opposite = cluster.ion[:, None] * body.ion < 0
    smallest = np.where(opposite, IONIC * sums, sums + MARGIN)
    large = cluster.large[:, None] | body.large
    bonds = (
        ("donor", "acceptor", sums - np.where(large, LARGER_DONOR, DONOR)),
        ("given", "acceptor", HYDROGEN_BOND + LARGER * large),
    )
    for one, other, value in bonds:
        pairs = getattr(cluster, one)[:, None] & getattr(body, other)
        pairs |= getattr(cluster, other)[:, None] & getattr(body, one)
        smallest = np.where(pairs & opposite, value, smallest)
    return smallest


def _place(cluster: _Body, body: _Body, rng: np.random.Generator) -> Array:
    """Coordinates of a body that touches a cluster, the best of several places."""
    smallest = _smallest(cluster, body)
    opposite = np.argwhere(cluster.charges[:, None] * body.charges < 0)
    count = int(np.clip(_SPACE // smallest.size, 4, CANDIDATES))
    best, lowest = None, np.inf
    for number in range(1 + ROUNDS * bool(len(opposite))):
        if best is None:
            turns, sides = rng.normal(size=(count, 4)), rng.normal(size=(count, 3))
            pairs = opposite[rng.integers(len(opposite), size=count)] if len(opposite) else None
        else:  # around the best so far
            pairs = best[0]
            turns, sides = (_unit(part + 0.5 / number * rng.normal(size=(count, part.shape[-1]))) for part in best[1:3])
        turns, sides = _unit(turns), _unit(sides)
        places = _moved(cluster.pos, body.pos, pairs, turns, sides, smallest)
        scores = _scores(cluster, body, places)
        if scores.min() < lowest:
            k = int(scores.argmin())
            lowest = float(scores[k])
            best = (None if pairs is None else pairs[[k] * count]), turns[k], sides[k], places[k]
    assert best is not None
    return best[3]


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _moved(
    cluster: Array, body: Array, pairs: NDArray[np.intp] | None, turns: Array, sides: Array, smallest: Array
) -> Array:
    """Turn a body by quaternions ``[M, 4]``, and move it from the sides ``[M, 3]`` until it touches: ``[M, B, 3]``.

    It moves on a line on which its atom meets that of the cluster, for pairs of atoms ``[M, 2]``, or else the centres
    of both meet.
    """
    middle, centre = cluster.mean(axis=0), body.mean(axis=0)
    cluster, towards = cluster - middle, 0.0  # small numbers, whose squares keep their digits
    if pairs is not None:
        centre, towards = body[pairs[:, 1], None], cluster[pairs[:, 0], None]
    start = np.einsum("mij,mnj->mni", _rotations(turns), np.broadcast_to(body - centre, (len(turns), *body.shape)))
    start = start + towards
    along = (sides @ cluster.T)[:, :, None] - (start @ sides[:, :, None]).swapaxes(1, 2)  # [M, A, B]
    squares = (cluster**2).sum(axis=-1)[:, None] + (start**2).sum(axis=-1)[:, None] - 2 * cluster @ start.swapaxes(1, 2)
    room = smallest**2 - (squares - along**2)
    # Along the line, the body is outside of the smallest distance beyond the larger of two roots.
    way = np.where(room > 0, along + np.sqrt(np.maximum(room, 0.0)), -np.inf).max(axis=(1, 2))
    way = np.where(np.isfinite(way), way, along.max(axis=(1, 2)))
    return start + way[:, None, None] * sides[:, None] + middle


def _scores(cluster: _Body, body: _Body, places: Array) -> Array:
    """Energies ``[M]`` of a body at M places in kcal/mol, with a price of the distance of the centres."""
    scores = COMPACT * np.linalg.norm(places.mean(axis=1) - cluster.pos.mean(axis=0), axis=-1)
    here, there = np.flatnonzero(cluster.charges), np.flatnonzero(body.charges)
    if len(here) and len(there):
        gaps = cluster.pos[here][None, :, None] - places[:, None, there]
        products = cluster.charges[here][:, None] * body.charges[there]
        scores = scores + COULOMB * (products / np.linalg.norm(gaps, axis=-1)).sum(axis=(1, 2))
    return scores


def _rotations(quaternions: Array) -> Array:
    """Rotation matrices ``[M, 3, 3]`` of unit quaternions ``[M, 4]``; normal random ones turn uniformly."""
    scalar, vector = quaternions[:, :1, None], quaternions[:, 1:]
    cross = np.cross(np.eye(3), vector[:, None])  # columns e_i x v
    outer = vector[:, :, None] * vector[:, None]
    return (scalar**2 - (vector**2).sum(axis=-1)[:, None, None]) * np.eye(3) + 2 * outer + 2 * scalar * cross
