r"""Base classes of score models, whose output is the posterior mean ``E[x0 | xt]``.

The score follows by Tweedie's formula, ``score = C^-1 (alpha x0_hat - xt) / std^2``, with C the covariance of the noise
(mostly the identity). Samplers work with any :class:`ScoreModel`. :class:`PlainScore` is a score without a process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser.description import INSTEAD
from graphscore.denoiser.outputs import BatchFunction, beside, by_field
from graphscore.denoiser.reduction import Reduce
from graphscore.denoiser.regression import Weight, regress_data, score_coefficient, variance_weight
from graphscore.fields import Field, check_batch
from graphscore.process import ForwardProcess, check_times
from graphscore.rng import Generator
from graphscore.runtime.checkpoint import Checkpoint, save_checkpoint
from graphscore.runtime.precision import double_device
from graphscore.sdes import SDE
from graphscore.times import Density, in_range, stratified, uniform


class ObjectiveLike(Protocol):
    """Protocol of objectives, such as :class:`graphscore.objectives.Objective`: a loss per graph and field."""

    def check(self, model: Score) -> None:
        """Check that the objective can be used with a model."""
        ...

    def bind(self, **options: Any) -> ObjectiveLike:
        """Return a copy with further options, such as ``weight``."""
        ...

    def __call__(
        self, model: Score, batch: Batch, t: Tensor, *, reduce: Reduce, generator: Generator = None
    ) -> dict[str, Tensor]:
        """Compute the loss of each graph, ``[B]``, for each field."""
        ...


class Score(nn.Module, ABC):
    """A module that estimates the score of some fields, which is enough for implicit and sliced score matching.

    Args:
        fields: The fields by name.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        super().__init__()
        self.fields = dict(fields)

    @abstractmethod
    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        r"""Estimate the score ``grad log p_t(xt)`` of each field, ``[rows, width]``.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``.
        """


