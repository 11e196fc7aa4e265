"""Predictor-corrector sampling."""

from __future__ import annotations

from typing import Any

import torch
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

    A corrector step is ``x + a score + sqrt(2 a) z`` with ``a = 2 (snr ||z|| / ||score||)^2``, the norms taken over each
    graph alone: averaged over the batch, as is common, they would make a sample depend on its batch mates.

    Args:
        model: The score model.
        grid: Falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        snr: Signal-to-noise ratio r of the corrector.
        num_corrections: Langevin steps after each predictor step.

    Raises:
        ValueError: If ``snr`` or ``num_corrections`` is not positive.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, algorithms 2 and 4.
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
        scores, values, num_graphs = self.model.score(batch, t), {}, batch.num_graphs
        for field, _ in self.model.process:
            x, index, score = batch[field.name], field.index(batch), scores[field.name]
            noise = ops.randn(index, num_graphs, x.shape[1], dtype=x.dtype, generator=generator)
            noise = field.project(noise, index, num_graphs)
            noise_norm, score_norm = (ops.sum(v.square().sum(-1), index, num_graphs) for v in (noise, score))
            # A vanishing score (a single centred node) leaves nothing to correct.
            size = torch.where(score_norm > 0, 2 * self.snr**2 * noise_norm / score_norm, torch.zeros_like(score_norm))
            size = ops.broadcast(size, index)[:, None]
            values[field.name] = x + size * score + (2 * size).sqrt() * noise
        return replace(batch, values)
