r"""Adaptive sampler: the probability flow with error control and step sizes for each graph.

In the coordinates ``y = x / (alpha + std)`` and ``tau = std / (alpha + std)`` every process is the straight path
``y = (1 - tau) x0 + tau eps``, and the flow is ``dy / dtau = eps_hat - x0_hat``. Both ends are regular points, even if
the noise level is infinite.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import replace
from graphscore.linalg.runge_kutta import State, solve
from graphscore.rng import Generator
from graphscore.samplers.base import Grid, Sampler
from graphscore.samplers.result import Recorder
from graphscore.sdes import SDE


class StraightFlow:
    """The probability flow of a model in straight coordinates, where tau is that of the first field.

    Args:
        model: The score model.
        template: A batch with the graphs and all inputs of the model beside the fields.
    """

    def __init__(self, model: ScoreModel, template: Batch) -> None:
        self.model = model
        self.template = template
        self.index = {name: field.index(template) for name, field in model.process.fields.items()}
        _, self._first = next(iter(model.process))

    def tau(self, t: Tensor) -> Tensor:
        """Compute ``tau = std / (alpha + std)`` of the first field at time ``t``: shape of ``t``, float64."""
        return _tau(self._first, t)

    def time(self, tau: Tensor) -> Tensor:
        """Compute the time at which the first field has the given ``tau``: shape of ``tau``, float64."""
        return self._first.time(tau / (1 - tau)).clamp(max=1)

    def straighten(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        """Convert the fields of a batch at time ``t`` [B] to straight coordinates y, ``[rows, width]`` each."""
        scaled = self.model.process.combine(batch, lambda sde: (1 / (sde.alpha(t) + sde.std(t)),))
        return {name: scaled[name] for name in self.index}

    def bend(self, y: State, t: Tensor) -> Batch:
        """Convert straight coordinates ``y`` to a batch at time ``t`` [B]: the inverse of :meth:`straighten`."""
        batch = replace(self.template, dict(y))
        return self.model.process.combine(batch, lambda sde: (sde.alpha(t) + sde.std(t),))

    def slopes(self, tau: Tensor, y: State) -> dict[str, Tensor]:
        """Compute ``dy / dtau`` at one ``tau`` per graph, ``[B]``: ``[rows, width]`` for each field."""
        t = self.time(tau)
        x0_hat, slopes = self.model(self.bend(y, t), t), {}
        pace = _tau_rate(self._first, t)
        for field, sde in self.model.process:
            own = _tau(sde, t)
            relative = torch.ones_like(own) if sde is self._first else _tau_rate(sde, t) / pace
            name, index = field.name, self.index[field.name]
            slopes[name] = ops.per_row(relative / own, y[name], index) * (y[name] - x0_hat[name])
        return slopes


class AdaptiveSampler(Sampler):
    r"""Probability flow by an adaptive Runge-Kutta method of order 5, with error control for each graph.

    The grid gives the ends and the times at which callbacks are called; between them each graph takes the steps that
    its own error requires, with six evaluations each. Give a grid of two times to let the method choose all steps. The
    number of evaluations of a graph in the result is the number that it would have needed if sampled alone.

    Args:
        model: The score model.
        grid: Number of steps S, or falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        rtol: Relative tolerance of a step.
        atol: Absolute tolerance of a step, in units of the fields' scales.
        max_steps: Largest number of steps between two times of the grid.
        prior_scale: Factor of the prior's standard deviation.

    Raises:
        ValueError: If a tolerance or ``max_steps`` is not positive.
        RuntimeError: When sampling, if a graph does not reach the end within ``max_steps``.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, section 4.3.
        Dormand and Prince (1980), A family of embedded Runge-Kutta formulae.
    """

    order = None
    stochastic = False

    def __init__(
        self,
        model: ScoreModel,
        grid: Grid,
        denoise_last: bool = True,
        rtol: float = 1e-3,
        atol: float = 1e-3,
        max_steps: int = 1000,
        *,
        prior_scale: float = 1.0,
    ) -> None:
        super().__init__(model, grid, denoise_last, prior_scale=prior_scale)
        if not (rtol > 0 and atol > 0) or max_steps < 1:
            raise ValueError(f"rtol, atol and max_steps must be positive, but are {rtol}, {atol} and {max_steps}")
        self.rtol = rtol
        self.atol = atol
        self.max_steps = max_steps

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        flow = StraightFlow(model, batch)
        counted = model.num_evaluations if isinstance(model, Recorder) else 0
        y, num_evaluations, steps = solve(
            flow.slopes, flow.straighten(batch, t), flow.index, flow.tau(t), flow.tau(s),
            rtol=self.rtol, atol=self.atol, step=memory, max_steps=self.max_steps,
        )  # fmt: skip
        if isinstance(model, Recorder):  # evaluations after a graph has reached its end do not count for it
            model.recount(counted, num_evaluations)
        return flow.bend(y, s), steps


def _tau(sde: SDE, t: Tensor) -> Tensor:
    return sde.std(t) / (sde.alpha(t) + sde.std(t))


def _tau_rate(sde: SDE, t: Tensor) -> Tensor:
    alpha, std = sde.alpha(t), sde.std(t)
    return (sde.std_rate(t) * alpha - std * sde.alpha_rate(t)) / (alpha + std) ** 2
