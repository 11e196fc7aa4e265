"""Variance-exploding processes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphscore.sdes.base import SDE


class VESDE(SDE):
    r"""The variance-exploding process ``dx = sigma^t dw``.

    Its kernel is ``N(x0, std(t)^2 I)`` with ``std(t)^2 = (sigma^(2t) - 1) / (2 ln sigma)``; for large ``sigma`` the
    prior is close to ``N(0, std(1)^2 I)``.

    Args:
        sigma: Base of the exponential growth, above 1.

    Raises:
        ValueError: If ``sigma`` is not above 1.

    References:
        Song (2021), Generative modeling by estimating gradients of the data distribution (blog post and tutorial).
    """

    def __init__(self, sigma: float = 25.0) -> None:
        if not (sigma > 1 and math.isfinite(sigma)):
            raise ValueError(f"VESDE: sigma must be finite and above 1, but is {sigma}")
        self.sigma = sigma
        self._growth = 2 * math.log(sigma)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sigma={self.sigma})"

    def alpha(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on SDE)
        return torch.ones_like(t, dtype=torch.float64)

    def std(self, t: Tensor) -> Tensor:  # noqa: D102
        # expm1: sigma^(2t) - 1 loses all its digits for small t.
        return (torch.expm1(self._growth * t.double()) / self._growth).sqrt()

    def time(self, level: Tensor) -> Tensor:  # noqa: D102
        return torch.log1p(self._growth * level.double() ** 2) / self._growth

    def drift_rate(self, t: Tensor) -> Tensor:  # noqa: D102
        return torch.zeros_like(t, dtype=torch.float64)

    def diffusion(self, t: Tensor) -> Tensor:  # noqa: D102
        return (self._growth / 2 * t.double()).exp()
