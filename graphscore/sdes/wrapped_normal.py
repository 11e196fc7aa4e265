r"""The wrapped normal distribution: normal numbers modulo :math:`2 \pi`.

Its density is a theta function, which has two series: a sum over the images ``x + 2 pi k``, which converges fast for a
narrow distribution, and a Fourier series, which does so for a wide one. Each is used where a few of its terms are exact
to the rounding of float64.

References:
    Mardia and Jupp (2000), Directional statistics, section 3.5.7.
    Jing et al. (2022), Torsional diffusion for molecular conformer generation, section 3.2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphscore.fields import wrap

_SWITCH = 2.0
"""Standard deviation up to which the density is a sum over images."""
_NUM_IMAGES = 3
"""Images on each side: at the switch, the first one left out adds a share below e^-59."""
_NUM_HARMONICS = 4
"""Harmonics: at the switch, the first one left out adds a share below e^-48 of the first."""
_NUM_NODES = 192
"""Nodes on the circle of the trapezoidal rule for :func:`score_variance`, which converges exponentially."""


def log_density(x: Tensor, std: Tensor) -> Tensor:
    """Compute the log-density of angles around 0 on the circle, in nats.

    Args:
        x: Angles in radians, of any shape.
        std: Standard deviation of the normal number before it is wrapped, in radians; broadcastable to ``x``.

    Returns:
        The broadcast shape, in the type of ``x``.
    """
    return _evaluate(x, std.to(x))[0]


def score(x: Tensor, std: Tensor) -> Tensor:
    """Compute the derivative of :func:`log_density` by the angle, in 1 / rad; arguments and result as there."""
    return _evaluate(x, std.to(x))[1]


def score_variance(std: Tensor) -> Tensor:
    r"""Compute the mean squared score ``E[score^2]``, the Fisher information of the centre, in 1 / rad^2.

    It is ``1 / std^2`` for a narrow distribution and ``2 exp(-std^2)`` for a wide one.

    Args:
        std: Standard deviation in radians, any shape.

    Returns:
        Shape of ``std``, float64 if ``std`` is.
    """
    nodes = (torch.arange(_NUM_NODES // 2, device=std.device, dtype=std.dtype) + 0.5) * (2 * math.pi / _NUM_NODES)
    # The integral over half of the circle, the other half being the same. Below the smallest width the integrand is
    # that of a normal number to within rounding, but narrower than the distance of two nodes.
    wide = std.clamp(min=_NARROW)[..., None]
    log, slope = _evaluate(nodes, wide)
    return torch.where(std < _NARROW, std**-2, (log.exp() * slope**2).sum(-1) * (4 * math.pi / _NUM_NODES))


_NARROW = 0.35
"""Below this width the distribution is normal to within rounding: at the antipode its density is e^-40."""


def _evaluate(x: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Log-density and score; each series is computed within its own range, so that neither overflows."""
    x = wrap(x)
    narrow, wide = _by_images(x, std.clamp(max=_SWITCH)), _by_harmonics(x, std.clamp(min=_SWITCH))
    log, slope = (torch.where(std <= _SWITCH, a, b) for a, b in zip(narrow, wide, strict=True))
    return log, slope


def _by_images(x: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    turns = 2 * math.pi * torch.arange(-_NUM_IMAGES, _NUM_IMAGES + 1, device=x.device, dtype=x.dtype)
    images = x[..., None] + turns
    logs = -(images**2) / (2 * std[..., None] ** 2)
    mean = (logs.softmax(-1) * images).sum(-1)
    return logs.logsumexp(-1) - std.log() - math.log(2 * math.pi) / 2, -mean / std**2


def _by_harmonics(x: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    order = torch.arange(1, _NUM_HARMONICS + 1, device=x.device, dtype=x.dtype)
    weights = 2 * (-(order**2) * std[..., None] ** 2 / 2).exp()
    angles = order * x[..., None]
    excess = (weights * angles.cos()).sum(-1)
    return excess.log1p() - math.log(2 * math.pi), -(order * weights * angles.sin()).sum(-1) / (1 + excess)
