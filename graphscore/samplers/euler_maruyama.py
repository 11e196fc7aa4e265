"""Euler-Maruyama steps of the reverse stochastic differential equation."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.fields import replace
from graphscore.generators import Generator
from graphscore.samplers.base import Sampler


class EulerMaruyamaSampler(Sampler):
    r"""Reverse diffusion ``dx = (f x - g^2 score) dt + g dw`` by Euler-Maruyama.

    Moments converge with order 1. Simple and robust, but slow: hundreds of steps.

    References:
        Anderson (1982), Reverse-time diffusion equation models.
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 6.
    """

    order = 1

    def step(  # noqa: D102 (documented on Sampler)
        self, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        scores, values = self.model.score(batch, t), {}
        for field, sde in self.model.process:
            x, index = batch[field.name], field.index(batch)
            drift, spread = sde.drift_rate(t) * (s - t), sde.diffusion(t) * (t - s).sqrt()
            keep, pull, kick = (ops.broadcast(c.to(x), index)[:, None] for c in (1 + drift, spread**2, spread))
            noise = ops.randn(index, batch.num_graphs, x.shape[1], dtype=x.dtype, generator=generator)
            noise = field.project(noise, index, batch.num_graphs)
            values[field.name] = keep * x + pull * scores[field.name] + kick * noise
        return replace(batch, values), memory
