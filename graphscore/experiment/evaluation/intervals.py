"""Averages over molecules with bootstrap intervals.

Intervals are percentile intervals of 95 % over 1,000 resamples of the molecules with a fixed seed: the same values give
the same interval, and methods measured on the same molecules are resampled alike. They are None for fewer than two
molecules. They measure the uncertainty by the choice of molecules, not that by the seed of the samples.

References:
    B. Efron, R. J. Tibshirani (1993), An introduction to the bootstrap, section 13.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 1000
CONFIDENCE = 0.95

Interval = list[float] | None


def mean_and_median(values: Sequence[float | None]) -> dict[str, Any]:
    """Compute mean and median over molecules with bootstrap intervals; None, for a molecule without value, is left out.

    Returns:
        ``mean`` and ``median``, and their intervals ``mean_ci`` and ``median_ci`` as ``[low, high]``; None where there
        is nothing to average.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    statistics = {"mean": np.mean, "median": np.median}
    out: dict[str, Any] = {name: float(of(known)) if len(known) else None for name, of in statistics.items()}
    return out | {f"{name}_ci": interval(lambda x, of=of: of(x, axis=1), known) for name, of in statistics.items()}


def share(counts: Sequence[int], totals: Sequence[int]) -> dict[str, Any]:
    """Compute a share of conformers with its bootstrap interval: the sum of ``counts`` over that of ``totals``.

    Both have an entry for each molecule.

    Returns:
        ``share`` with its interval ``ci`` as ``[low, high]``, and ``total``; None where there are no conformers.
    """
    pairs = np.array([pair for pair in zip(counts, totals, strict=True) if pair[1]], dtype=np.float64).reshape(-1, 2)
    total = int(pairs[:, 1].sum())
    return {
        "share": float(pairs[:, 0].sum() / total) if total else None,
        "ci": interval(lambda x: x[..., 0].sum(axis=1) / x[..., 1].sum(axis=1), pairs),
        "total": total,
    }


def interval(statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]], values: NDArray[np.float64]) -> Interval:
    """Compute the bootstrap interval of a statistic.

    Args:
        statistic: Maps resamples ``[B, n, ...]`` to the statistic along their second axis, ``[B]``.
        values: One row for each of n molecules.

    Returns:
        ``[low, high]``, or None for fewer than two molecules.
    """
    if len(values) < 2:
        return None
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(statistic(values[_resamples(len(values))]), [tail, 100 - tail])
    return [float(low), float(high)]


@lru_cache(maxsize=8)
def _resamples(num: int) -> NDArray[np.intp]:
    return np.random.default_rng(0).integers(num, size=(NUM_RESAMPLES, num))
