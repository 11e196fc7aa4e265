"""Metrics of poses: errors of bone lengths, and comparison of sets of poses by the mean distance of their joints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.sources import read_files
from graphscore.experiment.evaluation.intervals import interval
from graphscore.experiment.evaluation.two_sample import nearest_neighbor_hits
from graphscore.poses.skeleton import bone_lengths, lengths_of

DISTANCE = "mean distance of the same joints, each pose relative to its root, in metres"
MOST = 2000
"""Most poses of a side that are compared: the first of those in random order, the same each time."""


def joint_positions(items: Sequence[Data]) -> Tensor:
    """Stack the positions of poses of one skeleton, each relative to its root.

    Args:
        items: Poses.

    Returns:
        Shape ``[R, N, 3]``, float64.

    Raises:
        ValueError: If there are none, they have different joints, or a position is not finite.
    """
    if not items:
        raise ValueError("Expected poses, but there are none")
    first = items[0]
    for number, item in enumerate(items):
        if item.pos is None or item.pos.shape != (len(first.joint), 3) or not bool(item.pos.isfinite().all()):
            got = "none" if item.pos is None else list(item.pos.shape)
            raise ValueError(f"Pose {number}: expected finite pos of shape {[len(first.joint), 3]}, but got {got}")
        if not (torch.equal(item.joint, first.joint) and torch.equal(item.parent, first.parent)):
            raise ValueError(f"Pose {number} has other joints than the first: poses of one skeleton can be compared")
    pos = torch.stack([item["pos"] for item in items]).double()
    return pos - pos[:, :1]


def mean_joint_distances(first: Tensor, second: Tensor) -> NDArray[np.float64]:
    """Compute the mean distance of the same joints for all pairs of poses.

    Args:
        first: Poses ``[R, N, 3]``.
        second: Poses ``[G, N, 3]``.

    Returns:
        Shape ``[R, G]``.
    """
    total = torch.zeros(len(first), len(second), dtype=torch.float64)
    for joint in range(first.shape[1]):
        a, b = first[:, joint].double(), second[:, joint].double()
        total += torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    return (total / first.shape[1]).numpy()


def bone_errors(items: Sequence[Data]) -> NDArray[np.float64]:
    """Compute how much bones of poses are longer or shorter than those of their skeletons: the mean over the bones.

    Args:
        items: Poses with ``length`` of the bones.

    Returns:
        Relative errors, one for each pose.
    """
    errors = []
    for item in items:
        wanted, found = lengths_of(item).double(), bone_lengths(item["pos"].double(), item.parent)
        bones = item.parent >= 0
        errors.append(((found - wanted)[bones] / wanted[bones]).abs().mean().item() if bool(bones.any()) else 0.0)
    return np.array(errors)


def compare_poses(
    references: Sequence[Data], generated: Sequence[Data], training: Sequence[Data] = ()
) -> dict[str, Any]:
    """Compare generated poses with reference poses of the same skeleton.

    Args:
        references: Reference poses.
        generated: Generated poses.
        training: Poses that the model was trained on.

    Returns:
        ``bone_length_error``, the relative error of the lengths of bones of generated poses, as the mean over bones and
        poses; ``nearest_neighbor_accuracy`` (1-NNA, best at 0.5), of as many poses of each side as the smaller one has,
        2,000 at most, chosen at random but the same each time; ``recall``, the mean distance of reference poses to the
        nearest generated one, and ``precision``, the reverse; each with a bootstrap interval ``*_ci``. With training
        poses ``nearest_training`` of generated poses and ``nearest_training_of_references``: a model that memorises
        comes nearer than references do.

    Raises:
        ValueError: If a side has no poses, or there are different skeletons.
    """
    sides = [joint_positions(side) for side in (references, generated)]
    if sides[0].shape[1:] != sides[1].shape[1:] or not torch.equal(references[0].joint, generated[0].joint):
        raise ValueError("The generated poses have other joints than the references")
    scores: dict[str, Any] = {"distance": DISTANCE}
    scores |= _with_interval("bone_length_error", bone_errors(generated))
    size = min(MOST, *map(len, sides))
    chosen = [side[torch.randperm(len(side), generator=torch.Generator().manual_seed(0))[:size]] for side in sides]
    tables = [mean_joint_distances(a, b) for a, b in ((chosen[0], chosen[0]), (chosen[1], chosen[1]), chosen)]
    scores |= {"num_compared": size}
    scores |= _with_interval("nearest_neighbor_accuracy", nearest_neighbor_hits(*tables))
    scores |= _with_interval("recall", tables[2].min(1)) | _with_interval("precision", tables[2].min(0))
    if training:
        known = joint_positions(training)
        nearest = [mean_joint_distances(side, known).min(1) for side in chosen]
        scores |= _with_interval("nearest_training", nearest[1])
        scores |= _with_interval("nearest_training_of_references", nearest[0])
    return scores


def evaluate(generated: Path, reference: Path, *, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Compare the generated poses of a file with the reference poses of another; see :func:`compare_poses`.

    Args:
        generated: Generated poses.
        reference: Reference poses.
        progress: Called with (comparisons done, comparisons in all).

    Returns:
        The scores, numbers of poses, ``files``, and ``skipped``: the records that could not be read.

    Raises:
        ValueError: If a file cannot be read, has no poses, or has others than one skeleton.
    """
    sides = [read_files(path) for path in (reference, generated)]
    for path, side in zip((reference, generated), sides, strict=True):
        if not side.items or not all("joint" in item and "parent" in item for item in side.items):
            raise ValueError(f"{path} does not hold poses alone: graphs with joint, parent and pos")
    first, second = (side.items for side in sides)
    scores = compare_poses(first, second)
    if progress is not None:
        progress(1, 1)
    return {
        "files": {"generated": str(generated), "reference": str(reference)},
        "num_references": len(first),
        "num_generated": len(second),
        **scores,
        "skipped": [asdict(failure) for side in sides for failure in side.failures],
    }


def _with_interval(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """Mean of values with its bootstrap interval."""
    return {name: float(values.mean()), f"{name}_ci": interval(lambda some: some.mean(1), values)}
