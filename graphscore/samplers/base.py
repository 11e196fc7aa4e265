"""Base class of samplers: the loop over the steps of a time grid."""

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

# Below this alpha, the data are lost in float32, and a division by alpha gives noise.
FAINT = 1e-6


class Sampler(ABC):
    """Base class of samplers, which integrate the reverse process along a time grid.

    Subclasses implement :meth:`step` and declare their :attr:`order`. All graphs of a batch share the grid, and nothing
    else: with a :class:`~graphscore.rng.GraphGenerator`, the sample of a graph does not depend on the rest of the
        batch.

    Args:
        model: The score model; put it into evaluation mode first if it behaves differently in training.
        grid: Number of steps S, on the Karras grid of the first field's process; or falling times in (0, 1], the first
            of which is that of the prior, shape ``[S + 1]``, see :mod:`graphscore.times`.
        denoise_last: Whether to end with the posterior mean at the last time, which removes the remaining noise.
        prior_scale: Factor of the standard deviation of the first noise: below 1, samples start closer to the centre of
            the prior, so that there are fewer outliers and fewer rare samples; 1 samples the learned distribution.

    Raises:
        ValueError: If the grid is not a falling sequence of times in (0, 1] or has no step, the method or model cannot
            start at its first time, or ``prior_scale`` is not positive.
    """

    order: ClassVar[int | None]
    """Order of convergence in the step size: of single paths (deterministic) or of moments (stochastic); ``None`` if
    the error does not depend on the grid alone."""

    stochastic: bool
    """True if steps draw noise; on the class, the value for default options."""

    needs_signal: bool = False
    """True if the method divides by alpha at the first time, which must not vanish then."""

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
        """Take a step from time ``t`` to the earlier time ``s``.

        Args:
            model: Model to evaluate: that of the sampler, wrapped to record its estimates and count evaluations.
            batch: A batch at time ``t``.
            t: Current time, the same for all graphs, shape ``[B]``, float64.
            s: Next time, shape ``[B]``, float64.
            memory: Memory from the previous step, ``None`` at first; for multistep methods.
            generator: Source of noise.

        Returns:
            The batch at time ``s``, and the memory for the next step.
        """

    def numbered_step(
        self, number: int, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        """Take a numbered step of the grid; for methods that plan each step beforehand.

        Args:
            number: Number of the step, from 0.
            model: Model to evaluate; for this and the other arguments, see :meth:`step`.
            batch: A batch at time ``t``.
            t: Current time.
            s: Next time.
            memory: Memory from the previous step.
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
        from_data: bool = False,
        progress: bool = False,
    ) -> SamplerResult:
        """Sample the fields of the given graphs, from pure noise or from their own noisy values.

        Args:
            template: The graphs; their fields are ignored, and may be missing if they have a ``width``.
            generator: Source of all randomness; a :class:`~graphscore.rng.GraphGenerator` has a seed per graph.
            callback: Called as ``callback(step, t, batch)`` before the first and after each step, with a copy of the
                template whose fields are those of time ``t``, in data units.
            from_data: Whether to start from the fields of the template (SDEdit): they are diffused to the first time of
                the grid, see :func:`~graphscore.times.cut_grid`, and denoised from there. The mean of a zero-mean
                field, which does not diffuse, is that of the template.
            progress: Whether to show a progress bar of the steps (by tqdm).

        Returns:
            The sample, a copy of the template with the fields in data units, with the last estimates and the number of
            evaluations. Its tensors have no gradients, but can be used in derivatives later on even if sampling was
            called inside ``torch.inference_mode()``.

        Raises:
            ValueError: If a field is missing, or has another shape than expected.

        References:
            Meng et al. (2022), SDEdit: guided image synthesis and editing with stochastic differential equations,
            algorithm 1.
        """
        template = differentiable(template)
        process, model = self.model.process, Recorder(self.model)
        parameter = next(self.model.parameters(), None)
        dtype = None if parameter is None else parameter.dtype
        places: dict[str, Tensor] = {}
        if from_data:
            batch, places = self._diffused(template, generator, dtype)
        else:
            batch = process.prior(template, generator, dtype, float(self.grid[0]), self.prior_scale)

        def in_data_units(noisy: Batch) -> Batch:
            data = process.to_data(drop_estimates(noisy, self.model))
            return replace(data, {name: data[name] + place for name, place in places.items()})

        with _bar(self, progress) as advance:

            def watch(step: int, t: float, noisy: Batch) -> None:
                advance(step)
                if callback is not None:
                    callback(step, t, in_data_units(noisy))

            batch = self._integrate(model, batch, generator, watch)
        if self.denoise_last:
            last = self._grid_beside(batch)[-1].expand(batch.num_graphs)
            batch = replace(batch, model(batch, last))
        return model.result(in_data_units(batch), {name: field.scale for name, field in process.fields.items()})

    @outside_inference_mode()
    @torch.no_grad()
    def integrate(self, batch: Batch, generator: Generator = None, callback: Callback | None = None) -> SamplerResult:
        """Integrate a batch from the first time of the grid to the last, in units of the fields' scales.

        For a self-conditioned model, the last estimate is passed on from step to step.

        Args:
            batch: A batch at the first time.
            generator: Source of all randomness.
            callback: Called as ``callback(step, t, batch)`` before the first and after each step, in the same units.

        Returns:
            The batch at the last time, the last estimates, all in the same units, and the number of evaluations.
        """
        model = Recorder(self.model)
        return model.result(self._integrate(model, batch, generator, callback))

    def _diffused(
        self, template: Batch, generator: Generator, dtype: torch.dtype | None
    ) -> tuple[Batch, dict[str, Tensor]]:
        """Diffuse a template to the first time of the grid; also the means of its zero-mean fields, in data units."""
        process, values, places = self.model.process, dict[str, Tensor](), dict[str, Tensor]()
        for name, field in process.fields.items():
            x, index = field.values(template)
            values[name] = x = x if dtype is None else x.to(dtype)
            if field.zero_mean:
                places[name] = x - field.project(x, index, template.num_graphs)
        t = self._grid_beside(template)[:1].expand(template.num_graphs)
        noisy = process.perturb(
            replace(template, values), t, generator=generator, couple=lambda field, x0, noise: self.prior_scale * noise
        )
        return noisy.batch, places

    def _integrate(self, model: Recorder, batch: Batch, generator: Generator, callback: Callback | None) -> Batch:
        for _, sde in self.model.process if self.stochastic else ():
            sde.check_score()
        batch, memory = differentiable(batch), None
        grid = self._grid_beside(batch)
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

    def _grid_beside(self, batch: Batch) -> Tensor:
        """Copy the grid to where the times of a batch are; nothing waits for the copy."""
        return self.grid.to(double_device(batch.batch.device), non_blocking=True)


def _as_times(grid: Grid, model: ScoreModel) -> Tensor:
    """Convert a grid, or a number of steps on the Karras grid of the first field's process, to float64 times."""
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
    """Show a progress bar of a sampler's steps inside the ``with`` block, if ``shown``."""
    if not shown:
        yield lambda step: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=len(sampler.grid) - 1, desc=type(sampler).__name__, unit="step") as bar:
        yield lambda step: bar.update(step - bar.n)
