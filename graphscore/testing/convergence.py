"""Measurement of orders of convergence."""

from __future__ import annotations

from collections.abc import Sequence

import torch


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
