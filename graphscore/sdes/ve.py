"""Variance-exploding processes: noise is added to data of constant scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphscore.sdes.base import SDE


class _VarianceExploding(SDE):
    """Base of the family: ``alpha = 1`` and no drift."""

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t, dtype=torch.float64)

    def alpha_rate(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t, dtype=torch.float64)

    def drift_rate(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t, dtype=torch.float64)


class _Exponential(_VarianceExploding):
    r"""The process ``dx = g0 e^(k t / 2) dw``, whose variance is ``g0^2 (e^(k t) - 1) / k``."""

    def __init__(self, start: float, growth: float) -> None:
        self._start = start
        self._growth = growth

    def std(self, t: Tensor) -> Tensor:
        # expm1: the difference loses all its digits for small t.
        return self._start * (torch.expm1(self._growth * t.double()) / self._growth).sqrt()

    def time(self, level: Tensor) -> Tensor:
        return torch.log1p(self._growth * (level.double() / self._start) ** 2) / self._growth

    def diffusion(self, t: Tensor) -> Tensor:
        return self._start * (self._growth / 2 * t.double()).exp()


class VESDE(_Exponential):
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
        super().__init__(1.0, 2 * math.log(sigma))


class GeometricVESDE(_Exponential):
    r"""The variance-exploding process whose noise grows geometrically from ``sigma_min`` to ``sigma_max``.

    ``dx = sigma_min r^t sqrt(2 ln r) dw`` with ``r = sigma_max / sigma_min``, and
    ``std(t)^2 = sigma_min^2 (r^(2t) - 1)``. This is the exact kernel, without noise at t = 0; published code omits the
    1.

    Args:
        sigma_min: Smallest noise level, in units of the field's scale.
        sigma_max: Largest noise level, in units of the field's scale.

    Raises:
        ValueError: Unless ``0 < sigma_min < sigma_max``.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, appendix C.
    """

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        if not 0 < sigma_min < sigma_max < math.inf:
            raise ValueError(
                f"GeometricVESDE: needs 0 < sigma_min < sigma_max, but they are {sigma_min} and {sigma_max}"
            )
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max
        growth = 2 * math.log(sigma_max / sigma_min)
        super().__init__(sigma_min * math.sqrt(growth), growth)


class EDMSDE(_VarianceExploding):
    r"""The process of Karras et al. (EDM), with linear noise ``std(t) = sigma_max t``.

    Time is the noise level divided by its largest value.

    Args:
        sigma_max: Largest noise level, in units of the field's scale.

    Raises:
        ValueError: If ``sigma_max`` is not positive.

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, table 1.
    """

    def __init__(self, sigma_max: float = 80.0) -> None:
        if not 0 < sigma_max < math.inf:
            raise ValueError(f"EDMSDE: sigma_max must be positive and finite, but is {sigma_max}")
        self.sigma_max = sigma_max

    def std(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on SDE)
        return self.sigma_max * t.double()

    def time(self, level: Tensor) -> Tensor:  # noqa: D102
        return level.double() / self.sigma_max

    def std_rate(self, t: Tensor) -> Tensor:  # noqa: D102
        return torch.full_like(t, self.sigma_max, dtype=torch.float64)

    def diffusion(self, t: Tensor) -> Tensor:  # noqa: D102
        return self.sigma_max * (2 * t.double()).sqrt()
