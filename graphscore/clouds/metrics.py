"""Metrics of point clouds: recall and precision of generated clouds, and comparison of sets of clouds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.data import Data

from graphscore.clouds.comparison import compare_sets, occupancy_divergence
from graphscore.clouds.distances import distance_table
from graphscore.data.normalization import check_method, frame_of
from graphscore.data.readers import Failure
from graphscore.data.sources import read_files

NORMALIZATION = "each cloud minus its centroid, in data units"


def evaluate_clouds(groups: Sequence[Sequence[Data]], generated: Sequence[Sequence[Data]]) -> dict[str, Any]:
    """Compare generated clouds with reference clouds, group by group, each cloud relative to its centroid.

    Args:
        groups: Reference clouds of each group, with ``pos``.
        generated: Generated clouds of each group.

    Returns:
        ``recall``, the mean over references of the Chamfer distance to the nearest generated cloud, ``precision``, the
        reverse, both averaged over groups (None if nothing was generated); ``nearest_neighbor_accuracy`` of all
        references and as many generated clouds of each group, by :func:`~graphscore.clouds.comparison.compare_sets`
        (None if there are fewer); and the numbers of groups and clouds.
    """
    recalls, precisions = [], []
    for references, drawn in zip(groups, generated, strict=True):
        if not references or not drawn:
            continue
        table = distance_table(_centered(references), _centered(drawn))
        recalls.append(float(table.min(1).mean()))
        precisions.append(float(table.min(0).mean()))
    return {
        "num_groups": len(groups),
        "num_references": sum(len(group) for group in groups),
        "num_generated": sum(len(group) for group in generated),
        "recall": sum(recalls) / len(recalls) if recalls else None,
        "precision": sum(precisions) / len(precisions) if precisions else None,
        "nearest_neighbor_accuracy": _accuracy(groups, generated),
    }


def _accuracy(groups: Sequence[Sequence[Data]], generated: Sequence[Sequence[Data]]) -> float | None:
    """1-NN accuracy of references and as many generated clouds of each group; None if there are fewer."""
    if not groups or any(len(drawn) < len(group) for group, drawn in zip(groups, generated, strict=True)):
        return None
    some = [item for group, drawn in zip(groups, generated, strict=True) for item in drawn[: len(group)]]
    scores = compare_sets(_centered([item for group in groups for item in group]), _centered(some))
    return scores["nearest_neighbor_accuracy"]


def evaluate(
    generated: Path,
    reference: Path,
    *,
    distance: str = "chamfer",
    normalize: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compare the generated clouds of a file with the reference clouds of another, as two sets.

    Args:
        generated: Generated clouds.
        reference: Reference clouds.
        distance: Distance of two clouds, a key of :data:`~graphscore.clouds.distances.CONVENTIONS`.
        normalize: Normalization of each cloud, one of :data:`graphscore.data.normalization.METHODS`; by default clouds
            are centered alone.
        progress: Called with (thousandths done, 1000).

    Returns:
        Scores and notes of :func:`~graphscore.clouds.comparison.compare_sets`; ``occupancy_divergence``;
        ``normalization`` and numbers; ``files``; and ``skipped``: the records that could not be read, or have no
        points.

    Raises:
        ValueError: If a file cannot be read, or has no clouds; or clouds have no distance, see
            :func:`~graphscore.clouds.distances.distance_table`.
    """
    if normalize is not None:
        check_method(normalize)
    skipped: list[Failure] = []
    sets = []
    for path in (reference, generated):
        result = read_files(path)
        clouds = [item for item in result.items if item.pos is not None and len(item.pos)]
        if not clouds:
            raise ValueError(f"{path} holds no clouds: graphs with points, pos [N, D]")
        skipped += result.failures
        skipped += [Failure(str(path), "graphs", "no points")] * (len(result.items) - len(clouds))
        sets.append(_centered(clouds) if normalize is None else _normalized(clouds, normalize))
    return {
        "files": {"generated": str(generated), "reference": str(reference)},
        "num_references": len(sets[0]),
        "num_generated": len(sets[1]),
        "normalization": NORMALIZATION if normalize is None else normalize,
        **compare_sets(*sets, distance=distance, progress=progress),
        "occupancy_divergence": occupancy_divergence(*sets),
        "skipped": [asdict(failure) for failure in skipped],
    }


def _normalized(clouds: Sequence[Data], method: str) -> list[Tensor]:
    return [frame_of(item["pos"], method).inside(item["pos"]) for item in clouds]


def _centered(clouds: Sequence[Data]) -> list[Tensor]:
    return [item["pos"] - item["pos"].mean(0) for item in clouds]
