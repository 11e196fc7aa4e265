"""The loop that all samplers share."""

from __future__ import annotations

import math
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.denoiser.self_conditioning import drop_estimates, is_self_conditioned, with_estimates
from graphscore.fields import replace
from graphscore.linalg.autograd import differentiable, outside_inference_mode
from graphscore.rng import Generator
from graphscore.runtime.precision import double_device
from graphscore.runtime.reprs import options_of
from graphscore.samplers.result import Recorder, SamplerResult
from graphscore.times import karras_grid

Callback = Callable[[int, float, Batch], None]
Grid = Tensor | int

# Below this, nothing is left of the data in float32: what is divided by alpha would be noise.
FAINT = 1e-6


class Sampler(ABC):
    """Integrate the reverse process along a grid of times.

    A method gives :meth:`step` and declares its :attr:`order`. All graphs of a batch share the grid, and nothing else:
    with a :class:`~graphscore.rng.GraphGenerator` a graph's sample does not depend on its batch mates.

    Args:
        model: The score model; put it into evaluation mode first if it behaves otherwise in training.
        grid: Number of steps S, on the Karras grid of the first field's process; or falling times in (0, 1], from that
            of the prior on, shape ``[S + 1]``, see :mod:`graphscore.times`.
        denoise_last: Whether to end with the posterior mean at the last time, which removes the noise left there.
        prior_scale: Factor of the prior's standard deviation: below 1, samples start nearer to the middle of the
            prior, so that fewer are outliers and fewer are rare; 1 samples the distribution that was learned.

    Raises:
        ValueError: If the grid is not a falling sequence of times in (0, 1] or has no step, the method or model cannot
            start at its first time, or ``prior_scale`` is not positive.
    """

    order: ClassVar[int | None]
    """Order of convergence in the step size: of single paths (deterministic) or of moments (stochastic); ``None`` for
    methods whose error is not governed by the grid alone."""

    stochastic: bool
    """True if steps draw noise: of a class, with its default options; of a sampler, with its own."""

    needs_signal: bool = False
    """True if the method divides by alpha at the first time, where something must then be left of the data."""

    def __init__(self, model: ScoreModel, grid: Grid, denoise_last: bool = True, *, prior_scale: float = 1.0) -> None:
        if not 0 < prior_scale < math.inf:
            raise ValueError(f"prior_scale must be positive and finite, but is {prior_scale}")
        grid = _as_times(grid, model)
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
        self.prior_scale = prior_scale

    def __repr__(self) -> str:
        options = options_of(self, skip=("model", "grid"))
        steps = f"{len(self.grid) - 1} steps from t = {float(self.grid[0]):g} to {float(self.grid[-1]):.3g}"
        return f"{type(self).__name__}({', '.join([type(self.model).__name__, steps, *options])})"

    @abstractmethod
    def step(
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        """Go from time ``t`` to the earlier time ``s``.

        Args:
            model: What to evaluate: the sampler's model, which in a run keeps its estimates and counts evaluations.
            batch: A batch at time ``t``.
            t: This time, the same for all graphs, shape ``[B]``, float64.
            s: Next time, shape ``[B]``, float64.
            memory: What the previous step returned, ``None`` at first; for multistep methods.
            generator: Source of noise.

        Returns:
            The batch at time ``s``, and the memory for the next step.
        """

    def numbered_step(
        self, number: int, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        """Take a step of the grid as :meth:`step` does; for methods that plan each one beforehand.

        Args:
            number: Which, from 0 on.
            model: As for :meth:`step`, and so are all others.
            batch: A batch at time ``t``.
            t: This time.
            s: Next time.
            memory: What the previous step returned.
            generator: Source of noise.

        Returns:
            The batch at time ``s``, and the memory for the next step.
        """
        return self.step(model, batch, t, s, memory, generator)

    @outside_inference_mode()
    @torch.no_grad()
    def __call__(
        self,
        template: Batch,
        generator: Generator = None,
        callback: Callback | None = None,
        *,
        progress: bool = False,
    ) -> SamplerResult:
        """Sample the fields of the given graphs.

        Args:
            template: The graphs; their fields may be missing if they have a ``width``, and are ignored otherwise.
            generator: Source of all randomness; a :class:`~graphscore.rng.GraphGenerator` has a seed per graph.
            callback: Called as ``callback(step, t, batch)`` before the first and after each step, with a copy of the
                template whose fields are those of time ``t``, in data units.
            progress: Whether to show a bar of the steps (by tqdm).

        Returns:
            The sample, a copy of the template with the fields in data units, with the last estimates and the number of
            evaluations. Its tensors have no gradients, and may be differentiated later on even if sampling was called
            inside ``torch.inference_mode()``.
        """
        template = differentiable(template)
        process, model = self.model.process, Recorder(self.model)
        parameter = next(self.model.parameters(), None)
        dtype = None if parameter is None else parameter.dtype
        batch = process.prior(template, generator, dtype, float(self.grid[0]), self.prior_scale)

        def in_data_units(noisy: Batch) -> Batch:
            return process.to_data(drop_estimates(noisy, self.model))

        with _bar(self, progress) as advance:

            def watch(step: int, t: float, noisy: Batch) -> None:
                advance(step)
                if callback is not None:
                    callback(step, t, in_data_units(noisy))

            batch = self._integrate(model, batch, generator, watch)
        if self.denoise_last:
            last = self.grid[-1].to(double_device(batch.batch.device)).expand(batch.num_graphs)
            batch = replace(batch, model(batch, last))
        return model.result(in_data_units(batch), {name: field.scale for name, field in process.fields.items()})

    @outside_inference_mode()
    @torch.no_grad()
    def integrate(self, batch: Batch, generator: Generator = None, callback: Callback | None = None) -> SamplerResult:
        """Carry a batch at the first time of the grid to the last, in units of the fields' scales.

        For a self-conditioned model it also carries, from step to step, what was estimated last.

        Args:
            batch: A batch at the first time.
            generator: Source of all randomness.
            callback: Called as ``callback(step, t, batch)`` before the first and after each step, in the same units.

        Returns:
            The batch at the last time, the last estimates, all in the same units, and the number of evaluations.
        """
        model = Recorder(self.model)
        return model.result(self._integrate(model, batch, generator, callback))

    def _integrate(self, model: Recorder, batch: Batch, generator: Generator, callback: Callback | None) -> Batch:
        batch, memory = differentiable(batch), None
        grid = self.grid.to(double_device(batch.batch.device))
        times, carries = self.grid.tolist(), is_self_conditioned(self.model)
        if callback is not None:
            callback(0, times[0], batch)
        for number in range(1, len(times)):
            t, s = (grid[i].expand(batch.num_graphs) for i in (number - 1, number))
            batch, memory = self.numbered_step(number - 1, model, batch, t, s, memory, generator)
            if carries and model.x0_hat is not None:
                batch = with_estimates(batch, model.x0_hat)
            if callback is not None:
                callback(number, times[number], batch)
        if model.x0_hat is None:
            raise RuntimeError(f"{type(self).__name__}.step did not evaluate the model that it was given")
        return batch


def _as_times(grid: Grid, model: ScoreModel) -> Tensor:
    """Times of a grid, float64 on the CPU; of a number of steps, on the Karras grid of the first field's process."""
    if isinstance(grid, int):
        _, sde = next(iter(model.process))
        return karras_grid(grid, sde)
    grid = torch.as_tensor(grid, dtype=torch.float64, device="cpu")
    if grid.dim() != 1 or len(grid) < 2 or not bool((grid.diff() < 0).all()) or not 0 < grid[-1] < grid[0] <= 1:
        raise ValueError(
            f"A sampling grid must fall strictly, from at most 1 to above 0, but is {reprlib.repr(grid.tolist())}"
        )
    return grid


@contextmanager
def _bar(sampler: Sampler, shown: bool) -> Iterator[Callable[[int], object]]:
    """Show a bar of a sampler's steps inside a ``with`` block, if it is to be shown."""
    if not shown:
        yield lambda step: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=len(sampler.grid) - 1, desc=type(sampler).__name__, unit="step") as bar:
        yield lambda step: bar.update(step - bar.n)
