"""Comparison of two sets of point clouds: 1-NN accuracy, coverage, minimum matching distance, occupancy divergence.

References:
    Achlioptas et al. (2018), Learning representations and generative models for 3D point clouds (coverage, minimum
    matching distance, Jensen-Shannon divergence of occupancy).
    Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests; Yang et al. (2019), PointFlow (1-NN accuracy).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphscore.clouds.distances import CONVENTIONS, Progress, distance_table
from graphscore.experiment.evaluation.intervals import interval
from graphscore.experiment.evaluation.two_sample import nearest_neighbor_hits

MEMORIZED = 0.45
"""1-NN accuracy below which generated clouds are nearer to the references than references are to each other."""
RESOLUTION = 28
"""Cells along each axis of the grid of the occupancy divergence, as in the literature."""


def compare_sets(
    references: Sequence[Tensor],
    generated: Sequence[Tensor],
    distance: str = "chamfer",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare generated clouds with reference clouds as sets.

    Args:
        references: Reference clouds ``[N_i, D]``, in one normalisation.
        generated: Generated clouds ``[M_j, D]``, in the same.
        distance: A key of :data:`~graphscore.clouds.distances.CONVENTIONS`.
        progress: Called with (thousandths done, 1000).

    Returns:
        ``nearest_neighbor_accuracy`` (1-NNA; 0.5 is best, None for sets of different sizes); ``coverage`` (COV), the
        share of references that are the nearest one of a generated cloud; ``recall``, the mean distance of references
        to the nearest generated cloud, which is the minimum matching distance (MMD) of the literature; ``precision``,
        the reverse; each with a bootstrap interval ``*_ci``. ``distance`` and ``convention``; and ``notes``: sentences
        about what is doubtful.

    Raises:
        ValueError: If there are no clouds on one side, or see :func:`~graphscore.clouds.distances.distance_table`.
    """
    if not references or not generated:
        raise ValueError(f"Expected clouds on both sides, but got {len(references)} and {len(generated)}")
    equal = len(references) == len(generated)
    across = distance_table(references, generated, distance, _share_of(progress, 0.0, 0.5 if equal else 1.0))
    covered = np.bincount(across.argmin(0), minlength=len(references)) > 0
    scores: dict[str, Any] = {"distance": distance, "convention": CONVENTIONS[distance]}
    scores |= _with_interval("recall", across.min(1)) | _with_interval("precision", across.min(0))
    scores |= _with_interval("coverage", covered.astype(float))
    notes = list[str]()
    if equal:
        among_references, among_generated = (
            distance_table(side, side, distance, _share_of(progress, before, 0.25))
            for side, before in ((references, 0.5), (generated, 0.75))
        )
        scores |= _with_interval(
            "nearest_neighbor_accuracy", nearest_neighbor_hits(among_references, among_generated, across)
        )
        # Of few clouds, an accuracy may be low by chance: the interval has to leave out that of equal distributions.
        accuracy, (_, high) = scores["nearest_neighbor_accuracy"], scores["nearest_neighbor_accuracy_ci"] or (0, 1)
        if accuracy < MEMORIZED and high < 0.5:
            notes.append(
                f"the 1-NN accuracy of {accuracy:.0%} is below {MEMORIZED:.0%}: generated "
                "clouds are nearer to the references than these are to each other, as copies of them would be"
            )
    else:
        scores |= {"nearest_neighbor_accuracy": None, "nearest_neighbor_accuracy_ci": None}
        notes.append(
            f"there is no 1-NN accuracy: it needs as many generated clouds as references, but there are "
            f"{len(generated)} and {len(references)}"
        )
    return scores | {"notes": notes}


def occupancy_divergence(
    references: Sequence[Tensor], generated: Sequence[Tensor], resolution: int = RESOLUTION
) -> float:
    r"""Measure the Jensen-Shannon divergence of where points of two sets of clouds lie, on a grid over the references.

    The grid is a cube around all reference points; what lies outside of it counts as one more cell.

    Args:
        references: Reference clouds ``[N_i, D]``.
        generated: Generated clouds ``[M_j, D]``.
        resolution: Cells along each axis.

    Returns:
        The divergence in nats, from 0 to :math:`\log 2`.
    """
    sides = [torch.cat(list(side)).detach().cpu().double().numpy() for side in (references, generated)]
    low, high = sides[0].min(0), sides[0].max(0)
    centre, half = (low + high) / 2, float((high - low).max()) / 2 or 1.0
    shares = []
    for points in sides:
        cells = np.floor((points - centre + half) / (2 * half) * resolution)
        cells[cells == resolution] = resolution - 1  # the upper faces of the cube belong to it
        inside = ((cells >= 0) & (cells < resolution)).all(1)
        numbers = np.ravel_multi_index(tuple(cells[inside].astype(int).T), (resolution,) * cells.shape[1])
        counts = np.bincount(numbers, minlength=resolution ** cells.shape[1] + 1).astype(float)
        counts[-1] = (~inside).sum()
        shares.append(counts / counts.sum())
    middle = (shares[0] + shares[1]) / 2
    return float(sum(_relative_entropy(each, middle) for each in shares) / 2)


def _share_of(progress: Progress | None, before: float, share: float) -> Progress | None:
    """Report the progress of a part of the work as that of all of it, in thousandths."""
    if progress is None:
        return None
    return lambda done, of: progress(round(1000 * (before + share * done / of)), 1000)


def _relative_entropy(of: NDArray[np.float64], to: NDArray[np.float64]) -> float:
    some = of > 0
    return float((of[some] * np.log(of[some] / to[some])).sum())


def _with_interval(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """Mean of values with its bootstrap interval."""
    return {name: float(values.mean()), f"{name}_ci": interval(lambda some: some.mean(1), values)}
