r"""Samplers with fixed steps of the probability-flow ODE: Euler and Heun, also with fresh noise.

If the posterior mean is constant, the flow has the exact solution
``x_s = std_s / std_t x_t + (alpha_s - alpha_t std_s / std_t) x0_hat``. Steps of this form are exact in that case, and
regular at infinite noise levels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel, velocity_coefficients
from graphscore.rng import Generator
from graphscore.samplers.base import Grid, Sampler
from graphscore.sdes import SDE


class EulerSampler(Sampler):
    r"""Euler sampler: first-order steps of the probability flow in the time of the process.

    ``x_s = x_t + (s - t) (alpha' x0_hat + std' eps_hat)``. The usual sampler of flow matching; on the straight path it
    equals DDIM, otherwise DDIM is more accurate. One network evaluation a step.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 13.
        Lipman et al. (2023), Flow matching for generative modeling.
    """

    order = 1
    stochastic = False

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        def coefficients(sde: SDE) -> tuple[Tensor, ...]:
            own, clean = velocity_coefficients(sde, t)
            return 1 + (s - t) * own, (s - t) * clean

        return model.process.combine(batch, coefficients, model(batch, t)), memory


class HeunSampler(Sampler):
    r"""Heun sampler: second-order, deterministic steps of the probability flow, with two network evaluations a step.

    A step is a DDIM step to ``s``, repeated with the mean of the posterior means at its two ends: Heun's method for the
    nonlinear part of the flow, so that few steps from high noise levels stay stable.

    This is not algorithm 1 of Karras et al. (2022), which is :class:`EDMHeunSampler`. Both predict by the same DDIM
    step, and with the levels ``l = std / alpha`` and ``r = l_s / l_t`` both end at
    ``x_s / alpha_s = r x_t / alpha_t + (1 - r) x0``. Here x0 is the mean of the posterior means at ``t`` and at the
    predicted ``s``. There the slopes ``(x / alpha - x0_hat) / l`` are averaged, which gives
    ``x0 = x0_t + (x0_s - x0_t) / (2 r)``: a correction 1 / r times as large. Both are of order 2. They differ for long
    steps, where r is small; which one is more accurate depends on the data and the network.

    References:
        Lu et al. (2022), DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models, section 4
        (data prediction).
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, algorithm 1 (which
        averages slopes instead).
    """

    order = 2
    stochastic = False

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        return heun_step(model, batch, t, s), memory


class KarrasSampler(Sampler):
    r"""Stochastic Heun sampler: each step adds noise, then takes a Heun step from the higher noise level.

    The sample is first diffused forward, by the exact transition of the process, to the level ``(1 + gamma) level``
    with ``gamma = min(churn / S, sqrt(2) - 1)``, but never beyond the first time of the grid. Then follows a step of
    :class:`HeunSampler`. For the step of the reference instead, use :class:`EDMHeunSampler` with a churn.

    Args:
        model: The score model.
        grid: Number of steps S, or falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        churn: Total amount of fresh noise; 0 for none.
        noise_scale: Factor of the fresh noise, slightly above 1 to compensate for detail lost by a network.
        min_level: Smallest noise level ``std / alpha`` to which noise is added.
        max_level: Largest noise level to which noise is added.
        prior_scale: Factor of the prior's standard deviation.

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
        grid: Grid,
        denoise_last: bool = True,
        churn: float = 10.0,
        noise_scale: float = 1.0,
        min_level: float = 0.0,
        max_level: float = math.inf,
        *,
        prior_scale: float = 1.0,
    ) -> None:
        super().__init__(model, grid, denoise_last, prior_scale=prior_scale)
        if churn < 0 or not noise_scale > 0:
            raise ValueError(
                f"churn must be at least 0 and noise_scale positive, but they are {churn} and {noise_scale}"
            )
        self.churn = churn
        self._start = float(self.grid[0])  # a number of the host, so that no step waits for a copy to the device
        self.stochastic = churn > 0
        self.noise_scale = noise_scale
        self.min_level = min_level
        self.max_level = max_level

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        gamma = min(self.churn / self._num_steps, math.sqrt(2) - 1)
        if gamma > 0:
            # One time for all fields: that of the first field's raised level.
            _, first = next(iter(model.process))
            level = first.level(t)
            churned = (level >= self.min_level) & (level <= self.max_level)
            raised = first.time(torch.where(churned, (1 + gamma) * level, level))
            raised = torch.maximum(t, raised.clamp(max=self._start))

            def coefficients(sde: SDE) -> tuple[Tensor, ...]:
                scale, spread = sde.transition(t, raised)
                return scale, self.noise_scale * spread

            batch, t = model.process.combine(batch, coefficients, generator=generator), raised
        return self._follow(model, batch, t, s), memory

    @property
    def _num_steps(self) -> int:
        """Number of steps S among which the churn is divided."""
        return len(self.grid) - 1

    def _follow(self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor) -> Batch:
        """Follow the flow from ``t`` to ``s``."""
        return heun_step(model, batch, t, s)


