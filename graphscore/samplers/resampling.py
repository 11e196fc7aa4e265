"""Resampling (RePaint): each step is taken back by forward diffusion and repeated."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.registry import find, resolve
from graphscore.rng import Generator
from graphscore.samplers.base import Grid, Sampler


class ResamplingSampler(Sampler):
    r"""Resampling sampler (RePaint): repeats each step of another sampler after diffusing forward again.

    Forward diffusion is the exact transition of the process. Going back and forth lets the rest of a sample adapt to a
    part that is fixed by :class:`~graphscore.guidance.inpainting.Inpainting`, and costs ``num_resamples`` times the
    evaluations. Without a fixed part, samples have the same distribution, apart from the discretisation errors of more
    steps.

    Args:
        model: The score model.
        grid: Number of steps S, or falling times in (0, 1], shape ``[S + 1]``.
        denoise_last: Whether to end with the posterior mean at the last time.
        method: The sampler whose steps are repeated: a key of ``graphscore.samplers.SAMPLERS``, or a class. Multistep
            methods start afresh whenever noise is added.
        num_resamples: Number of times each step is taken; 1 is the method itself.
        jump: Number of steps that are taken back together.
        options: Further options of the method.
        prior_scale: Factor of the prior's standard deviation.

    Raises:
        ValueError: If there is no such method, it cannot start at the first time, or a number is not positive.

    References:
        Lugmayr et al. (2022), RePaint: inpainting using denoising diffusion probabilistic models, algorithm 1 and
        section 4.2 (jumps).
    """

    order = None
    stochastic = True

    def __init__(
        self,
        model: ScoreModel,
        grid: Grid,
        denoise_last: bool = True,
        method: str | type[Sampler] = "ancestral",
        num_resamples: int = 5,
        jump: int = 1,
        options: Mapping[str, Any] | None = None,
        *,
        prior_scale: float = 1.0,
    ) -> None:
        super().__init__(model, grid, denoise_last, prior_scale=prior_scale)
        if num_resamples < 1 or jump < 1:
            raise ValueError(f"num_resamples and jump must be positive, but are {num_resamples} and {jump}")
        # The registry is imported here, since it contains this sampler.
        kind = find(method, resolve("graphscore.samplers:SAMPLERS"), "sampler") if isinstance(method, str) else method
        self.method: Sampler = kind(model, self.grid, denoise_last, **(options or {}))
        self.num_resamples = num_resamples
        self.jump = jump
        goes_back = num_resamples > 1 and jump < len(self.grid)
        self.stochastic = goes_back or self.method.stochastic

    def step(  # noqa: D102 (documented on Sampler)
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        return self._repeat(None, model, batch, t, s, memory, generator)

    def numbered_step(  # noqa: D102
        self, number: int, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        return self._repeat(number, model, batch, t, s, memory, generator)

    def _repeat(
        self,
        number: int | None,
        model: ScoreModel,
        batch: Batch,
        t: Tensor,
        s: Tensor,
        memory: Any,
        generator: Generator,
    ) -> tuple[Batch, Any]:
        passed, inner = memory or ((t,), None)
        batch, inner = self._take(number, model, batch, t, s, inner, generator)
        passed = (*passed, s)
        if len(passed) <= self.jump:
            return batch, (passed, inner)
        for _ in range(self.num_resamples - 1):
            batch = model.process.combine(batch, lambda sde: sde.transition(s, passed[0]), generator=generator)
            inner = None
            for back, (before, after) in enumerate(pairwise(passed), start=1 - self.jump):
                which = None if number is None else number + back
                batch, inner = self._take(which, model, batch, before, after, inner, generator)
        return batch, ((s,), inner)

    def _take(
        self,
        number: int | None,
        model: ScoreModel,
        batch: Batch,
        t: Tensor,
        s: Tensor,
        inner: Any,
        generator: Generator,
    ) -> tuple[Batch, Any]:
        if number is None:
            return self.method.step(model, batch, t, s, inner, generator)
        return self.method.numbered_step(number, model, batch, t, s, inner, generator)
