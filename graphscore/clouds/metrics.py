"""Metrics of point clouds: Chamfer distance, and recall and precision of generated clouds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.readers import Failure
from graphscore.data.sources import read_files


def chamfer_distance(first: Tensor, second: Tensor) -> float:
    r"""Measure the Chamfer distance of two point clouds, the mean distance to the nearest point of the other cloud.

    The means over both clouds are averaged.

    Args:
        first: Points ``[N, D]``.
        second: Points ``[M, D]``.

    Returns:
        The distance, in the unit of the points (distances are not squared).

    Raises:
        ValueError: If a cloud is empty.

    References:
        Fan, Su and Guibas (2017), A point set generation network for 3D object reconstruction from a single image, here
        with unsquared distances and means.
    """
    if not len(first) or not len(second):
        raise ValueError(f"Expected two clouds of points, but got {len(first)} and {len(second)} points")
    distances = torch.cdist(first.double(), second.double())
    return float((distances.min(0).values.mean() + distances.min(1).values.mean()) / 2)


def evaluate_clouds(groups: Sequence[Sequence[Data]], generated: Sequence[Sequence[Data]]) -> dict[str, Any]:
    """Compare generated clouds with reference clouds, group by group, each cloud relative to its centroid.

    Args:
        groups: Reference clouds of each group, with ``pos``.
        generated: Generated clouds of each group.

    Returns:
        ``recall``, the mean over references of the Chamfer distance to the nearest generated cloud, ``precision``, the
        reverse, both averaged over groups (None if nothing was generated), and the numbers of groups and clouds.
    """
    recalls, precisions = [], []
    for references, drawn in zip(groups, generated, strict=True):
        if not references or not drawn:
            continue
        first, second = ([item["pos"] - item["pos"].mean(0) for item in items] for items in (references, drawn))
        table = torch.tensor([[chamfer_distance(a, b) for b in second] for a in first])
        recalls.append(float(table.min(1).values.mean()))
        precisions.append(float(table.min(0).values.mean()))
    return {
        "num_groups": len(groups),
        "num_references": sum(len(group) for group in groups),
        "num_generated": sum(len(group) for group in generated),
        "recall": sum(recalls) / len(recalls) if recalls else None,
        "precision": sum(precisions) / len(precisions) if precisions else None,
    }


def evaluate(generated: Path, reference: Path, *, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Compare the generated clouds of a file with the reference clouds of another; see :func:`evaluate_clouds`.

    Args:
        generated: Generated clouds.
        reference: Reference clouds.
        progress: Called with (sets done, sets in all).

    Returns:
        Recall, precision and numbers; ``files``; and ``skipped``: the records that could not be read, or have no
        points.

    Raises:
        ValueError: If a file cannot be read, or has no clouds.
    """
    skipped: list[Failure] = []
    sets = []
    for path in (reference, generated):
        result = read_files(path)
        clouds = [item for item in result.items if item.pos is not None and len(item.pos)]
        if not clouds:
            raise ValueError(f"{path} holds no clouds: graphs with points, pos [N, D]")
        skipped += result.failures
        skipped += [Failure(str(path), "graphs", "no points")] * (len(result.items) - len(clouds))
        sets.append(clouds)
    report = evaluate_clouds([sets[0]], [sets[1]])
    if progress is not None:
        progress(1, 1)
    files = {"generated": str(generated), "reference": str(reference)}
    return {"files": files, **report, "skipped": [asdict(failure) for failure in skipped]}
