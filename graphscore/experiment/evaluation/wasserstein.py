"""Distance of two distributions of numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def wasserstein(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    x_weights: NDArray[np.float64] | None = None,
    y_weights: NDArray[np.float64] | None = None,
    period: float | None = None,
) -> float:
    """Compute the 1-Wasserstein distance of two weighted samples, on a line or a circle.

    Args:
        x: Values ``[n]``.
        y: Values ``[m]``.
        x_weights: Weights ``[n]``, up to a factor; equal by default.
        y_weights: Weights ``[m]``.
        period: Length of the circle; None for a line.

    Returns:
        The distance, in the unit of the values.
    """
    weights = [np.ones(len(v)) if w is None else w for v, w in ((x, x_weights), (y, y_weights))]
    values = np.concatenate([x, y])
    if period is not None:
        values = values % period
    order = np.argsort(values, kind="stable")
    steps = np.concatenate([weights[0] / weights[0].sum(), -weights[1] / weights[1].sum()])[order]
    height, width = np.cumsum(steps)[:-1], np.diff(values[order])
    if period is not None:  # from the last value round to the first, F = G = 1
        height, width = np.append(height, 0.0), np.append(width, period - np.ptp(values))
        ranks = np.argsort(height)
        middle = np.searchsorted(np.cumsum(width[ranks]), 0.5 * period)
        height = height - height[ranks[min(middle, len(ranks) - 1)]]
    return float(np.abs(height) @ width)
