"""Distances of point clouds: Chamfer distance and earth mover's distance, of two clouds or of all pairs of two sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from graphscore.registry import unknown

try:
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial import KDTree
    from scipy.spatial.distance import cdist
except ImportError as error:
    raise ImportError('Distances of point clouds need SciPy: pip install "graphscore[clouds]"', name="scipy") from error

Points = NDArray[np.float64]
"""Coordinates ``[N, D]`` of a cloud."""
Progress = Callable[[int, int], None]
"""Called with (parts of the work done, parts in all)."""

CONVENTIONS = {
    "chamfer": "Chamfer distance: means of distances to the nearest point, averaged over both clouds",
    "chamfer-squared": "Chamfer distance: means of squared distances to the nearest point, summed over both clouds",
    "emd": "earth mover's distance: the mean distance of matched points in the best one-to-one matching",
}
"""Distances by name, as words for a report."""


def chamfer_distance(first: Tensor, second: Tensor, squared: bool = False) -> float:
    r"""Measure the Chamfer distance of two point clouds, the mean distance to the nearest point of the other cloud.

    Papers differ by factors of two and by the square, so reports should name the convention, see :data:`CONVENTIONS`.

    Args:
        first: Points ``[N, D]``.
        second: Points ``[M, D]``.
        squared: Whether to take squared distances and to sum the means over both clouds, as PointFlow does, instead of
            plain distances and the average of the two means.

    Returns:
        The distance, in the unit of the points, or its square.

    Raises:
        ValueError: If a cloud is empty or not finite, or the dimensions differ.

    References:
        Fan, Su and Guibas (2017), A point set generation network for 3D object reconstruction from a single image.
        Yang et al. (2019), PointFlow: 3D point cloud generation with continuous normalizing flows.
    """
    return float(distance_table([first], [second], "chamfer-squared" if squared else "chamfer")[0, 0])


def earth_movers_distance(first: Tensor, second: Tensor) -> float:
    """Measure the earth mover's distance of two point clouds exactly: the mean distance of the best matched points.

    Time grows as about the cube of the number of points.

    Args:
        first: Points ``[N, D]``.
        second: As many points ``[N, D]``.

    Returns:
        The distance, in the unit of the points.

    Raises:
        ValueError: If the clouds have different numbers of points, or one is empty or not finite.

    References:
        Rubner, Tomasi and Guibas (2000), The earth mover's distance as a metric for image retrieval.
    """
    return float(distance_table([first], [second], "emd")[0, 0])


def distance_table(
    first: Sequence[Tensor], second: Sequence[Tensor], distance: str = "chamfer", progress: Progress | None = None
) -> NDArray[np.float64]:
    """Measure the distances of all pairs of clouds of two sets.

    Args:
        first: Clouds ``[N_i, D]``.
        second: Clouds ``[M_j, D]``; may be the same object as ``first``, whose table is symmetric.
        distance: A key of :data:`CONVENTIONS`.
        progress: Called with (rows and columns done, those in all).

    Returns:
        Table ``[len(first), len(second)]``.

    Raises:
        ValueError: If a cloud is empty or not finite, the dimensions differ, or, for ``emd``, the numbers of points do.
    """
    if distance not in CONVENTIONS:
        raise unknown(distance, CONVENTIONS, "distance")
    rows = _checked(first)
    columns = rows if first is second else _checked(second)
    dims = {points.shape[1] for points in (*rows, *columns)}
    if len(dims) > 1:
        raise ValueError(f"Expected clouds of one dimension, but got clouds of {sorted(dims)}")
    if distance == "emd":
        numbers = {len(points) for points in (*rows, *columns)}
        if len(numbers) > 1:
            raise ValueError(
                f"The earth mover's distance matches points one to one, but the clouds have {min(numbers)} to "
                f"{max(numbers)} points"
            )
        return _matched(rows, columns, progress)
    return _nearest(rows, columns, distance == "chamfer-squared", progress)


def _checked(clouds: Sequence[Tensor]) -> list[Points]:
    found = []
    for number, cloud in enumerate(clouds):
        points = cloud.detach().cpu().double().numpy()
        if points.ndim != 2 or not points.size:
            raise ValueError(f"Expected clouds of points [N, D], but cloud {number} has the shape {list(points.shape)}")
        if not np.isfinite(points).all():
            raise ValueError(f"Expected finite coordinates, but cloud {number} has others")
        found.append(points)
    return found


def _nearest(
    rows: Sequence[Points], columns: Sequence[Points], squared: bool, progress: Progress | None
) -> NDArray[np.float64]:
    """Chamfer distances; the nearest points of all clouds of one side are found together."""
    trees = len(columns) if rows is columns else len(columns) + len(rows)
    there = _one_way(rows, columns, squared, progress, 0, trees)
    back = there if rows is columns else _one_way(columns, rows, squared, progress, len(columns), trees)
    total = there + back.T
    return total if squared else total / 2


def _one_way(
    sources: Sequence[Points], targets: Sequence[Points], squared: bool, progress: Progress | None, before: int, of: int
) -> NDArray[np.float64]:
    """Mean distance of the points of each source to their nearest points of each target ``[sources, targets]``."""
    if not sources or not targets:
        return np.zeros((len(sources), len(targets)))
    points, sizes = np.concatenate(sources), np.array([len(each) for each in sources])
    starts, table = np.concatenate([[0], sizes[:-1].cumsum()]), np.empty((len(sources), len(targets)))
    for column, target in enumerate(targets):
        found = KDTree(target).query(points)[0]
        table[:, column] = np.add.reduceat(found**2 if squared else found, starts) / sizes
        if progress is not None:
            progress(before + column + 1, of)
    return table


def _matched(rows: Sequence[Points], columns: Sequence[Points], progress: Progress | None) -> NDArray[np.float64]:
    """Earth mover's distances, by the best matching of each pair."""
    table = np.zeros((len(rows), len(columns)))
    for i, first in enumerate(rows):
        for j in range(i + 1 if rows is columns else 0, len(columns)):
            costs = cdist(first, columns[j])
            table[i, j] = costs[linear_sum_assignment(costs)].mean()
        if progress is not None:
            progress(i + 1, len(rows))
    return table + table.T if rows is columns else table
