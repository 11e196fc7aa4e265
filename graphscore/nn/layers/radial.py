r"""Radial basis functions and cutoff functions of a distance.

All take distances ``[*, 1]``. Bases give ``[*, channels]`` and cutoffs ``[*, 1]``, factors for terms that should fade
out smoothly as the length of an edge approaches the cutoff.

Graphs whose edges have no maximum length need no cutoff. This holds above all for complete graphs, whose nodes noise
spreads far, so that a network with a cutoff would get no information. ``math.inf`` as the cutoff of
:class:`CosineCutoff` or :class:`PolynomialCutoff` gives 1 at all distances. A basis always has a length, but is defined
beyond it: :class:`GaussianBasis` and :class:`BesselBasis` go to zero there, so that a map with a bias gives a constant,
and :class:`ExpNormalBasis` to constants.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphscore.nn.kernels.gaussians import differentiate_gaussians


def _faded(exponent: Tensor) -> Tensor:
    """Compute ``exp(-exponent)``, rounded to zero where it is negligible.

    Processors multiply subnormal numbers far more slowly, and products of small weights with values below the root of
    the smallest normal number become subnormal. An exponential that is subnormal itself takes ten times as long as
    another: exponents are cut off between the two.
    """
    tiny = torch.finfo(exponent.dtype).tiny
    return F.threshold(torch.exp(-exponent.clamp(max=-0.75 * math.log(tiny))), math.sqrt(tiny), 0.0)


class GaussianBasis(nn.Module):
    r"""Gaussians of a distance, centered evenly between 0 and ``stop``.

    Args:
        channels: Number of Gaussians, at least 2.
        stop: Center of the last one.

    Raises:
        ValueError: If a number is out of range.

    Shapes:
        - input: ``[*, 1]``
        - output: ``[*, channels]``

    References:
        Schütt et al. (2017), SchNet: a continuous-filter convolutional neural network for modeling quantum
        interactions.
    """

    def __init__(self, channels: int = 16, stop: float = 5.0) -> None:
        super().__init__()
        _check("GaussianBasis", channels, 2, "stop", stop)
        self.channels = channels
        self.centers: Tensor
        self.register_buffer("centers", torch.linspace(0, stop, channels), persistent=False)
        self.inverse_width = (channels - 1) / stop

    def forward(self, distance: Tensor) -> Tensor:  # noqa: D102
        if torch.compiler.is_compiling():
            return _gaussians(distance, self.centers, self.inverse_width)
        return differentiate_gaussians(_gaussians, distance, self.centers, self.inverse_width)


def _gaussians(distance: Tensor, centers: Tensor, inverse_width: float) -> Tensor:
    scale = inverse_width * math.sqrt(0.5)
    return _faded((distance * scale - centers * scale).square())


class ExpNormalBasis(nn.Module):
    r"""Gaussians of :math:`e^{-5 d / d_\mathrm{stop}}`: close together at short distances, far apart at long ones.

    .. math::
        \phi_k(d) = \exp\left(-\left(\frac{e^{-5 d / d_\mathrm{stop}} - \mu_k}{2 (1 - e^{-5}) / K}\right)^2\right)

    with centers :math:`\mu_k` evenly between :math:`e^{-5}` and 1. Lengths are relative to ``stop``: with 5 this is the
    published basis.

    Args:
        channels: Number K of functions, at least 2.
        stop: Distance at which the last one has its maximum.

    Raises:
        ValueError: If a number is out of range.

    Shapes:
        - input: ``[*, 1]``
        - output: ``[*, channels]``

    References:
        Unke and Meuwly (2019), PhysNet: a neural network for predicting energies, forces, dipole moments, and partial
        charges.
        Thölke and De Fabritiis (2022), TorchMD-NET: equivariant transformers for neural network based molecular
        potentials.
    """

    def __init__(self, channels: int = 16, stop: float = 5.0) -> None:
        super().__init__()
        _check("ExpNormalBasis", channels, 2, "stop", stop)
        self.channels = channels
        self.rate = 5 / stop
        self.centers: Tensor
        self.register_buffer("centers", torch.linspace(1, math.exp(-5), channels), persistent=False)
        self.inverse_width = channels / (2 * (1 - math.exp(-5)))

    def forward(self, distance: Tensor) -> Tensor:  # noqa: D102
        near = torch.exp(-self.rate * distance)
        return _faded(((near - self.centers) * self.inverse_width).square())


class BesselBasis(nn.Module):
    r"""Spherical waves that vanish at the cutoff: :math:`\phi_n(d) = \sqrt{2 / c} \, \sin(n \pi d / c) / d`.

    Values and derivatives are finite at distance 0 too. Beyond the cutoff the functions go on as waves that fade like
    1 / d.

    Args:
        channels: Number of functions, n = 1 to ``channels``.
        cutoff: The distance c, finite.

    Raises:
        ValueError: If a number is out of range.

    Shapes:
        - input: ``[*, 1]``
        - output: ``[*, channels]``

    References:
        Gasteiger, Groß and Günnemann (2020), Directional message passing for molecular graphs.
    """

    def __init__(self, channels: int = 16, cutoff: float = 5.0) -> None:
        super().__init__()
        _check("BesselBasis", channels, 1, "cutoff", cutoff)
        self.channels = channels
        self.norm = math.sqrt(2 / cutoff)
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.arange(1, channels + 1) * (math.pi / cutoff), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:  # noqa: D102
        return self.norm * self.frequencies * _sinc(distance * self.frequencies)


class CosineCutoff(nn.Module):
    r"""The cutoff :math:`(1 + \cos(\pi d / c)) / 2`, and 0 beyond c.

    Its slope is continuous at c, its curvature is not.

    Args:
        cutoff: The distance c; ``math.inf`` gives 1 everywhere.

    Raises:
        ValueError: If ``cutoff`` is not positive.

    Shapes:
        - input: ``[*, 1]``
        - output: ``[*, 1]``

    References:
        Behler (2011), Atom-centered symmetry functions for constructing high-dimensional neural network potentials.
    """

    def __init__(self, cutoff: float = 5.0) -> None:
        super().__init__()
        if not cutoff > 0:
            raise ValueError(f"CosineCutoff: cutoff must be positive, but is {cutoff}")
        self.cutoff = cutoff

    def forward(self, distance: Tensor) -> Tensor:  # noqa: D102
        return 0.5 * (1 + torch.cos((distance / self.cutoff).clamp(max=1) * math.pi))


class PolynomialCutoff(nn.Module):
    r"""A polynomial cutoff whose value, slope and curvature are continuous at c, and 0 beyond.

    With :math:`x = d / c`,

    .. math::
        u(x) = 1 - \frac{(p + 1)(p + 2)}{2} x^p + p (p + 2) x^{p + 1} - \frac{p (p + 1)}{2} x^{p + 2}.

    Args:
        cutoff: The distance c; ``math.inf`` gives 1 everywhere.
        exponent: The power p, at least 2. The larger, the closer to c the function falls.

    Raises:
        ValueError: If ``cutoff`` is not positive, or ``exponent`` less than 2.

    Shapes:
        - input: ``[*, 1]``
        - output: ``[*, 1]``

    References:
        Gasteiger, Groß and Günnemann (2020), Directional message passing for molecular graphs.
    """

    def __init__(self, cutoff: float = 5.0, exponent: int = 6) -> None:
        super().__init__()
        if not cutoff > 0 or exponent < 2:
            raise ValueError(
                f"PolynomialCutoff: needs a positive cutoff and exponent >= 2, but got {cutoff} and {exponent}"
            )
        self.cutoff = cutoff
        self.exponent = exponent

    def forward(self, distance: Tensor) -> Tensor:  # noqa: D102
        p, x = self.exponent, (distance / self.cutoff).clamp(max=1)
        return 1 + x**p * (-(p + 1) * (p + 2) / 2 + x * (p * (p + 2) - x * (p * (p + 1) / 2)))


def _sinc(x: Tensor) -> Tensor:
    """Compute sin(x) / x, with derivatives that are accurate near zero, unlike those of ``torch.sinc``."""
    near = x.abs() < 0.05
    # Each branch gets safe arguments, also where the other is taken, since its zero gradient times infinity is NaN.
    square, apart = torch.where(near, x, 0.0) ** 2, torch.where(near, 1.0, x)
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42))
    return torch.where(near, series, apart.sin() / apart)


def _check(name: str, channels: int, least: int, length_name: str, length: float) -> None:
    if channels < least or not 0 < length < math.inf:
        raise ValueError(
            f"{name}: needs channels >= {least} and a finite {length_name} > 0, but got {channels} and {length}"
        )
