"""Measurement of orders of convergence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from graphscore.rng import GraphGenerator


def observed_order(steps: Sequence[float], errors: Sequence[float]) -> float:
    """Measure an order of convergence: minus the slope of log error over log number of steps, by least squares.

    Args:
        steps: Numbers of steps, at least two different ones.
        errors: Error after each number of steps.

    Returns:
        The order.

    Raises:
        ValueError: If there are fewer than two pairs, or a number is not positive and finite.
    """
    values = torch.tensor([list(steps), list(errors)], dtype=torch.float64)
    if values.shape[1] < 2 or not bool(((values > 0) & values.isfinite()).all()):
        raise ValueError(f"An order needs two or more positive finite steps and errors, but got {steps} and {errors}")
    x, y = values.log()
    x = x - x.mean()
    return -float((x * y).sum() / (x**2).sum())


class GivenDraws(GraphGenerator):
    """Draws that are given, one after the other: for the mean over the noise of a step by quadrature.

    Args:
        draws: What each call of :meth:`randn` returns: shape ``[N, D]``.
    """

    def __init__(self, draws: Sequence[Tensor]) -> None:
        super().__init__([])
        self.draws = draws

    def randn(self, index: Tensor, num_graphs: int, width: int, dtype: torch.dtype) -> Tensor:
        """Return the next of the given draws."""
        self.num_draws += 1
        return self.draws[self.num_draws - 1]


def normal_quadrature(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Find nodes and weights of the mean over a standard normal number, by Gauss and Hermite.

    Args:
        num_nodes: Number of nodes K; polynomials of a degree below 2 K are integrated exactly.

    Returns:
        Nodes and weights, float64, shape ``[K]``; the weights sum to 1.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(num_nodes)
    return nodes, weights / weights.sum()
