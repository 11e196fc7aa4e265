r"""Noise processes: linear stochastic differential equations, given by two functions of time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp
from torch_geometric.data import Batch

from graphscore.fields import Field
from graphscore.linalg.autograd import differentiable, outside_inference_mode
from graphscore.linalg.covariance import Covariance, isotropic
from graphscore.runtime.reprs import options_of

# Smallest alpha, for processes with alpha = 0 at time 1, so that all coefficients stay finite there.
FAINTEST = 1e-12


class SDE(ABC):
    r"""Linear diffusion process ``dx = f(t) x dt + g(t) C^(1/2) dw`` with the kernel ``N(alpha(t) x0, std(t)^2 C)``.

    C is the identity (within the subspace of a zero-mean field) unless a process overrides :meth:`covariance`. A new
    process defines :meth:`alpha` and :meth:`std`; everything else follows. All functions take times of any shape, with
    ``0 < t <= 1``, and compute in float64 whatever the network's type, because differences such as ``std(t)^2`` at
    small t lose all their digits in float32.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, section 3.
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, equations 47 to 51.
    """

    max_time: float = 1.0
    """Default first time of sampling grids: below 1 if the noise level ``std / alpha`` is almost infinite at 1."""

    has_score: bool = True
    """Whether the noise is normal, so that the score follows from the posterior mean."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(options_of(self, defaults=True))})"

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data at time ``t``: float64, shape of ``t``."""

    @abstractmethod
    def std(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise at time ``t``: float64, shape of ``t``."""

    def level(self, t: Tensor) -> Tensor:
        """Noise level ``std(t) / alpha(t)``, rising with ``t``: float64, shape of ``t``."""
        return self.std(t) / self.alpha(t)

    def time(self, level: Tensor) -> Tensor:
        """Time of a noise level, the inverse of :meth:`level`, by bisection on [0, 1]: float64, shape of ``level``."""
        low, high = torch.zeros_like(level, dtype=torch.float64), torch.ones_like(level, dtype=torch.float64)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.level(middle) < level
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def alpha_rate(self, t: Tensor) -> Tensor:
        """Time derivative of :meth:`alpha`: float64, shape of ``t``."""
        return _rate(self.alpha, t)

    def std_rate(self, t: Tensor) -> Tensor:
        """Time derivative of :meth:`std`: float64, shape of ``t``."""
        return _rate(self.std, t)

    def drift_rate(self, t: Tensor) -> Tensor:
        """Rate ``f(t) = d log alpha / dt`` of the linear drift: float64, shape of ``t``."""
        return self.alpha_rate(t) / self.alpha(t)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """Drift ``f(t) x`` of rows ``x`` [N, D] whose times are ``t`` [N]: shape and type of ``x``."""
        return self.drift_rate(t).to(x.dtype)[:, None] * x

    def diffusion(self, t: Tensor) -> Tensor:
        """Diffusion ``g(t)``, from ``g^2 = d std^2 / dt - 2 f std^2``: float64, shape of ``t``."""
        std = self.std(t)
        return (2 * std * (self.std_rate(t) - self.drift_rate(t) * std)).clamp(min=0).sqrt()

    def transition(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        r"""Kernel from time ``s`` to a later ``t``: scale a and standard deviation b of ``x_t ~ N(a x_s, b^2 C)``."""
        scale = self.alpha(t) / self.alpha(s)
        return scale, (self.std(t) ** 2 - (scale * self.std(s)) ** 2).clamp(min=0).sqrt()

    def score_variance(self, t: Tensor) -> Tensor:
        """Mean squared score of the kernel, for each entry: ``1 / std^2``, float64, shape of ``t``."""
        return self.std(t) ** -2

    def prior_std(self, t: float = 1.0) -> float:
        """Standard deviation of the prior ``N(0, std(t)^2 C)`` from which sampling starts at time ``t``.

        Raises:
            ValueError: If ``t`` lies outside (0, 1].
        """
        if not 0 < t <= 1:
            raise ValueError(f"The time at which sampling starts must lie in (0, 1], but is {t}")
        return float(self.std(torch.tensor(t, dtype=torch.float64)))

    def check_field(self, field: Field) -> None:  # noqa: B027 (most processes can diffuse any field)
        """Check that the process can diffuse a field.

        Raises:
            ValueError: If it cannot, with the reason.
        """

    def check_score(self) -> None:
        """Check that there is a score, see :attr:`has_score`.

        Raises:
            ValueError: If there is none.
        """
        if not self.has_score:
            raise ValueError(
                f"{self} is a flow without a score: train by the objective 'flow-matching', and sample by a "
                "deterministic sampler such as 'euler' or 'heun'; or choose another process"
            )

    def covariance(self, batch: Batch, field: Field) -> Covariance:
        """Covariance C of the unit noise of a field on the graphs of a batch."""
        return isotropic(batch, field)


class Scheduled(SDE):
    """Base class of processes whose noise levels at all times are those of another process.

    Args:
        schedule: The other process.
    """

    def __init__(self, schedule: SDE) -> None:
        self.schedule = schedule
        self.max_time = schedule.max_time

    def alpha(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on SDE)
        return self.schedule.alpha(t)

    def std(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on SDE)
        return self.schedule.std(t)

    def level(self, t: Tensor) -> Tensor:  # noqa: D102
        return self.schedule.level(t)

    def time(self, level: Tensor) -> Tensor:  # noqa: D102
        return self.schedule.time(level)

    def alpha_rate(self, t: Tensor) -> Tensor:  # noqa: D102
        return self.schedule.alpha_rate(t)

    def std_rate(self, t: Tensor) -> Tensor:  # noqa: D102
        return self.schedule.std_rate(t)

    def drift_rate(self, t: Tensor) -> Tensor:  # noqa: D102
        return self.schedule.drift_rate(t)

    def diffusion(self, t: Tensor) -> Tensor:  # noqa: D102
        return self.schedule.diffusion(t)


@outside_inference_mode()  # in which PyTorch 2.6 takes all derivatives for zero
def _rate(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """Derivative of a function of times, float64."""
    t = differentiable(t).double().contiguous()  # forward mode rejects expanded times
    return jvp(function, (t,), (torch.ones_like(t),))[1]