class EDMHeunSampler(KarrasSampler):
    r"""The published sampler of Karras et al. (EDM): Heun's method in the noise level, stochastic with a churn.

    With ``y = x / alpha`` and the level ``l = std / alpha`` of any process the flow is ``dy / dl = (y - x0_hat) / l``.
    A step is an Euler step from ``l_t`` to ``l_s``, repeated with the mean of the slopes at its two ends. The last
    step, to level 0, is an Euler step and gives the posterior mean: it is ``denoise_last``, and counts as a step for
    the churn. With :func:`~graphscore.times.karras_grid` and :class:`~graphscore.sdes.EDMSDE` this is algorithm 1, and
    algorithm 2 for a positive ``churn``, with two exceptions: levels are never raised beyond the first one, the highest
    on which the model was trained, and the last step adds no noise. For the difference from :class:`HeunSampler`, see
    there.

    Args:
        model: The score model.
        grid: Number of steps S, or falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        churn: Total amount of fresh noise, ``S_churn``; 0 for none.
        noise_scale: Factor of the fresh noise, ``S_noise``.
        min_level: Smallest noise level ``std / alpha`` to which noise is added, ``S_tmin``.
        max_level: Largest noise level to which noise is added, ``S_tmax``.
        prior_scale: Factor of the prior's standard deviation.

    Raises:
        ValueError: If ``churn`` is negative or ``noise_scale`` not positive, or the first level is infinite.

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, algorithms 1 and 2.
    """

    stochastic = False
    needs_signal = True  # slopes are taken by the level, which is infinite where alpha vanishes

    def __init__(
        self,
        model: ScoreModel,
        grid: Grid,
        denoise_last: bool = True,
        churn: float = 0.0,
        noise_scale: float = 1.0,
        min_level: float = 0.0,
        max_level: float = math.inf,
        *,
        prior_scale: float = 1.0,
    ) -> None:
        super().__init__(model, grid, denoise_last, churn, noise_scale, min_level, max_level, prior_scale=prior_scale)

    @property
    def _num_steps(self) -> int:
        return len(self.grid) - 1 + int(self.denoise_last)

    def _follow(self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor) -> Batch:
        def ratio(sde: SDE) -> Tensor:
            return sde.level(s) / sde.level(t)

        def euler(sde: SDE) -> tuple[Tensor, ...]:
            keep = ratio(sde) * sde.alpha(s) / sde.alpha(t)
            return keep, (1 - ratio(sde)) * sde.alpha(s)

        def heun(sde: SDE) -> tuple[Tensor, ...]:
            keep, gain = euler(sde)
            share = 1 / (2 * ratio(sde))
            return keep, (1 - share) * gain, share * gain

        x0_t = model(batch, t)
        x0_s = model(model.process.combine(batch, euler, x0_t), s)
        return model.process.combine(batch, heun, x0_t, x0_s)


def heun_step(model: ScoreModel, batch: Batch, t: Tensor, s: Tensor) -> Batch:
    """Take one Heun step of the probability flow from ``t`` to ``s``, both ``[B]``."""

    def coefficients(sde: SDE) -> tuple[Tensor, ...]:
        keep = sde.std(s) / sde.std(t)
        return keep, sde.alpha(s) - keep * sde.alpha(t)

    x0_t = model(batch, t)
    x0_s = model(model.process.combine(batch, coefficients, x0_t), s)
    middle = {name: (value + x0_s[name]) / 2 for name, value in x0_t.items()}
    return model.process.combine(batch, coefficients, middle)
