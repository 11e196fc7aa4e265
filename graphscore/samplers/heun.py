"""Heun's method for the probability-flow ordinary differential equation."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.fields import replace
from graphscore.generators import Generator
from graphscore.samplers.base import Sampler


class HeunSampler(Sampler):
    r"""Second-order, deterministic sampling: two network evaluations a step.

    In the variables ``y = x / alpha`` and ``level = std / alpha`` every process has the same probability flow,
    ``dy / dlevel = (y - x0_hat) / level``; Heun's method integrates it with level steps.

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, algorithm 1.
    """

    order = 2

    def step(  # noqa: D102 (documented on Sampler)
        self, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        slopes = self._slopes(batch, t)
        trial = self._move(batch, t, s, slopes)
        slopes_s = self._slopes(trial, s)
        return self._move(batch, t, s, {name: (slope + slopes_s[name]) / 2 for name, slope in slopes.items()}), memory

    def _slopes(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        x0_hat, slopes = self.model(batch, t), {}
        for field, sde in self.model.process:
            x, index = batch[field.name], field.index(batch)
            alpha, level = (ops.broadcast(c.to(x), index)[:, None] for c in (sde.alpha(t), sde.level(t)))
            slopes[field.name] = (x / alpha - x0_hat[field.name]) / level
        return slopes

    def _move(self, batch: Batch, t: Tensor, s: Tensor, slopes: dict[str, Tensor]) -> Batch:
        values = {}
        for field, sde in self.model.process:
            x, index = batch[field.name], field.index(batch)
            ratio, distance = sde.alpha(s) / sde.alpha(t), sde.alpha(s) * (sde.level(s) - sde.level(t))
            keep, along = (ops.broadcast(c.to(x), index)[:, None] for c in (ratio, distance))
            values[field.name] = keep * x + along * slopes[field.name]
        return replace(batch, values)
