"""Predictor-corrector sampling."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import replace
from graphscore.generators import Generator
from graphscore.samplers.base import Sampler
from graphscore.samplers.euler_maruyama import EulerMaruyamaSampler


class PredictorCorrectorSampler(Sampler):
    r"""Euler-Maruyama predictor, then Langevin steps at the new time.

    A corrector step is ``x + a score + sqrt(2 a) z`` with ``a = 2 (snr std)^2``: its drift is about ``snr`` times as
    long as its noise. Published code takes ``||z|| / ||score||`` of the sample for ``std``: averaged over the batch, a
    sample depends on its batch mates; of each graph alone, small graphs take huge steps whenever their score passes
    near zero, and samples of an exact score come out too wide (without bound for a single number).

    The corrector mends errors of earlier steps and adds its own: at a noise level where the data have the variance v,
    it settles at ``v / (1 - (snr std)^2 / v)``. The order holds for small ``snr``.

    Args:
        model: The score model.
        grid: Falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        snr: Signal-to-noise ratio of the corrector.
        num_corrections: Langevin steps after each predictor step.

    Raises:
        ValueError: If ``snr`` or ``num_corrections`` is not positive.

    References:
        Song and Ermon (2019), Generative modeling by estimating gradients of the data distribution, algorithm 1.
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, algorithm 1.
    """

    order = 1

    def __init__(
        self, model: ScoreModel, grid: Tensor, denoise_last: bool = True, snr: float = 0.16, num_corrections: int = 1
    ) -> None:
        super().__init__(model, grid, denoise_last)
        if snr <= 0 or num_corrections < 1:
            raise ValueError(f"snr and num_corrections must be positive, but are {snr} and {num_corrections}")
        self.snr = snr
        self.num_corrections = num_corrections
        self._predictor = EulerMaruyamaSampler(model, grid)

    def step(  # noqa: D102 (documented on Sampler)
        self, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        batch, memory = self._predictor.step(batch, t, s, memory, generator)
        for _ in range(self.num_corrections):
            batch = self._correct(batch, s, generator)
        return batch, memory

    def _correct(self, batch: Batch, t: Tensor, generator: Generator) -> Batch:
        scores, values = self.model.score(batch, t), {}
        for field, sde in self.model.process:
            x, index = batch[field.name], field.index(batch)
            size = 2 * (self.snr * sde.std(t)) ** 2
            pull, kick = (ops.broadcast(c.to(x), index)[:, None] for c in (size, (2 * size).sqrt()))
            noise = ops.randn(index, batch.num_graphs, x.shape[1], dtype=x.dtype, generator=generator)
            noise = field.project(noise, index, batch.num_graphs)
            values[field.name] = x + pull * scores[field.name] + kick * noise
        return replace(batch, values)
