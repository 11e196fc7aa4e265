"""Variance-preserving processes: the data shrink as noise is added, and the variance stays at 1 or below."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphscore.sdes.base import FAINTEST, SDE


class _LinearBeta(SDE):
    r"""Base of the families with a linear ``beta(t)``: ``alpha = e^(-B / 2)``, where B is the integral of beta."""

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        if not (beta_min > 0 and beta_min <= beta_max < math.inf):
            raise ValueError(
                f"{type(self).__name__}: needs 0 < beta_min <= beta_max, but they are {beta_min} and {beta_max}"
            )
        self.beta_min = beta_min
        self.beta_max = beta_max

    def _beta(self, t: Tensor) -> Tensor:
        return self.beta_min + (self.beta_max - self.beta_min) * t.double()

    def _integral(self, t: Tensor) -> Tensor:
        t = t.double()
        return self.beta_min * t + (self.beta_max - self.beta_min) / 2 * t**2

    def _time_of_integral(self, integral: Tensor) -> Tensor:
        # The root of the quadratic equation in the form that loses no digits for small times.
        root = (self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * integral).sqrt()
        return 2 * integral / (self.beta_min + root)

    def alpha(self, t: Tensor) -> Tensor:
        return (-self._integral(t) / 2).exp()

    def drift_rate(self, t: Tensor) -> Tensor:
        return -self._beta(t) / 2

    def alpha_rate(self, t: Tensor) -> Tensor:
        return self.drift_rate(t) * self.alpha(t)


class VPSDE(_LinearBeta):
    r"""The variance-preserving process ``dx = -beta(t) x / 2 dt + sqrt(beta(t)) dw`` with linear ``beta(t)``.

    ``alpha = e^(-B / 2)`` and ``std^2 = 1 - e^(-B)``, where B is the integral of beta.

    Args:
        beta_min: Rate at t = 0.
        beta_max: Rate at t = 1.

    Raises:
        ValueError: Unless ``0 < beta_min <= beta_max``.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 11.
    """

    def std(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on SDE)
        return (-torch.expm1(-self._integral(t))).sqrt()

    def level(self, t: Tensor) -> Tensor:  # noqa: D102
        return torch.expm1(self._integral(t)).sqrt()

    def time(self, level: Tensor) -> Tensor:  # noqa: D102
        return self._time_of_integral(torch.log1p(level.double() ** 2))

    def diffusion(self, t: Tensor) -> Tensor:  # noqa: D102
        return self._beta(t).sqrt()


class SubVPSDE(_LinearBeta):
    r"""The sub-variance-preserving process: the mean of :class:`VPSDE` with less noise, ``std = 1 - e^(-B)``.

    ``dx = -beta(t) x / 2 dt + sqrt(beta(t) (1 - e^(-2 B))) dw``.

    Args:
        beta_min: Rate at t = 0.
        beta_max: Rate at t = 1.

    Raises:
        ValueError: Unless ``0 < beta_min <= beta_max``.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 12.
    """

    def std(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on SDE)
        return -torch.expm1(-self._integral(t))

    def level(self, t: Tensor) -> Tensor:  # noqa: D102
        return 2 * (self._integral(t) / 2).sinh()

    def time(self, level: Tensor) -> Tensor:  # noqa: D102
        return self._time_of_integral(2 * (level.double() / 2).asinh())

    def diffusion(self, t: Tensor) -> Tensor:  # noqa: D102
        return (self._beta(t) * -torch.expm1(-2 * self._integral(t))).sqrt()


class CosineVPSDE(SDE):
    r"""The variance-preserving process with the cosine schedule, ``alpha = cos(theta) / cos(theta_0)``.

    ``theta = pi/2 (t + offset) / (1 + offset)`` and theta_0 is its value at t = 0. At time 1, ``alpha = 0``: pure
    noise.

    Args:
        offset: Keeps the noise from starting too slowly; 0 gives ``alpha = cos(pi t / 2)``.

    Raises:
        ValueError: If ``offset`` is negative.

    References:
        Nichol and Dhariwal (2021), Improved denoising diffusion probabilistic models, equation 17, in continuous time.
    """

    max_time = 0.999

    def __init__(self, offset: float = 0.008) -> None:
        if not 0 <= offset < math.inf:
            raise ValueError(f"CosineVPSDE: offset must be finite and at least 0, but is {offset}")
        self.offset = offset
        self._speed = math.pi / 2 / (1 + offset)
        self._first = self._speed * offset

    def alpha(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on SDE)
        turned = self._speed * t.double()
        return ((self._first + turned).cos() / math.cos(self._first)).clamp(min=FAINTEST)

    def std(self, t: Tensor) -> Tensor:  # noqa: D102
        # 1 - alpha^2 as a product of sines, which keeps its digits for small t.
        turned = self._speed * t.double()
        return (turned.sin() * (2 * self._first + turned).sin()).sqrt() / math.cos(self._first)

    def alpha_rate(self, t: Tensor) -> Tensor:  # noqa: D102
        return -self._speed * (self._first + self._speed * t.double()).sin() / math.cos(self._first)

    def time(self, level: Tensor) -> Tensor:  # noqa: D102
        squared = level.double() ** 2
        theta = ((math.sin(self._first) ** 2 + squared).sqrt() / math.cos(self._first)).atan()
        turned = squared * math.cos(self._first) ** 2 / ((1 + squared) * (theta + self._first).sin())
        # At large levels the arcsine is inaccurate; at small ones the difference of angles loses its digits.
        return torch.where(squared < 1, turned.clamp(max=1).asin(), theta - self._first) / self._speed
