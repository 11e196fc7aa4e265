"""Detection of diverged training: losses or gradients that are not finite, found and reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.runtime.atomic import replacing
from graphscore.train.loading import Share
from graphscore.train.task import ScoreMatchingTask

# Number of graphs that a message names.
_NUM_NAMED = 3


class BadStep(NamedTuple):
    """A step whose loss or gradient is not finite.

    Attributes:
        step: Number of the step, counted from 0.
        losses: Loss of each graph of this rank's share, ``[B]``, on the CPU.
        gradient_norm: Norm of the gradient.
    """

    step: int
    losses: Tensor
    gradient_norm: float


class StepRecord:
    """Record of the losses and gradient norms of the latest steps, kept on the device until they are checked.

    Checking each step would make the host wait for the device at each step.
    """

    def __init__(self) -> None:
        self._losses: list[tuple[int, Tensor]] = []
        self._norms: list[Tensor] = []

    def add_losses(self, step: int, losses: Tensor) -> None:
        """Record the loss of each graph, ``[B]``, of a step."""
        self._losses.append((step, losses.detach()))

    def add_norm(self, norm: Tensor) -> None:
        """Record the norm of the gradient of the same step."""
        self._norms.append(norm.detach())

    def look(self) -> BadStep | None:
        """Find the first recorded step whose loss or gradient is not finite, and clear the record.

        Returns:
            The step; ``None`` if all losses and gradients are finite.

        Raises:
            ValueError: If all gradients are 0.
        """
        steps = list(zip(self._losses, self._norms, strict=True))
        self._losses, self._norms = [], []
        if not steps:
            return None
        checks = [torch.stack([losses.isfinite().all() & norm.isfinite(), norm == 0]) for (_, losses), norm in steps]
        finite, zero = zip(*torch.stack(checks).tolist(), strict=True)
        if all(zero):
            raise ValueError(
                f"Nothing is learned: the gradient of all weights is 0 in step {steps[0][0][0]} and all up to "
                f"{steps[-1][0][0]}, counted from 0. Do the graphs have edges (edge_index, a transform such as "
                "complete-graph, or network.neighbors), and does the network read them?"
            )
        if all(finite):
            return None
        (step, losses), norm = steps[finite.index(False)]
        return BadStep(step, losses.cpu(), float(norm))


def report(
    bad: BadStep, task: ScoreMatchingTask, graphs: Sequence[Data], share: Share, num_graphs: int, path: Path
) -> str:
    """Write the graphs of a diverged step to a file of plain tensors and numbers, and describe the step.

    Args:
        bad: The step.
        task: The task, which computes the times of the step again.
        graphs: The training part.
        share: This rank's share of the step.
        num_graphs: Number of graphs of the step, over all ranks.
        path: File to write, to be read by ``torch.load``: the step, the gradient's norm and for each graph its index,
            time, noise levels by field, loss and attributes.

    Returns:
        One sentence for an error message.
    """
    indices = [index for _, part in share for index in part]
    t = task.draw_times(bad.step, num_graphs)[[place for part, _ in share for place in part]]
    levels = {field.name: sde.level(t).tolist() for field, sde in task.model.process}
    entries = [
        {
            "index": index,
            "time": float(t[place]),
            "levels": {name: values[place] for name, values in levels.items()},
            "loss": float(bad.losses[place]),
            "attributes": {name: value for name, value in graphs[index].to_dict().items() if _is_plain(value)},
        }
        for place, index in enumerate(indices)
    ]
    with replacing(path) as temporary:
        torch.save({"step": bad.step, "gradient_norm": bad.gradient_norm, "graphs": entries}, temporary)
    guilty = [place for place, loss in enumerate(bad.losses.isfinite().tolist()) if not loss]
    what = "the loss is not finite for" if guilty else "the gradient is not finite for the batch of"
    places = guilty or range(len(indices))
    field = next(iter(levels))
    named = [
        f"graph {indices[place]} of the training part ({graphs[indices[place]].num_nodes} nodes, noise level "
        f"{levels[field][place]:.3g})"
        for place in places[:_NUM_NAMED]
    ]
    more = f" and {len(places) - len(named)} more" if len(places) > len(named) else ""
    return (
        f"Training diverged at step {bad.step}, counted from 0: {what} {', '.join(named)}{more}; the batch is kept in "
        f"{path} for a report, and the last good state of the run in last.ckpt if one was saved; look at these graphs, "
        "or lower training.learning_rate"
    )


def are_finite(tensors: Sequence[Tensor]) -> bool:
    """Tell whether all numbers of all tensors are finite; this waits for the device once."""
    floating = [tensor for tensor in tensors if tensor.is_floating_point()]
    return bool(torch.stack([tensor.isfinite().all() for tensor in floating]).all()) if floating else True


def _is_plain(value: Any) -> bool:
    return isinstance(value, Tensor | str | int | float | bool)