class ScoreModel(Score):
    """A module that estimates the posterior mean, and with it the score, of noisy batches of a forward process.

    Args:
        process: The forward process of the noisy batches.
    """

    needs_signal: bool = False
    """True if ``x0_hat`` is undefined at pure noise, ``alpha = 0``."""

    def __init__(self, process: ForwardProcess) -> None:
        super().__init__(process.fields)
        self.process = process

    def extra_repr(self) -> str:
        """Representation of the process; submodules are shown below it."""
        return repr(self.process)

    @property
    def evaluations_per_call(self) -> int:
        """Number of network evaluations in one call: 1, except for some guidance."""
        return 1

    def __call__(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        """Check the times, and estimate ``E[x0 | xt]`` as :meth:`forward` does.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``, in (0, 1].

        Raises:
            ValueError: If there is not one time per graph, or times lie outside (0, 1]; see
                :func:`~graphscore.times.in_range`.
        """
        check_times(batch, t)
        return super().__call__(batch, in_range(t))

    @abstractmethod
    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        """Estimate ``E[x0 | xt]`` of each field, ``[rows, width]``, in units of the field's scale.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``.
        """

    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on Score)
        x0_hat, scores = self(batch, t), {}
        for field, sde in self.process:
            sde.check_score()
            xt, index = batch[field.name], field.index(batch)
            alpha, variance = (ops.per_row(c, xt, index) for c in (sde.alpha(t), sde.std(t) ** 2))
            scores[field.name] = sde.covariance(batch, field).solve((alpha * x0_hat[field.name] - xt) / variance)
        return scores

    def describe(self) -> dict[str, Any]:
        """Describe the model without its weights by plain values, as in a configuration.

        Raises:
            ValueError: If it cannot be described, with advice: custom functions and modules cannot be described, but
                importable classes of backbones and noise processes can.
        """
        raise ValueError(
            f"A {type(self).__qualname__} cannot be described by plain values, as a Denoiser of a ScoreNetwork can; "
            f"{INSTEAD}"
        )

    def save(self, path: str | Path) -> None:
        """Save the weights and the description of the model in a file for :func:`graphscore.load`.

        The file contains no code. Custom components are stored as the import paths of their classes, which must be
        trusted when they are loaded. The sampling options of a model that was loaded from a run are not saved.

        Args:
            path: File to write, by convention ``*.safetensors``; it is written whole or not at all.

        Raises:
            ValueError: If the model cannot be described, see :meth:`describe`.
        """
        save_checkpoint(path, Checkpoint(dict(self.state_dict()), self.describe(), {}))

    def velocity(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        r"""Estimate the velocity ``alpha' x0_hat + std' eps_hat`` of the probability flow, ``[rows, width]``.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``.

        References:
            Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 13.
            Lipman et al. (2023), Flow matching for generative modeling, equation 15.
        """
        moved = self.process.combine(batch, lambda sde: velocity_coefficients(sde, t), self(batch, t))
        return {name: moved[name] for name in self.fields}

    def loss(
        self,
        batch: Batch,
        *,
        t: Tensor | None = None,
        times: Density | None = None,
        objective: ObjectiveLike | None = None,
        weight: Weight | None = None,
        reduce: Reduce = "mean",
        generator: Generator = None,
    ) -> Tensor:
        """Compute the training loss of a clean batch: the sum over fields and mean over graphs of :meth:`losses`.

        ``loss = model.loss(batch)`` is denoising score matching at stratified times, uniform over (0, 1].

        Args:
            batch: Clean data; neither changed nor copied, apart from the fields.
            t: One time per graph, shape ``[B]``; by default random. For this and the other arguments, see
                :meth:`losses`.
            times: Density of the times.
            objective: The loss of each graph.
            weight: ``lambda(t)`` as a function of SDE and times.
            reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.
            generator: Source of times and noise.

        Returns:
            The loss, a scalar.

        Raises:
            ValueError: As for :meth:`losses`.
        """
        losses = self.losses(
            batch, t=t, times=times, objective=objective, weight=weight, reduce=reduce, generator=generator
        )
        return torch.stack(list(losses.values())).sum(0).mean()

    def losses(
        self,
        batch: Batch,
        *,
        t: Tensor | None = None,
        times: Density | None = None,
        objective: ObjectiveLike | None = None,
        weight: Weight | None = None,
        reduce: Reduce = "mean",
        generator: Generator = None,
    ) -> dict[str, Tensor]:
        """Compute the training loss of each graph, for each field.

        Args:
            batch: Clean data; neither changed nor copied, apart from the fields.
            t: One time per graph, shape ``[B]``; by default drawn from ``times``.
            times: Density of the times, a function of uniform numbers ``[B]`` and the first field's SDE, see
                :mod:`graphscore.times`; uniform by default. The uniform numbers are stratified over the batch.
            objective: A value of ``graphscore.objectives.OBJECTIVES``, or another
                :class:`~graphscore.objectives.Objective`; denoising score matching by default.
            weight: ``lambda(t)`` as a function of SDE and times, see ``graphscore.objectives.WEIGHTS``; by default that
                of the objective, ``std^2`` for denoising.
            reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.
            generator: Source of times and noise; must be a ``torch.Generator`` if times are drawn.

        Returns:
            One loss per graph for each field, shape ``[B]``.

        Raises:
            ValueError: If both ``t`` and ``times`` are given, the times or a field have another shape than expected, or
                the objective is not an objective or cannot be used with the model.
        """
        if t is not None and times is not None:
            raise ValueError("Give the times t, or the density `times` that they are drawn from, but not both")
        t = self._draw_times(batch, times, generator) if t is None else t
        if objective is None:
            coefficient = score_coefficient(variance_weight if weight is None else weight)
            return regress_data(
                self, self.process, batch, t, coefficient, eps=None, align=None, reduce=reduce, generator=generator
            )
        if not hasattr(objective, "check"):
            raise ValueError(
                f"The objective must be a value of graphscore.objectives.OBJECTIVES, or Objective(function) for a "
                f"custom function, but is {objective!r}"
            )
        objective = objective if weight is None else objective.bind(weight=weight)
        objective.check(self)
        return objective(self, batch, t, reduce=reduce, generator=generator)

    def _draw_times(self, batch: Batch, density: Density | None, generator: Generator) -> Tensor:
        device = double_device(check_batch(batch).batch.device)
        numbers = stratified(batch.num_graphs, generator=generator, device=device if generator is None else None)
        _, sde = next(iter(self.process))
        return (uniform if density is None else density)(numbers.to(device), sde)


class PlainScore(Score):
    """A score without a forward process, for implicit and sliced score matching on samples of any origin.

    Args:
        function: Called as ``function(batch, t)``; returns the score ``[rows, width]``, or ``{field: score}``.
        fields: The fields of the score.
    """

    def __init__(self, function: BatchFunction, fields: Sequence[Field]) -> None:
        super().__init__({field.name: field for field in fields})
        self.function = function

    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on Score)
        return by_field(self.function(batch, beside(batch, t)), batch, self.fields)


def velocity_coefficients(sde: SDE, t: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the coefficients of ``xt`` and ``x0``, each ``[B]``, in the velocity ``alpha' x0 + std' eps``."""
    rate = sde.std_rate(t) / sde.std(t)
    return rate, sde.alpha_rate(t) - rate * sde.alpha(t)
