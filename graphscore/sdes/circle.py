r"""Processes of angles: noise that is wrapped around the circle.

The line covers the circle: an angle stands for all numbers ``x + 2 pi k``. A process of angles is the process of a
number on the line whose data repeat with the period of the circle, and its score is periodic. Here a posterior mean
``E[x0 | xt]`` is that on the line, next to xt. Every step of every sampler is then the same as for other fields, with
the same order of convergence, as long as the data are not scaled (``alpha = 1``); only the prior, the target of the
training and the result are wrapped.

A periodic :class:`~graphscore.fields.Field` with a variance-exploding process gets :class:`WrappedSDE`, and with
:class:`~graphscore.sdes.rectified.RectifiedSDE` gets :class:`GeodesicSDE`, by :func:`on_circle`.

References:
    De Bortoli et al. (2022), Riemannian score-based generative modelling, section 3.
    Jing et al. (2022), Torsional diffusion for molecular conformer generation, section 3.2.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from graphscore.fields import Field, wrap
from graphscore.sdes import wrapped_normal
from graphscore.sdes.base import SDE, Scheduled
from graphscore.sdes.rectified import RectifiedSDE
from graphscore.sdes.ve import EDMSDE

SMALLEST, LARGEST = 3.0, 5.0
"""Range of the largest noise level of angles, in radians: between a prior that differs from the uniform one by the
share e^-4.5, and scores that are lost in the rounding of float32 angles."""
_SHARP = 1e-3
"""Noise below which the clean angle next to a noisy one is taken as at this level: it is the nearest one at both."""


class CircleSDE(Scheduled):
    """Base class of processes of angles in radians, whose prior is uniform on the circle.

    Args:
        line: Process of the field as it was given, on the line.
        schedule: Process that gives the times their noise levels; by default the same.
    """

    def __init__(self, line: SDE, schedule: SDE | None = None) -> None:
        super().__init__(line if schedule is None else schedule)
        self.line = line

    def check_field(self, field: Field) -> None:  # noqa: D102 (documented on SDE)
        if not field.periodic:
            raise ValueError(f"{self} is a process of angles, but field {field.name!r} is not periodic")

    def noise(self, z: Tensor) -> Tensor:
        """Convert normal numbers to noise of the process: shape of ``z``."""
        return z

    @abstractmethod
    def clean(self, x0: Tensor, xt: Tensor, std: Tensor) -> Tensor:
        """Compute the posterior mean on the line of a clean angle that is known, up to full turns, next to ``xt``.

        It is the target of the training: full turns are lost in the noise, and their mean is known.

        Args:
            x0: Clean angles, ``[rows, width]``.
            xt: Noisy angles, ``[rows, width]``.
            std: Standard deviation of each row, ``[rows, 1]``.
        """

    @abstractmethod
    def offset_std(self, t: Tensor) -> Tensor:
        """Root mean square of ``clean(x0, xt) - xt`` at time ``t``, in radians: float64, shape of ``t``."""

    def prior(self, z: Tensor) -> Tensor:
        """Convert normal numbers to angles of the uniform distribution on the circle: shape of ``z``."""
        return _uniform(z)


class WrappedSDE(CircleSDE):
    r"""Process of angles with wrapped normal noise, ``xt = x0 + std(t) eps mod 2 pi``.

    Args:
        line: Variance-exploding process whose largest noise level is between 3 and 5 radians.

    Raises:
        ValueError: If the process is of another kind or its largest noise level is out of range.

    References:
        Jing et al. (2022), Torsional diffusion for molecular conformer generation, equations 2 and 3.
    """

    def __init__(self, line: SDE) -> None:
        super().__init__(line)
        times = torch.tensor([0.5, 1.0], dtype=torch.float64, device="cpu")  # models may be built on a meta device
        if bool((line.alpha(times) != 1).any()) or type(line).covariance is not SDE.covariance:
            raise ValueError(
                f"Angles cannot be scaled or correlated, as {line} does: choose a variance-exploding process, such "
                f"as GeometricVESDE(sigma_min=0.03, sigma_max=3.2), or RectifiedSDE() for flow matching"
            )
        largest = float(line.std(times[1]))
        if not SMALLEST <= largest <= LARGEST:
            raise ValueError(
                f"The largest noise level of angles must be between {SMALLEST:g} and {LARGEST:g} radians, so that the "
                f"prior is uniform on the circle and the score is not lost in rounding, but that of {line} is "
                f"{largest:.3g}"
            )

    def clean(self, x0: Tensor, xt: Tensor, std: Tensor) -> Tensor:  # noqa: D102 (documented on CircleSDE)
        std = std.clamp(min=_SHARP)
        return xt + std**2 * wrapped_normal.score(xt - x0, std)

    def score_variance(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on SDE)
        return wrapped_normal.score_variance(self.std(t))

    def offset_std(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on CircleSDE)
        return self.std(t) ** 2 * self.score_variance(t).sqrt()


class GeodesicSDE(CircleSDE):
    r"""Flow of angles along the shortest arc from data to uniform noise, ``xt = x0 + t d`` with ``d`` in [-pi, pi).

    The velocity of the path is d, and the model learns its mean by flow matching. There is no score, since the noise is
    not normal: samplers that draw noise are refused.

    Args:
        line: The straight path on the line.

    References:
        Chen and Lipman (2023), Flow matching on general geometries, section 3.2 (geodesics), with time reversed.
    """

    has_score = False

    def __init__(self, line: RectifiedSDE) -> None:
        super().__init__(line, EDMSDE(sigma_max=1.0))

    def noise(self, z: Tensor) -> Tensor:  # noqa: D102 (documented on CircleSDE)
        return _uniform(z)

    def clean(self, x0: Tensor, xt: Tensor, std: Tensor) -> Tensor:  # noqa: D102
        return xt - wrap(xt - x0)

    def offset_std(self, t: Tensor) -> Tensor:  # noqa: D102
        return self.std(t) * (math.pi / math.sqrt(3))


def on_circle(sde: SDE) -> CircleSDE:
    """Return the process of angles that belongs to a process on the line; a process of angles is returned unchanged.

    Raises:
        ValueError: If there is none.
    """
    if isinstance(sde, CircleSDE):
        return sde
    return GeodesicSDE(sde) if isinstance(sde, RectifiedSDE) else WrappedSDE(sde)


def _uniform(z: Tensor) -> Tensor:
    """Map normal numbers to uniform ones between -pi and pi."""
    return math.pi * torch.erf(z / math.sqrt(2))
