r"""Dihedral angles, turns about bonds and torques, for all graphs of a batch at once.

A turn about the bond b-c by an angle moves the atoms beyond c, counted counter-clockwise seen from beyond c, which adds
the angle to the dihedral angle a-b-c-d and changes no other torsion: the ends of other bonds lie on one side, or on the
axis. So turns about all bonds of a graph, one after another about the axes as they are then, set every angle exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.fields import Field, check_batch, replace
from graphscore.linalg.autograd import TensorMemo

TORSION = Field("torsion", level="torsion_index", periodic=True, width=1)
"""The field of dihedral angles ``[T, 1]``."""


class Turns(NamedTuple):
    """Rotatable bonds of a batch: the atoms that each moves, and the order of the turns.

    Attributes:
        graph: Graph of each torsion, ``[T]``.
        axis: Atoms b and c of each torsion, ``[2, T]``.
        atom: Moved atoms, ``[M]``.
        torsion: Torsion of the batch that moves each of them, ``[M]``.
        steps: Rows of ``atom`` and ``torsion`` to turn at once, at most one torsion of each graph.
    """

    graph: Tensor
    axis: Tensor
    atom: Tensor
    torsion: Tensor
    steps: tuple[Tensor, ...]


_KNOWN: TensorMemo[Turns] = TensorMemo()


def turns_of(batch: Batch) -> Turns:
    """Read the rotatable bonds of a batch; they are kept while its tensors stay the same, as in a sampler.

    Raises:
        ValueError: If an attribute is missing.
    """
    check_batch(batch)
    names = ("torsion_index", "moved_index", "moved_by")
    missing = [name for name in names if name not in batch]
    if missing:
        raise ValueError(f"The batch has no torsions {missing}; add them to its graphs by the transform Torsions()")
    index, atom, number = (batch[name] for name in names)

    def find() -> Turns:
        graph = TORSION.index(batch)
        first = ops.count(graph, batch.num_graphs).cumsum(0).roll(1)
        first[:1] = 0
        last = int(number.max()) if len(number) else -1  # waits for the device, once for a batch
        steps = tuple((number == step).nonzero()[:, 0] for step in range(last + 1))
        return Turns(graph, index[1:3], atom, number + first[batch.batch[atom]], steps)

    return _KNOWN.get([index, atom, number, batch.batch], batch.num_graphs, find)


def dihedrals(pos: Tensor, torsion_index: Tensor) -> Tensor:
    """Measure dihedral angles, positive if d is turned clockwise against a, seen along b-c (IUPAC).

    Args:
        pos: Positions, ``[N, 3]``.
        torsion_index: Atoms a-b-c-d, ``[4, T]``.

    Returns:
        Angles in radians from -pi to pi, ``[T]``; differentiable where no three atoms are in line.
    """
    a, b, c, d = (pos.index_select(0, atoms) for atoms in torsion_index)
    axis = c - b
    first, second = torch.linalg.cross(b - a, axis), torch.linalg.cross(axis, d - c)
    sine = (torch.linalg.cross(first, second) * axis).sum(-1) / axis.norm(dim=-1)
    return torch.atan2(sine, (first * second).sum(-1))


def turn(batch: Batch, angles: Tensor, pos: Tensor | None = None) -> Tensor:
    """Turn the bonds of all graphs, one after another within a graph.

    Args:
        batch: A batch with torsions.
        angles: Angles in radians that are added to the torsions, ``[T]``.
        pos: Positions ``[N, 3]``; by default those of the batch.

    Returns:
        New positions, ``[N, 3]``, differentiable by positions and angles.

    Raises:
        ValueError: If the torsions are missing, or there is not one angle for each.
    """
    turns, pos = turns_of(batch), batch.pos if pos is None else pos
    if angles.shape != turns.graph.shape:
        raise ValueError(f"Expected one angle for each torsion, [{len(turns.graph)}], but got {list(angles.shape)}")
    for rows in turns.steps:
        atom, torsion = turns.atom[rows], turns.torsion[rows]
        unit, arm = _lever(pos, turns.axis[:, torsion], atom)
        cosine, sine = (f(angles[torsion])[:, None] for f in (torch.cos, torch.sin))
        along = (unit * arm).sum(-1, keepdim=True) * unit
        # Rodrigues' formula, as a change of the place.
        shift = (cosine - 1) * (arm - along) + sine * torch.linalg.cross(unit, arm)
        pos = pos.index_add(0, atom, shift.to(pos))
    return pos


def set_torsions(batch: Batch, torsion: Tensor | None = None) -> Batch:
    """Return a shallow copy of a batch whose positions have the given dihedral angles.

    Args:
        batch: A batch with torsions and positions, whose bond lengths, bond angles and rings are kept.
        torsion: Dihedral angles in radians, ``[T, 1]``; by default the attribute ``torsion``, such as a sample.
    """
    torsion = batch.torsion if torsion is None else torsion
    angles = torsion[:, 0] - dihedrals(batch.pos, batch.torsion_index)
    return replace(batch, {"pos": turn(batch, angles), "torsion": torsion})


def torques(batch: Batch, vectors: Tensor, pos: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Compute the torque of vectors at the moved atoms about each bond, and the moment of inertia of these atoms.

    The torque is ``u . sum (x - c) x v`` over the atoms beyond c, with the unit vector u from b to c. For the vectors
    ``v = -dE / dx`` of an energy that rigid motions do not change, it is ``-dE / d angle``. It does not depend on the
    orientation, and changes its sign in the mirror image, if the vectors are equivariant.

    Args:
        batch: A batch with torsions.
        vectors: A vector at each atom, ``[N, 3]``.
        pos: Positions ``[N, 3]``; by default those of the batch.

    Returns:
        The torques and the moments of inertia of unit masses, both ``[T]``.
    """
    turns, pos = turns_of(batch), batch.pos if pos is None else pos
    unit, arm = _lever(pos, turns.axis[:, turns.torsion], turns.atom)
    tangent = torch.linalg.cross(unit, arm)
    parts = torch.stack([(tangent * vectors.index_select(0, turns.atom)).sum(-1), tangent.square().sum(-1)], dim=-1)
    torque, inertia = ops.sum(parts, turns.torsion, len(turns.graph)).unbind(-1)
    return torque, inertia


def _lever(pos: Tensor, axis: Tensor, atom: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors of the axes ``[2, M]``, and the atoms relative to their second ends, each ``[M, 3]``."""
    start, end = (pos.index_select(0, atoms) for atoms in axis)
    return torch.nn.functional.normalize(end - start, dim=-1), pos.index_select(0, atom) - end
