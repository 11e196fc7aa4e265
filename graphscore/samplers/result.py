r"""Sampling results: the sample, the last two estimates of the clean data, and the number of network evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.process import ForwardProcess


class SamplerResult(NamedTuple):
    """Result of a sampler: the sample, the last two estimates, all in data units, and the network evaluations.

    Attributes:
        batch: A copy of the template with its fields sampled.
        x0_hat: Last estimate of the clean data by the model, ``[rows, width]`` for each field.
        previous: The estimate before it, ``None`` if there was only one.
        num_evaluations: Number of network evaluations for each graph, ``[B]``, int64: calls of the model times the
            evaluations in each call (see :attr:`~graphscore.denoiser.ScoreModel.evaluations_per_call`), without
            backward passes. With an adaptive sampler, only the evaluations that the graph itself needed.
    """

    batch: Batch
    x0_hat: dict[str, Tensor]
    previous: dict[str, Tensor] | None
    num_evaluations: Tensor

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in self.x0_hat.items())
        counts = sorted({*self.num_evaluations.tolist()})
        spread = "no" if not counts else f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        return f"{type(self).__name__}({self.batch.num_graphs} graphs: {shapes}; {spread} network evaluations)"


class Recorder(ScoreModel):
    """Wrapper that records the last two estimates of a score model and counts its evaluations, for one sampling run.

    Args:
        model: The score model, guided or not.

    Attributes:
        x0_hat: The last estimate, in units of the fields' scales, ``None`` at first.
        previous: The estimate before it.
        num_evaluations: Network evaluations so far: one number, or one for each graph, ``[B]``.
    """

    def __init__(self, model: ScoreModel) -> None:
        super().__init__(model.process)
        self.model = model
        self.needs_signal = model.needs_signal
        self.x0_hat: dict[str, Tensor] | None = None
        self.previous: dict[str, Tensor] | None = None
        self.num_evaluations: int | Tensor = 0

    @property
    def evaluations_per_call(self) -> int:  # noqa: D102 (documented on ScoreModel)
        return self.model.evaluations_per_call

    def __call__(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        """Evaluate the model, which checks the times itself."""
        return self.forward(batch, t)

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        x0_hat = self.model(batch, t)
        self.previous, self.x0_hat = self.x0_hat, x0_hat
        self.num_evaluations = self.num_evaluations + self.evaluations_per_call
        return x0_hat

    def recount(self, before: int | Tensor, calls: Tensor) -> None:
        """Replace the count of the latest calls by the number of calls that each graph needed.

        Args:
            before: Number of evaluations before these calls.
            calls: Number of calls that each graph needed since then, shape ``[B]``.
        """
        self.num_evaluations = before + self.evaluations_per_call * calls

    def result(self, batch: Batch, scales: Mapping[str, float] | None = None) -> SamplerResult:
        """Make the result of the run.

        Args:
            batch: The sample.
            scales: Scales of the fields, by which the estimates are multiplied; 1 by default.
        """
        x0_hat, previous = (
            None if estimate is None else {n: x * scales[n] if scales else x for n, x in estimate.items()}
            for estimate in (self.x0_hat, self.previous)
        )
        counts, graphs = self.num_evaluations, batch.batch
        counts = counts.to(graphs) if isinstance(counts, Tensor) else graphs.new_full((batch.num_graphs,), counts)
        return SamplerResult(batch, x0_hat or {}, previous, counts)


def drift(result: SamplerResult, process: ForwardProcess) -> Tensor:
    r"""Compute the drift of samples: the relative change of the estimate :math:`\hat x_0` in the last evaluation.

    If a sample is between two modes of the data, the network's estimate still changes when little noise is left; in a
    mode it does not. The drift thus distinguishes bad samples from good ones at no cost. It is relative to the size of
    a sample, and comparable for graphs of any size.

    Args:
        result: Result of a sampler.
        process: The forward process of its model.

    Returns:
        Norm of the change of a field over all its rows, divided by the norm of the field, which for centred positions
        is proportional to the radius of gyration; the largest over fields. Shape ``[B]``, float32. Infinite if an
        estimate or its square is not finite. Zero if there were fewer than two evaluations.
    """
    batch, before, last = result.batch, result.previous, result.x0_hat
    drifts = [batch.batch.new_zeros(batch.num_graphs, dtype=torch.float32)]
    if before is not None:
        for field, _ in process:
            index, name = field.index(batch), field.name
            change, size = (
                ops.sum(values.square().flatten(1).sum(1), index, batch.num_graphs).sqrt()
                # The size of an angle is that of its unit vector.
                for values in (last[name] - before[name], torch.ones_like(last[name]) if field.periodic else last[name])
            )
            # A single centred node cannot move: 0 / 0 is 0. NaN counts as infinite drift.
            relative = torch.where(change == 0, 0.0, change / size).float()
            drifts.append(relative.nan_to_num(nan=math.inf, posinf=math.inf))
    return torch.stack(drifts).amax(0)
