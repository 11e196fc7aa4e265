r"""Fixed steps of the probability-flow ordinary differential equation, and Heun's method with fresh noise.

Where the posterior mean stays the same, the flow is known:
``x_s = std_s / std_t x_t + (alpha_s - alpha_t std_s / std_t) x0_hat``. Steps of this form are exact there, and regular
where the noise level is infinite.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel, velocity_coefficients
from graphscore.generators import Generator
from graphscore.samplers.base import Sampler
from graphscore.sdes import SDE


class EulerSampler(Sampler):
    r"""Euler steps of the probability flow in the process's own time.

    ``x_s = x_t + (s - t) (alpha' x0_hat + std' eps_hat)``. The usual sampler of flow matching; on the straight path it
    equals DDIM, elsewhere DDIM is more accurate. One network evaluation a step.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 13.
        Lipman et al. (2023), Flow matching for generative modeling.
    """

    order = 1
    stochastic = False

    def step(  # noqa: D102 (documented on Sampler)
        self, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        def coefficients(sde: SDE) -> tuple[Tensor, ...]:
            own, clean = velocity_coefficients(sde, t)
            return 1 + (s - t) * own, (s - t) * clean

        return self.model.process.combine(batch, coefficients, self.model(batch, t)), memory


class HeunSampler(Sampler):
    r"""Second-order, deterministic steps of the probability flow: two network evaluations a step.

    A DDIM step to ``s``, then the same step again with the mean of the posterior means at its two ends: Heun's method
    for the part of the flow that is not linear, so that few steps from high noise levels stay stable.

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, algorithm 1.
        Lu et al. (2022), DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models, section 4
        (data prediction).
    """

    order = 2
    stochastic = False

    def step(  # noqa: D102 (documented on Sampler)
        self, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        return heun_step(self.model, batch, t, s), memory


class KarrasSampler(Sampler):
    r"""Heun steps from a somewhat higher noise level, reached by fresh noise: stochastic sampling of second order.

    Each step first diffuses the sample forward, by the exact transition of the process, to the level ``(1 + gamma)
    level`` with ``gamma = min(churn / S, sqrt(2) - 1)``, though never beyond the first time of the grid.

    Args:
        model: The score model.
        grid: Falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        churn: Total amount of fresh noise; 0 for none.
        noise_scale: Factor on the fresh noise, slightly above 1 to make up for detail lost by a network.
        min_level: Smallest noise level ``std / alpha`` to which noise is added.
        max_level: Largest noise level to which noise is added.

    Raises:
        ValueError: If ``churn`` is negative or ``noise_scale`` not positive.

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, algorithm 2.
    """

    order = 2
    stochastic = True

    def __init__(
        self,
        model: ScoreModel,
        grid: Tensor,
        denoise_last: bool = True,
        churn: float = 10.0,
        noise_scale: float = 1.0,
        min_level: float = 0.0,
        max_level: float = math.inf,
    ) -> None:
        super().__init__(model, grid, denoise_last)
        if churn < 0 or not noise_scale > 0:
            raise ValueError(
                f"churn must be at least 0 and noise_scale positive, but they are {churn} and {noise_scale}"
            )
        self.churn = churn
        self.stochastic = churn > 0
        self.noise_scale = noise_scale
        self.min_level = min_level
        self.max_level = max_level

    def step(  # noqa: D102 (documented on Sampler)
        self, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        gamma = min(self.churn / (len(self.grid) - 1), math.sqrt(2) - 1)
        if gamma > 0:
            # One time for all fields: that of the first field's raised level.
            _, first = next(iter(self.model.process))
            level = first.level(t)
            churned = (level >= self.min_level) & (level <= self.max_level)
            raised = first.time(torch.where(churned, (1 + gamma) * level, level))
            raised = torch.maximum(t, torch.minimum(raised, self.grid[0].to(t)))

            def coefficients(sde: SDE) -> tuple[Tensor, ...]:
                scale, spread = sde.transition(t, raised)
                return scale, self.noise_scale * spread

            batch, t = self.model.process.combine(batch, coefficients, generator=generator), raised
        return heun_step(self.model, batch, t, s), memory


def heun_step(model: ScoreModel, batch: Batch, t: Tensor, s: Tensor) -> Batch:
    """Follow the probability flow from ``t`` to ``s``, both ``[B]``, by one step of Heun's method."""

    def coefficients(sde: SDE) -> tuple[Tensor, ...]:
        keep = sde.std(s) / sde.std(t)
        return keep, sde.alpha(s) - keep * sde.alpha(t)

    x0_t = model(batch, t)
    x0_s = model(model.process.combine(batch, coefficients, x0_t), s)
    middle = {name: (value + x0_s[name]) / 2 for name, value in x0_t.items()}
    return model.process.combine(batch, coefficients, middle)
