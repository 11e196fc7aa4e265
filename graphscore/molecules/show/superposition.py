"""Superposition of the conformers of one molecule for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit.Chem import rdMolAlign
from torch_geometric.data import Data

from graphscore.linalg.kabsch import kabsch
from graphscore.molecules.graph import remove_hydrogens
from graphscore.molecules.metrics.comparison import Attempt, Comparison, prepare
from graphscore.molecules.metrics.rmsd import MAX_MATCHES, best_rmsd, matchings


class Superposed(NamedTuple):
    """Superposed conformers of one molecule; x to the right, y up, z towards the viewer.

    Attributes:
        comparison: The first reference shows its broad side. Other references are superposed on it, and each conformer
            on its closest reference; without references, on the first conformer.
        closest: Number of the closest reference, ``[G]``; 0 without references.
        rmsd: Heavy-atom RMSD to it in Angstrom, ``[G]``; without references, to the first conformer.
    """

    comparison: Comparison
    closest: NDArray[np.intp]
    rmsd: NDArray[np.float64]


def superpose(references: Sequence[Data], attempts: Sequence[Attempt]) -> Superposed:
    """Superpose conformers on their closest references by heavy atoms.

    Equivalent atoms are matched; reflections are not allowed.

    Args:
        references: Conformers of a molecule, in the layout of :mod:`graphscore.molecules.graph`, or none.
        attempts: Generated conformers; atoms may be in another order.

    Raises:
        ValueError: If a reference has no finite coordinates, references are of several molecules, or no conformer has
            coordinates.
    """
    comparison = prepare(references, attempts)
    targets = comparison.references if references else comparison.generated[:1]
    if not len(targets):
        reasons = [failure for failure in comparison.failures if failure]
        raise ValueError(f"No conformer has coordinates{': ' + reasons[0] if reasons else ''}")
    distances = best_rmsd(targets, comparison.generated, matchings(comparison.mol).atoms)
    closest = distances.argmin(axis=0)
    turned = targets[0] @ _broad_side(targets[0] - targets[0].mean(axis=0))
    first = turned - (turned.max(axis=0) + turned.min(axis=0)) / 2
    placed = [first, *(_laid_onto(first, pos, comparison) for pos in targets[1:])]
    conformers = [_laid_onto(placed[k], pos, comparison) for k, pos in zip(closest, comparison.generated, strict=True)]
    shape = (-1, *first.shape)
    moved = replace(
        comparison,
        references=np.array(placed if references else []).reshape(shape),
        generated=np.array(conformers).reshape(shape),
    )
    return Superposed(moved, closest, distances.min(axis=0))


def lead_to(end: NDArray[np.float64], frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Remove rotation and translation from a trajectory that leads to a given conformer.

    The last frame is superposed on the conformer, and each other one on its successor, by all atoms in their order.

    Args:
        end: Coordinates of the conformer, ``[N, 3]``.
        frames: Coordinates of the frames, ``[F, N, 3]``.

    Returns:
        Superposed frames, ``[F, N, 3]``.
    """
    out = np.empty_like(frames)
    for k in reversed(range(len(frames))):
        out[k] = end = _moved(frames[k], frames[k], end)
    return out


def facing(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Remove rotation and translation from a trajectory, whose end shows its broad side.

    Args:
        frames: Coordinates of the frames, ``[F, N, 3]``.

    Returns:
        Superposed frames, ``[F, N, 3]``; x to the right, y up, z towards the viewer.
    """
    end = frames[-1] - frames[-1].mean(axis=0)
    return lead_to(end @ _broad_side(end), frames)


def _laid_onto(target: NDArray[np.float64], pos: NDArray[np.float64], comparison: Comparison) -> NDArray[np.float64]:
    mol, onto = comparison.with_conformer(pos), comparison.with_conformer(target)
    heavy = [remove_hydrogens(side) for side in (mol, onto)]
    pos_heavy = heavy[1].GetConformer().GetPositions()
    if np.linalg.matrix_rank(pos_heavy - pos_heavy.mean(axis=0), tol=0.1) < 2:
        heavy = [mol, onto]  # collinear heavy atoms do not determine the rotation about their line, but hydrogens do
    # The matching of equivalent atoms alone: RDKit's rotations are off by up to 0.005 Å for atoms on a line.
    matched = np.array(rdMolAlign.GetBestAlignmentTransform(*heavy, maxMatches=MAX_MATCHES)[2])
    here, there = (side.GetConformer().GetPositions()[atoms] for side, atoms in zip(heavy, matched.T, strict=True))
    return _moved(pos, here, there)


def _moved(pos: NDArray[np.float64], here: NDArray[np.float64], there: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates after the rigid motion that lays some points onto others, each onto its own."""
    points = torch.from_numpy(here), torch.from_numpy(there)
    rotation = kabsch(*points, torch.zeros(len(here), dtype=torch.long), num_graphs=1)[0].numpy()
    return (pos - here.mean(axis=0)) @ rotation.T + there.mean(axis=0)


def _broad_side(pos: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation ``[3, 3]`` (for rows, from the right) to the principal axes, tilted to show the depth."""
    axes = np.linalg.eigh(pos.T @ pos)[1][:, ::-1]
    along = pos @ axes
    farthest = np.abs(along).argmax(axis=0)
    axes = axes * np.where(along[farthest, range(3)] < 0, -1.0, 1.0)  # else the signs depend on the machine
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    x, y = np.deg2rad(28.0), np.deg2rad(-18.0)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), np.sin(x)], [0, -np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    return axes @ about_y @ about_x
