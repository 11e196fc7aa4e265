r"""Exact score models of angles: mixtures of wrapped normal distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import replace
from graphscore.process import ForwardProcess
from graphscore.sdes import CircleSDE, wrapped_normal

_IMAGES = 6
"""Turns on each side over which data are repeated on the line, for the path along the shortest arc."""


class WrappedMixtureScore(ScoreModel):
    r"""The exact model of angles from a mixture of wrapped normal distributions ``sum_k w_k WN(m_k, c^2)``.

    With wrapped normal noise, the marginals are mixtures of components of the variance ``c^2 + std^2``. Along the
    shortest arc, noise is uniform between ``-pi t`` and ``pi t``, and the posterior of a component is a normal
    distribution that is truncated to this range; its moments lose digits at times below 0.01.

    Args:
        process: The forward process, of one periodic field.
        means: Name of the attribute of the batch that holds the K means of each row, ``[rows, K, width]``, in radians.
        std: The standard deviation c of each component, in radians.
        weights: The K weights; equal by default.
        per_graph: Whether all rows of a graph come from one component; else each row from its own, with all columns.

    Raises:
        ValueError: If the field is not periodic.
    """

    def __init__(
        self,
        process: ForwardProcess,
        means: str = "means",
        std: float = 0.5,
        weights: Sequence[float] | None = None,
        per_graph: bool = False,
    ) -> None:
        super().__init__(process)
        ((self._field, sde),) = process
        if not isinstance(sde, CircleSDE):
            raise ValueError(f"A wrapped mixture is one of angles, but the field {self._field.name!r} is not periodic")
        self._sde = sde
        self.means = means
        self.std = std
        self.weights = weights
        self.per_graph = per_graph

    def sample(self, template: Batch, generator: torch.Generator | None = None) -> Batch:
        """Draw exact angles, in the type of the means."""
        means, index = template[self.means], self._field.index(template)
        draws = template.num_graphs if self.per_graph else len(means)
        weights = self._weights(means).exp()
        component = torch.multinomial(weights, max(draws, 1), replacement=True, generator=generator)[:draws]
        component = ops.broadcast(component, index) if self.per_graph else component
        mean = means.take_along_dim(component[:, None, None], 1)[:, 0]
        noise = ops.randn(index, template.num_graphs, mean.shape[1], dtype=mean.dtype, generator=generator)
        return replace(template, {self._field.name: self._field.wrap(mean + self.std * noise)})

    def log_density(self, batch: Batch, t: Tensor | None = None) -> Tensor:
        """Compute the log-density of angles, clean ones or those at time ``t`` [B]: nats for each graph, ``[B]``."""
        x, index = batch[self._field.name], self._field.index(batch)
        logits = self._components(x, batch, t)[0].logsumexp(-1)
        # If rows share a component, each row holds the number of its graph, and so does their mean.
        return (ops.mean if self.per_graph else ops.sum)(logits, index, batch.num_graphs)

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        x = batch[self._field.name]
        logits, offsets = self._components(x, batch, t)
        return {self._field.name: x + (logits.softmax(-1)[..., None] * offsets).sum(1)}

    def _components(self, x: Tensor, batch: Batch, t: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log of weight times density ``[rows, K]``, and mean of ``x0 - xt`` ``[rows, K, width]``, by component."""
        index, means = self._field.index(batch), batch[self.means]
        std = x.new_zeros(batch.num_graphs) if t is None else self._sde.std(t)
        compute = self._normal if self._sde.has_score or t is None else self._uniform
        logs, offsets = compute(x[:, None] - means, ops.per_row(std, x, index)[..., None])
        logs = logs.sum(-1)
        if self.per_graph:
            logs = ops.broadcast(ops.sum(logs, index, batch.num_graphs), index)
        return logs + self._weights(means), offsets

    def _normal(self, x: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        width = (self.std**2 + std**2).sqrt().expand_as(x)
        return wrapped_normal.log_density(x, width), std**2 * wrapped_normal.score(x, width)

    def _uniform(self, x: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        reach = math.pi * std
        images = self._field.wrap(x)[..., None] + 2 * math.pi * torch.arange(-_IMAGES, _IMAGES + 1).to(x)
        # The clean angle, relative to the mean of its component, lies between these numbers of widths.
        low, high = ((images + side * reach[..., None]) / self.std for side in (-1, 1))
        flipped = (
            low > 0
        )  # the probability of a range beyond the mean is that of its mirror image, without cancellation
        low, high = torch.where(flipped, -high, low), torch.where(flipped, -low, high)
        # Not by `torch.special.ndtr`, which is 0 from 8.3 widths on.
        shares = (torch.erfc(-high / math.sqrt(2)) - torch.erfc(-low / math.sqrt(2))) / 2
        moments = self.std * ((-(low**2) / 2).exp() - (-(high**2) / 2).exp()) / math.sqrt(2 * math.pi)
        moments = torch.where(flipped, -moments, moments)
        total = shares.sum(-1)
        offsets = (moments - images * shares).sum(-1) / total
        return (total / (2 * reach)).log(), offsets

    def _weights(self, means: Tensor) -> Tensor:
        given = [1.0] * means.shape[1] if self.weights is None else self.weights
        weights = torch.tensor(given, dtype=torch.float64)
        return (weights / weights.sum()).log().to(means)
