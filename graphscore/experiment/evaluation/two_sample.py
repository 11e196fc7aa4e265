"""Two-sample test by nearest neighbors: can generated graphs be told apart from references?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nearest_neighbor_hits(
    among_references: NDArray[np.float64], among_generated: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Tell for each member whether the nearest other member of both sets is of its own set: 1, 0, or 0.5 for a tie.

    The mean is the leave-one-out accuracy of a 1-NN classifier (1-NNA): 0.5 for sets of one distribution, 1 for sets
    that can be told apart, less than 0.5 where generated graphs copy references.

    Args:
        among_references: Distances of references ``[R, R]``.
        among_generated: Distances of generated graphs ``[R, R]``.
        across: Distances of references and generated graphs ``[R, R]``.

    Returns:
        Hits of references, then of generated graphs ``[2 R]``.

    Raises:
        ValueError: If the sets have different sizes: the accuracy of 0.5 has no meaning then.

    References:
        Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests.
    """
    sizes = [len(among_references), len(among_generated)]
    if sizes[0] != sizes[1] or across.shape != (sizes[0], sizes[1]):
        raise ValueError(f"Expected as many generated graphs as references, but got {sizes[1]} and {sizes[0]}")
    hits = []
    for own, other in ((among_references, across), (among_generated, across.T)):
        others = own.copy()
        np.fill_diagonal(others, np.inf)
        same, different = others.min(1), other.min(1)
        hits.append((same < different) + 0.5 * (same == different))
    return np.concatenate(hits)
