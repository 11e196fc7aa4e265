"""Classifier-free guidance: sampling with conditions that were dropped at random in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import Field, Level, check_batch, replace
from graphscore.guidance.base import Guidance, check_levels, extrapolate
from graphscore.rng import Generator


@dataclass(frozen=True)
class Condition:
    """A conditioning attribute, with the value that means unconditional.

    Args:
        name: Attribute of the batch, of shape ``[rows, *]``.
        null_value: Unconditional value: the value of all entries where the condition is dropped.
        level: Level of the rows: ``"graph"``, ``"node"`` or ``"edge"``. Never inferred from sizes.

    Raises:
        ValueError: If there is no such level.
    """

    name: str
    null_value: float
    level: Level = "graph"

    def __post_init__(self) -> None:
        Field(self.name, self.level)

    def drop(self, batch: Batch, dropped: Tensor) -> Tensor:
        """Replace the condition by its unconditional value in some graphs.

        Args:
            batch: A batch that has the attribute.
            dropped: Mask of these graphs, bool, shape ``[B]``.

        Returns:
            A new tensor of the shape and type of the attribute.

        Raises:
            ValueError: If the attribute is missing, has another number of rows, or cannot hold the null value.
        """
        value, index = batch.get(self.name), Field(self.name, self.level).index(batch)
        if not isinstance(value, Tensor):
            raise ValueError(f"The batch has no condition {self.name!r}; it has {sorted(batch.keys())}")
        if value.shape[:1] != index.shape:
            raise ValueError(
                f"The condition {self.name!r} ({self.level} level) must have shape [{len(index)}, *], but has "
                f"{list(value.shape)}; stored per graph as [1, *], it is batched to [B, *]"
            )
        if not value.is_floating_point() and not float(self.null_value).is_integer():
            raise ValueError(
                f"The condition {self.name!r} is of type {value.dtype}, which cannot hold {self.null_value}"
            )
        rows = ops.broadcast(dropped, index).view(-1, *[1] * (value.dim() - 1))
        return value.masked_fill(rows, self.null_value)


def drop_conditions(
    batch: Batch, conditions: Sequence[Condition], probability: float, generator: Generator = None
) -> Batch:
    """Drop the conditions of randomly chosen graphs, for training with classifier-free guidance.

    All conditions of a graph are dropped together.

    Args:
        batch: A training batch.
        conditions: The conditions.
        probability: Probability that the conditions of a graph are dropped; 0.1 to 0.2 are usual.
        generator: Source of the choice; with a :class:`~graphscore.rng.GraphGenerator`, that of a graph does not depend
            on the rest of the batch.

    Returns:
        A shallow copy with the conditions replaced.

    Raises:
        ValueError: If the probability does not lie between 0 and 1, or a condition does not fit the batch.

    References:
        Ho and Salimans (2022), Classifier-free diffusion guidance, algorithm 1.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie between 0 and 1, but is {probability}")
    graphs = torch.arange(check_batch(batch).num_graphs, device=batch.batch.device)
    normal = ops.randn(graphs, batch.num_graphs, 1, dtype=torch.float32, generator=generator)[:, 0]
    dropped = torch.special.ndtr(normal) < probability
    return replace(batch, {condition.name: condition.drop(batch, dropped) for condition in conditions})


class ClassifierFreeGuidance(Guidance):
    r"""Classifier-free guidance: extrapolate from the unconditional to the conditional posterior mean.

    ``x0 = x0_u + strength (x0_c - x0_u)``. The score then is that of ``p_u(xt)^(1 - k) p_c(xt)^k`` at each noise level,
    where k is the strength: 0 ignores the conditions, 1 samples the conditional distribution, and more strengthens the
    conditions at the cost of variety. For strengths other than 0 and 1 these densities do not belong to one diffusion
    process, so that samples do not follow the product of the data's densities.

    The model must have been trained with :func:`drop_conditions`. A step costs two evaluations.

    Args:
        model: The score model.
        conditions: Conditions to drop in the second evaluation.
        strength: Strength of the guidance. Some papers use ``strength - 1`` and call it the scale.
        levels: Lowest and highest noise level ``std / alpha`` that are guided, in standard deviations of the data; at
            other levels the conditional estimate is taken as it is. Guidance at high levels narrows the variety, and at
            low levels it has nothing left to decide. By default all are guided.

    Raises:
        ValueError: If there are no conditions, one of them is a field of the process, or the levels do not rise.

    References:
        Ho and Salimans (2022), Classifier-free diffusion guidance, equation 6 (with ``strength = 1 + w``).
        Kynkaanniemi et al. (2024), Applying guidance in a limited interval improves sample and distribution quality in
        diffusion models, equation 5.
    """

    def __init__(
        self,
        model: ScoreModel,
        conditions: Sequence[Condition],
        strength: float,
        levels: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(model)
        if not conditions:
            raise ValueError("ClassifierFreeGuidance needs at least one condition that it can leave out")
        for condition in conditions:
            if condition.name in self.fields:
                raise ValueError(f"The condition {condition.name!r} is a field of the process: it is made, not told")
        self.conditions = tuple(conditions)
        self.strength, self.levels = strength, check_levels(levels)

    @property
    def evaluations_per_call(self) -> int:  # noqa: D102 (documented on ScoreModel)
        return 2 * self.model.evaluations_per_call

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        everywhere = torch.ones(batch.num_graphs, dtype=torch.bool, device=t.device)
        without = replace(batch, {condition.name: condition.drop(batch, everywhere) for condition in self.conditions})
        told, untold = self.model(batch, t), self.model(without, t)
        return extrapolate(self.process, batch, t, untold, told, self.strength, self.levels)
