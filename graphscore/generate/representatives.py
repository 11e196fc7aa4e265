r"""Representatives of many samples: the few that stand for all, by their distances.

Let Y be one of n samples, drawn by their weights, and d a distance between samples. Of sets S of m samples, the
representatives have a small

.. math::
    \mathbb{E} \min_{s \in S} d(s, Y) + \frac{\lambda}{m} \sum_{s \in S} \mathbb{E} \min_{k \le K} d(s, Y_k),

with independent :math:`Y_1, \dots, Y_K`. If the samples are drawn as the truth is, the first term is the error in
recall to expect, how far a true sample is from the nearest representative, and the second that in precision, how far a
representative is from the nearest of K true samples. The first alone is that of k-medoids. Samples are taken one after
another, each the best next one.

References:
    L. Kaufman, P. J. Rousseeuw (1987), Clustering by means of medoids.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NUM_TRUE = 8  # K: on validation molecules, 4 to 16 give the same


def representatives(
    distances: NDArray[np.float64],
    weights: NDArray[np.float64],
    num: int,
    among: Sequence[int] | None = None,
    first: Sequence[int] = (),
    balance: float = 1.0,
    num_true: int = NUM_TRUE,
) -> list[int]:
    """Choose samples that represent all.

    Args:
        distances: Distances of all pairs, ``[n, n]``, symmetric, with 0 on the diagonal.
        weights: Weights of the samples, ``[n]``, at least 0, with a positive sum.
        num: Number of representatives, or all of ``among`` if those are fewer.
        among: Numbers of the samples that may represent others; all by default.
        first: Those of ``among`` that are representatives in any case.
        balance: Weight of precision against recall, lambda, at least 0.
        num_true: Number of true samples of which the nearest counts for precision, K, at least 1.

    Returns:
        Their numbers, the most important first.

    Raises:
        ValueError: If shapes do not fit, or an argument is out of range.
    """
    size = len(weights)
    if distances.shape != (size, size) or weights.shape != (size,):
        raise ValueError(
            f"Expected distances [n, n] and weights [n], but got {list(distances.shape)} and {list(weights.shape)}"
        )
    if not (weights >= 0).all() or (size and not 0 < weights.sum() < np.inf):
        raise ValueError("Weights must be at least 0, with a positive, finite sum")
    if num < 0 or not balance >= 0 or num_true < 1:
        raise ValueError(
            "Expected num and balance of at least 0 and num_true of at least 1, but got "
            f"{num}, {balance} and {num_true}"
        )
    options = list(range(size) if among is None else dict.fromkeys(among))
    wanted = list(dict.fromkeys(first))
    if not {*wanted} <= {*options} <= {*range(size)}:
        raise ValueError(
            f"Expected numbers of {size} samples, the first ones among the others, but got {among}, {first}"
        )
    weights = weights / weights.sum() if size else weights
    num = min(num, len(options))
    share = balance * _distance_of_nearest(distances, weights, num_true) / max(1, num)
    nearest, chosen = np.full(size, np.inf), list[int]()
    for place in range(num):
        cost = weights @ np.minimum(nearest[:, None], distances[:, options]) + share[options]
        chosen.append(wanted[place] if place < len(wanted) else options[cost.argmin()])
        options.remove(chosen[-1])
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return chosen


def _distance_of_nearest(distances: NDArray[np.float64], weights: NDArray[np.float64], num: int) -> NDArray[np.float64]:
    """Expected distance from each sample to the nearest of ``num`` that are drawn by their weights, ``[n]``."""
    order = np.argsort(distances, axis=1)
    # The mean of a distance is the integral of the chance that it is larger: that all of them are beyond it.
    beyond = np.clip(1 - np.cumsum(weights[order], axis=1), 0, 1) ** num
    steps = np.diff(np.take_along_axis(distances, order, axis=1), axis=1)
    return (steps * beyond[:, :-1]).sum(axis=1)
