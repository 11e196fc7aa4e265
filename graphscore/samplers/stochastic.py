r"""Single steps of the reverse stochastic differential equation.

All are written with the posterior mean: ``C score = (alpha x0_hat - xt) / std^2``, so that noise of any covariance C
takes the same coefficients.
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
    r"""Reverse diffusion ``dx = (f x - g^2 C score) dt + g C^(1/2) dw`` by Euler-Maruyama.

    Moments converge with order 1. Simple and robust, but slow: hundreds of steps.

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
    r"""Reverse steps discretised as the exact forward transition is: ``x_s = (2 - a) x_t + b^2 C score + b C^(1/2) z``.

    The forward transition from s to t is ``x_t ~ N(a x_s, b^2 C)``. Moments converge with order 1.

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
    r"""Draw ``x_s`` from ``q(x_s | x_t, x0)`` at the posterior mean: ancestral sampling, and DDIM with less noise.

    ``x_s = alpha_s x0_hat + sqrt(std_s^2 - n^2) eps_hat + n z`` with ``n = eta b std_s / std_t``, where b is the
    standard deviation of the forward transition from s to t. Order 1 for every eta; works where nothing is left of the
    data.

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
    r"""Deterministic first-order steps, exact where the posterior mean stays the same.

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
    r"""Take one step of Langevin dynamics at fixed time.

    ``x + a C score + sqrt(2 a) C^(1/2) z`` with ``a = 2 (snr std)^2``. Its drift is about ``snr`` times as long as its
    noise. Published code takes ``||z|| / ||score||`` of the sample for ``std``: averaged over the batch, a sample
    depends on its batch mates; of each graph alone, small graphs take huge steps whenever their score passes near zero,
    and samples of an exact score come out too wide (without bound for a single number).

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
