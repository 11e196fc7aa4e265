"""Langevin dynamics at falling noise levels, alone or as the corrector of another method's steps."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.generators import Generator
from graphscore.samplers.base import Sampler
from graphscore.samplers.stochastic import EulerMaruyamaSampler, ReverseDiffusionSampler, langevin_step

PREDICTORS: dict[str, type[Sampler]] = {
    "euler-maruyama": EulerMaruyamaSampler,
    "reverse-diffusion": ReverseDiffusionSampler,
}


class PredictorCorrectorSampler(Sampler):
    r"""A predictor step, then Langevin steps at the new time.

    The corrector (:func:`~graphscore.samplers.stochastic.langevin_step`) mends errors of earlier steps and adds its
    own: at a noise level where the data have the variance v, it settles at ``v / (1 - (snr std)^2 / v)``. The order
    holds for small ``snr``.

    Args:
        model: The score model.
        grid: Falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        snr: Signal-to-noise ratio of the corrector.
        num_corrections: Langevin steps after each predictor step.
        predictor: ``"euler-maruyama"`` or ``"reverse-diffusion"``.

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
        grid: Tensor,
        denoise_last: bool = True,
        snr: float = 0.16,
        num_corrections: int = 1,
        predictor: str = "euler-maruyama",
    ) -> None:
        if predictor not in PREDICTORS:
            raise ValueError(f"Unknown predictor {predictor!r}; expected one of {sorted(PREDICTORS)}")
        self.needs_signal = PREDICTORS[predictor].needs_signal
        super().__init__(model, grid, denoise_last)
        _check_langevin(snr, num_corrections)
        self.snr = snr
        self.num_corrections = num_corrections
        self._predictor = PREDICTORS[predictor](model, grid)

    def step(  # noqa: D102 (documented on Sampler)
        self, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        batch, memory = self._predictor.step(batch, t, s, memory, generator)
        for _ in range(self.num_corrections):
            batch = langevin_step(self.model, batch, s, self.snr, generator)
        return batch, memory


class AnnealedLangevinSampler(Sampler):
    r"""Langevin dynamics alone, at one noise level after the other, with no predictor between them.

    From one level to the next the sample is scaled as the data are, by ``alpha_s / alpha_t``. A step forgets only the
    share ``2 snr^2 std^2 / v`` of what it starts from, where the marginal variance is v: below the level of the data
    hardly anything is forgotten, and samples stay too wide unless levels follow closely and have many steps. The bias
    of the corrector in :class:`PredictorCorrectorSampler` comes on top.

    Args:
        model: The score model.
        grid: Falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        snr: Signal-to-noise ratio of the steps.
        num_corrections: Langevin steps at each time.

    Raises:
        ValueError: If ``snr`` or ``num_corrections`` is not positive.

    References:
        Song and Ermon (2019), Generative modeling by estimating gradients of the data distribution, algorithm 1.
        Song and Ermon (2020), Improved techniques for training score-based generative models, algorithm 1.
    """

    order = None
    stochastic = True
    needs_signal = True

    def __init__(
        self,
        model: ScoreModel,
        grid: Tensor,
        denoise_last: bool = True,
        snr: float = 0.16,
        num_corrections: int = 5,
    ) -> None:
        super().__init__(model, grid, denoise_last)
        _check_langevin(snr, num_corrections)
        self.snr = snr
        self.num_corrections = num_corrections

    def step(  # noqa: D102 (documented on Sampler)
        self, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        batch = self.model.process.combine(batch, lambda sde: (sde.alpha(s) / sde.alpha(t),))
        for _ in range(self.num_corrections):
            batch = langevin_step(self.model, batch, s, self.snr, generator)
        return batch, memory


def _check_langevin(snr: float, num_corrections: int) -> None:
    if not snr > 0 or num_corrections < 1:
        raise ValueError(f"snr and num_corrections must be positive, but are {snr} and {num_corrections}")
