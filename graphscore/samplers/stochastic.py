r"""Samplers of the reverse SDE: Euler-Maruyama, reverse diffusion, ancestral sampling and DDIM.

All steps use the posterior mean, with ``C score = (alpha x0_hat - xt) / std^2``, so that the coefficients are the same
for noise of any covariance C.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.rng import Generator
from graphscore.samplers.base import Grid, Sampler
from graphscore.sdes import SDE


class EulerMaruyamaSampler(Sampler):
    r"""Euler-Maruyama sampler of the reverse SDE ``dx = (f x - g^2 C score) dt + g C^(1/2) dw``.

    Moments converge with order 1. Simple and robust, but slow: it needs hundreds of steps.

    References:
        Anderson (1982), Reverse-time diffusion equation models.
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 6.
    """

    order = 1
    stochastic = True
    needs_signal = True  # the drift has a pole where alpha vanishes

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        def coefficients(sde: SDE) -> tuple[Tensor, ...]:
            spread = sde.diffusion(t) * (t - s).sqrt()
            pull = (spread / sde.std(t)) ** 2
            return 1 - sde.drift_rate(t) * (t - s) - pull, pull * sde.alpha(t), spread

        return model.process.combine(batch, coefficients, model(batch, t), generator=generator), memory


class ReverseDiffusionSampler(Sampler):
    r"""Reverse diffusion sampler: ``x_s = (2 - a) x_t + b^2 C score + b C^(1/2) z``.

    The coefficients are those of the exact forward transition from s to t, ``x_t ~ N(a x_s, b^2 C)``. Moments converge
    with order 1.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, appendix E.
    """

    order = 1
    stochastic = True

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        def coefficients(sde: SDE) -> tuple[Tensor, ...]:
            scale, spread = sde.transition(s, t)
            pull = (spread / sde.std(t)) ** 2
            return 2 - scale - pull, pull * sde.alpha(t), spread

        return model.process.combine(batch, coefficients, model(batch, t), generator=generator), memory


class AncestralSampler(Sampler):
    r"""Ancestral sampler (DDPM): draws ``x_s`` from ``q(x_s | x_t, x0)`` at the posterior mean; DDIM for ``eta = 0``.

    ``x_s = alpha_s x0_hat + sqrt(std_s^2 - n^2) eps_hat + n z`` with ``n = eta b std_s / std_t``, where b is the
    standard deviation of the forward transition from s to t. Order 1 for every eta; also works from pure noise,
    ``alpha = 0``.

    Args:
        model: The score model.
        grid: Number of steps S, or falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        eta: Share of the ancestral noise: 1 for ancestral sampling (DDPM), 0 for DDIM, a first-order step of the
            probability flow.
        prior_scale: Factor of the prior's standard deviation.

    Raises:
        ValueError: If ``eta`` does not lie between 0 and 1.

    References:
        Ho, Jain and Abbeel (2020), Denoising diffusion probabilistic models, algorithm 2.
        Song, Meng and Ermon (2021), Denoising diffusion implicit models, equations 12 and 16.
    """

    order = 1
    stochastic = True

    def __init__(
        self, model: ScoreModel, grid: Grid, denoise_last: bool = True, eta: float = 1.0, *, prior_scale: float = 1.0
    ) -> None:
        super().__init__(model, grid, denoise_last, prior_scale=prior_scale)
        if not 0 <= eta <= 1:
            raise ValueError(f"{type(self).__name__}: eta must lie between 0 and 1, but is {eta}")
        self.eta = eta
        self.stochastic = eta > 0

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        def coefficients(sde: SDE) -> tuple[Tensor, ...]:
            std_t, std_s = sde.std(t), sde.std(s)
            noise = self.eta * sde.transition(s, t)[1] * std_s / std_t
            keep = (std_s**2 - noise**2).clamp(min=0).sqrt() / std_t
            drawn = (noise,) if self.eta else ()
            return keep, sde.alpha(s) - keep * sde.alpha(t), *drawn

        return model.process.combine(batch, coefficients, model(batch, t), generator=generator), memory


class DDIMSampler(AncestralSampler):
    r"""DDIM sampler: deterministic first-order steps of the probability flow, exact for a constant posterior mean.

    Args:
        model: The score model.
        grid: Number of steps S, or falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        eta: Share of the ancestral noise, 0 for none.
        prior_scale: Factor of the prior's standard deviation.

    Raises:
        ValueError: If ``eta`` does not lie between 0 and 1.

    References:
        Song, Meng and Ermon (2021), Denoising diffusion implicit models, equation 12.
    """

    stochastic = False

    def __init__(
        self, model: ScoreModel, grid: Grid, denoise_last: bool = True, eta: float = 0.0, *, prior_scale: float = 1.0
    ) -> None:
        super().__init__(model, grid, denoise_last, eta, prior_scale=prior_scale)


def langevin_step(model: ScoreModel, batch: Batch, t: Tensor, snr: float, generator: Generator) -> Batch:
    r"""Take one step of Langevin dynamics at a fixed time.

    ``x + a C score + sqrt(2 a) C^(1/2) z`` with ``a = 2 (snr std)^2``. Its drift is about ``snr`` times as long as its
    noise. Published code uses ``||z|| / ||score||`` of the sample instead of ``std``. Averaged over the batch, a sample
    then depends on the rest of the batch; for each graph alone, small graphs take huge steps whenever their score is
    close to zero, and samples of an exact score are too wide (without bound for a single number).

    Args:
        model: The score model.
        batch: A batch at time ``t``.
        t: One time per graph, shape ``[B]``.
        snr: Signal-to-noise ratio of the step.
        generator: Source of noise.

    Returns:
        The batch at the same time.
    """

    def coefficients(sde: SDE) -> tuple[Tensor, ...]:
        pull = torch.full_like(t, 2 * snr**2)
        return 1 - pull, pull * sde.alpha(t), 2 * snr * sde.std(t)

    return model.process.combine(batch, coefficients, model(batch, t), generator=generator)
