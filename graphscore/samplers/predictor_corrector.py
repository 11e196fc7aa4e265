"""Samplers with Langevin dynamics: predictor-corrector and annealed Langevin."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.rng import Generator
from graphscore.samplers.base import Grid, Sampler
from graphscore.samplers.stochastic import EulerMaruyamaSampler, ReverseDiffusionSampler, langevin_step
from graphscore.sdes import SDE

PREDICTORS: dict[str, type[Sampler]] = {
    "euler-maruyama": EulerMaruyamaSampler,
    "reverse-diffusion": ReverseDiffusionSampler,
}


class PredictorCorrectorSampler(Sampler):
    r"""Predictor-corrector sampler: a predictor step, then Langevin steps at the new time.

    The corrector (:func:`~graphscore.samplers.stochastic.langevin_step`) reduces errors of earlier steps and adds its
    own: where the marginal variance is v, it converges to ``v / (1 - (snr std)^2 / v)``. The order holds for small
    ``snr``.

    Args:
        model: The score model.
        grid: Number of steps S, or falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        snr: Signal-to-noise ratio of the corrector.
        num_corrections: Number of Langevin steps after each predictor step.
        predictor: ``"euler-maruyama"`` or ``"reverse-diffusion"``.
        prior_scale: Factor of the prior's standard deviation.

    Raises:
        ValueError: If ``snr`` or ``num_corrections`` is not positive, or there is no such predictor.

    References:
        Song and Ermon (2019), Generative modeling by estimating gradients of the data distribution, algorithm 1.
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, algorithm 1.
    """

    order = 1
    stochastic = True

    def __init__(
        self,
        model: ScoreModel,
        grid: Grid,
        denoise_last: bool = True,
        snr: float = 0.16,
        num_corrections: int = 1,
        predictor: str = "euler-maruyama",
        *,
        prior_scale: float = 1.0,
    ) -> None:
        if predictor not in PREDICTORS:
            raise ValueError(f"Unknown predictor {predictor!r}; expected one of {sorted(PREDICTORS)}")
        self.needs_signal = PREDICTORS[predictor].needs_signal
        super().__init__(model, grid, denoise_last, prior_scale=prior_scale)
        _check_langevin(snr, num_corrections)
        self.snr = snr
        self.num_corrections = num_corrections
        self._predictor = PREDICTORS[predictor](model, self.grid)

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        batch, memory = self._predictor.step(model, batch, t, s, memory, generator)
        for _ in range(self.num_corrections):
            batch = langevin_step(model, batch, s, self.snr, generator)
        return batch, memory


class AnnealedLangevinSampler(Sampler):
    r"""Annealed Langevin dynamics: Langevin steps at falling noise levels, without a predictor.

    From one level to the next the sample is scaled like the data, by ``alpha_s / alpha_t``; Langevin steps then remove
    the excess noise. A step removes the share ``4 snr^2 std^2 / v`` of an excess of variance, where v is the marginal
    variance: little of it near and below the level of the data, so that with too few steps samples are far too wide.
    If successive levels ``std / alpha`` differ by factors r close to 1, ``log(r) / (4 snr^2 tolerance)`` steps at each
    leave an excess of the standard deviation of ``tolerance``, whatever the variance of the data. This is the default
    number of steps; if a grid is coarse, steps are taken at levels between its times, too. The cost depends on the
    range of levels alone: 500 evaluations for a range of 1,000 at the default options. All other samplers need fewer.
    (The bias of the corrector in :class:`PredictorCorrectorSampler` vanishes with the noise.)

    Args:
        model: The score model.
        grid: Number of steps S, or falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        snr: Signal-to-noise ratio of the steps, below 1; published settings correspond to 0.16 to 0.22.
        num_corrections: Number of Langevin steps at each time of the grid, and no steps between: the published
            algorithm. By default as many as the tolerance requires.
        tolerance: Largest relative error of the standard deviation of Gaussian data with an exact score.
        prior_scale: Factor of the prior's standard deviation.

    Raises:
        ValueError: If ``snr``, ``num_corrections`` or ``tolerance`` is out of range, or with the given number of steps
            the error for data of unit variance would exceed the tolerance (``math.inf`` allows any error).

    References:
        Song and Ermon (2019), Generative modeling by estimating gradients of the data distribution, algorithm 1.
        Song and Ermon (2020), Improved techniques for training score-based generative models, section 3.3 (numbers of
        steps and step sizes, there for data of no variance) and algorithm 1.
        Jolicoeur-Martineau et al. (2021), Adversarial score matching and improved sampling for image generation,
        section 3 (that the noise lags behind its level).
    """

    order = None
    stochastic = True
    needs_signal = True

    def __init__(
        self,
        model: ScoreModel,
        grid: Grid,
        denoise_last: bool = True,
        snr: float = 0.3,
        num_corrections: int | None = None,
        tolerance: float = 0.05,
        *,
        prior_scale: float = 1.0,
    ) -> None:
        super().__init__(model, grid, denoise_last, prior_scale=prior_scale)
        _check_langevin(snr, 1 if num_corrections is None else num_corrections)
        if not tolerance > 0:
            raise ValueError(f"The tolerance must be positive, but is {tolerance}")
        self.snr = snr
        self.num_corrections = num_corrections
        self.tolerance = tolerance
        self._plans = [self._plan(t, s) for t, s in pairwise(self.grid)]
        if num_corrections is not None:
            self._check_width(num_corrections)

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        # The number of the step is unknown here: the plan of the longest step is enough for any.
        longest = tuple(map(max, zip(*self._plans, strict=True)))
        return self._anneal(model, batch, t, s, *longest, generator=generator), memory

    def numbered_step(  # noqa: D102
        self, number: int, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        return self._anneal(model, batch, t, s, *self._plans[number], generator=generator), memory

    def _anneal(
        self,
        model: ScoreModel,
        batch: Batch,
        t: Tensor,
        s: Tensor,
        num_levels: int,
        num_steps: int,
        generator: Generator,
    ) -> Batch:
        """Go from ``t`` to ``s`` by levels of equal ratios, with ``num_steps`` Langevin steps at each."""
        _, first = next(iter(model.process))
        logs = first.level(t).log(), first.level(s).log()
        for number in range(1, num_levels + 1):
            between = s if number == num_levels else first.time(torch.lerp(*logs, number / num_levels).exp())
            batch = model.process.combine(batch, _rescaling(t, between))
            for _ in range(num_steps):
                batch = langevin_step(model, batch, between, self.snr, generator)
            t = between
        return batch

    def _plan(self, t: Tensor, s: Tensor) -> tuple[int, int]:
        """Numbers of levels from one time of the grid to the next, and of Langevin steps at each."""
        if self.num_corrections is not None:
            return 1, self.num_corrections
        fall = max(float((sde.level(t) / sde.level(s)).log()) for _, sde in self.model.process)
        num_levels = max(1, math.ceil(fall / math.log(_LARGEST_RATIO)))
        wanted = _MARGIN * fall / num_levels / (4 * self.snr**2 * self.tolerance)
        return num_levels, max(1, math.ceil(wanted))

    def _check_width(self, num_corrections: int) -> None:
        """Check that the standard deviation of data of unit variance is right with a number of steps."""
        for field, sde in self.model.process:
            alpha, noise = sde.alpha(self.grid).tolist(), (sde.std(self.grid) ** 2).tolist()
            variance = alpha[0] ** 2 + noise[0]
            for number in range(1, len(alpha)):
                exact = alpha[number] ** 2 + noise[number]
                keep = 1 - 2 * self.snr**2 * noise[number] / exact
                settled = 4 * self.snr**2 * noise[number] / (1 - keep**2)
                variance *= (alpha[number] / alpha[number - 1]) ** 2
                variance = settled + keep ** (2 * num_corrections) * (variance - settled)
            width = math.sqrt(variance / exact)
            if abs(width - 1) > self.tolerance:
                raise ValueError(
                    f"AnnealedLangevinSampler: with num_corrections={num_corrections} and snr={self.snr} on this grid "
                    f"of {len(alpha)} times, samples of field {field.name!r} would come out {width:.3g} times as wide "
                    f"as data of unit variance; leave num_corrections out, or give a larger one or tolerance"
                )


# With levels closer to each other than this ratio, and with the margin, the number of Langevin steps is sufficient.
_LARGEST_RATIO, _MARGIN = 1.3, 1.2


def _rescaling(t: Tensor, s: Tensor) -> Callable[[SDE], tuple[Tensor]]:
    """Coefficients that scale a sample like the data."""
    return lambda sde: (sde.alpha(s) / sde.alpha(t),)


def _check_langevin(snr: float, num_corrections: int) -> None:
    if not 0 < snr < 1 or num_corrections < 1:
        raise ValueError(
            f"snr and num_corrections must be positive, and snr below 1, where Langevin steps diverge; but they are "
            f"{snr} and {num_corrections}"
        )
