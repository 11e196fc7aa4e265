r"""DPM-Solver++: multistep exponential integrators of second order, with one network evaluation a step.

With ``lambda = log(alpha / std)`` the probability flow is linear in x apart from the posterior mean, which is
extrapolated from this step and the one before. The ratio of their lengths is limited to :data:`MAX_RATIO`: the last
step of most grids is much longer in lambda, but the posterior mean hardly changes there, and extrapolation would
overshoot. (With few steps, Lu et al. take the last one at first order.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.rng import Generator
from graphscore.samplers.base import Sampler
from graphscore.sdes import SDE

MAX_RATIO = 2.0
"""Largest ratio of the lengths of a step and the one before, in lambda, for the extrapolation."""


class DPMSolverSampler(Sampler):
    r"""DPM-Solver++(2M), a deterministic multistep sampler of second order with one evaluation a step.

    References:
        Lu et al. (2022), DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models, algorithm 2.
    """

    order = 2
    stochastic = False

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        x0_hat = model(batch, t)
        before, previous = memory or (None, x0_hat)

        def coefficients(sde: SDE) -> tuple[Tensor, ...]:
            keep = sde.std(s) / sde.std(t)
            gain = sde.alpha(s) - keep * sde.alpha(t)
            ahead = _extrapolation(sde, before, t, s)
            return keep, gain * (1 + ahead), -gain * ahead

        return model.process.combine(batch, coefficients, x0_hat, previous), (t, x0_hat)


class StochasticDPMSolverSampler(Sampler):
    r"""SDE-DPM-Solver++(2M), the stochastic counterpart of :class:`DPMSolverSampler`, with one evaluation a step.

    References:
        Lu et al. (2022), DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models, appendix F.
    """

    order = 2
    stochastic = True

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        x0_hat = model(batch, t)
        before, previous = memory or (None, x0_hat)

        def coefficients(sde: SDE) -> tuple[Tensor, ...]:
            alpha_t, alpha_s, std_t, std_s = sde.alpha(t), sde.alpha(s), sde.std(t), sde.std(s)
            decay = alpha_t * std_s / (alpha_s * std_t)  # exp(-h), h the step in lambda
            gain = alpha_s * (1 - decay**2)
            ahead = _extrapolation(sde, before, t, s)
            return std_s / std_t * decay, gain * (1 + ahead), -gain * ahead, std_s * (1 - decay**2).sqrt()

        moved = model.process.combine(batch, coefficients, x0_hat, previous, generator=generator)
        return moved, (t, x0_hat)


def _extrapolation(sde: SDE, before: Tensor | None, t: Tensor, s: Tensor) -> Tensor:
    """Half the ratio of this step to the previous one, in log noise level: 0 for the first step."""
    if before is None:
        return torch.zeros_like(t)
    level_before, level_t, level_s = sde.level(before), sde.level(t), sde.level(s)
    return ((level_t / level_s).log() / (level_before / level_t).log()).clamp(max=MAX_RATIO) / 2
