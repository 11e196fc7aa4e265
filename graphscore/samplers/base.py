"""The loop that all samplers share."""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.denoiser.self_conditioning import carry_estimates, drop_estimates
from graphscore.fields import replace
from graphscore.linalg.autograd import differentiable, outside_inference_mode
from graphscore.rng import Generator
from graphscore.runtime.precision import double_device

Callback = Callable[[int, float, Batch], None]

# Below this, nothing is left of the data in float32: what is divided by alpha would be noise.
FAINT = 1e-6


class Sampler(ABC):
    """Integrate the reverse process along a grid of times.

    A method gives :meth:`step` and declares its :attr:`order`. All graphs of a batch share the grid, and nothing else:
    with a :class:`~graphscore.rng.GraphGenerator` a graph's sample does not depend on its batch mates.

    Args:
        model: The score model; put it into evaluation mode first if it behaves otherwise in training.
        grid: Falling times in (0, 1], shape ``[S + 1]``, from that of the prior on; see :mod:`graphscore.times`.
        denoise_last: Whether to end with the posterior mean at the last time, which removes the noise left there.

    Raises:
        ValueError: If the grid is not a falling sequence of times in (0, 1], or the method or model cannot start at its
            first time.
    """

    order: ClassVar[int | None]
    """Order of convergence in the step size: of single paths (deterministic) or of moments (stochastic); ``None`` for
    methods whose error is not governed by the grid alone."""

    stochastic: bool
    """Whether steps draw noise: of a class, with its default options; of a sampler, with its own."""

    prior_scale: float = 1.0
    """Factor of the prior's standard deviation, to be set on a sampler: below 1, samples start nearer to the middle of
    the prior, so that fewer are outliers and fewer are rare; 1 samples the distribution that was learned."""

    needs_signal: bool = False
    """Whether the method divides by alpha at the first time, so that something must be left of the data there."""

    def __init__(self, model: ScoreModel, grid: Tensor, denoise_last: bool = True) -> None:
        grid = torch.as_tensor(grid, dtype=torch.float64, device="cpu")
        if grid.dim() != 1 or len(grid) < 2 or not bool((grid.diff() < 0).all()) or not 0 < grid[-1] < grid[0] <= 1:
            raise ValueError(
                f"A sampling grid must fall strictly, from at most 1 to above 0, but is {reprlib.repr(grid.tolist())}"
            )
        for who in (self, model):
            for field, sde in model.process if who.needs_signal else ():
                if sde.alpha(grid[0]) < FAINT:
                    raise ValueError(
                        f"{type(who).__name__} divides by alpha, which {sde} brings to {float(sde.alpha(grid[0])):.0e} "
                        f"for field {field.name!r} at the first time, {float(grid[0])}: start the grid at most at "
                        f"{sde.max_time}, or choose another sampler or parametrisation"
                    )
        self.model = model
        self.grid = grid
        self.denoise_last = denoise_last

    @abstractmethod
    def step(self, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator) -> tuple[Batch, Any]:
        """Go from time ``t`` to the earlier time ``s``.

        Args:
            batch: A batch at time ``t``.
            t: This time, the same for all graphs, shape ``[B]``, float64.
            s: Next time, shape ``[B]``, float64.
            memory: What the previous step returned, ``None`` at first; for multistep methods.
            generator: Source of noise.

        Returns:
            The batch at time ``s``, and the memory for the next step.
        """

    def numbered_step(
        self, number: int, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        """Take a step of the grid as :meth:`step` does; for methods that plan each one beforehand.

        Args:
            number: Which, from 0 on.
            batch: As for :meth:`step`, and so are all others.
            t: This time.
            s: Next time.
            memory: What the previous step returned.
            generator: Source of noise.

        Returns:
            The batch at time ``s``, and the memory for the next step.
        """
        return self.step(batch, t, s, memory, generator)

    @outside_inference_mode()
    @torch.no_grad()
    def __call__(self, template: Batch, generator: Generator = None, callback: Callback | None = None) -> Batch:
        """Sample the fields of the given graphs.

        Args:
            template: The graphs; their fields may be missing if they have a ``width``, and are ignored otherwise.
            generator: Source of all randomness; a :class:`~graphscore.rng.GraphGenerator` has a seed per graph.
            callback: Called as ``callback(step, t, batch)`` before the first and after each step, with a batch in units
                of the fields' scales.

        Returns:
            A copy of the template with the fields sampled, in data units: tensors without gradients, which may be
            differentiated later on even if sampling was called inside ``torch.inference_mode()``.
        """
        template = differentiable(template)
        parameter = next(self.model.parameters(), None)
        dtype = None if parameter is None else parameter.dtype
        batch = self.model.process.prior(template, generator, dtype, float(self.grid[0]), self.prior_scale)
        batch = self.integrate(batch, generator, callback)
        if self.denoise_last:
            last = self.grid[-1].to(double_device(batch.batch.device)).expand(batch.num_graphs)
            batch = replace(batch, self.model(batch, last))
        return self.model.process.to_data(drop_estimates(batch, self.model))

    @outside_inference_mode()
    @torch.no_grad()
    def integrate(self, batch: Batch, generator: Generator = None, callback: Callback | None = None) -> Batch:
        """Carry a batch at the first time of the grid to the last, in units of the fields' scales.

        For a self-conditioned model it also carries, from step to step, what was estimated last.
        """
        batch, memory = differentiable(batch), None
        grid = self.grid.to(double_device(batch.batch.device))
        times = self.grid.tolist()
        if callback is not None:
            callback(0, times[0], batch)
        with carry_estimates(self.model) as carry:
            for number in range(1, len(times)):
                t, s = (grid[i].expand(batch.num_graphs) for i in (number - 1, number))
                batch, memory = self.numbered_step(number - 1, batch, t, s, memory, generator)
                batch = carry(batch)
                if callback is not None:
                    callback(number, times[number], batch)
        return batch
