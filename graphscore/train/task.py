"""The loss of one optimisation step, in PyTorch alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.objectives import Objective, Reduce
from graphscore.rng import AUGMENTATION, TRAINING, GraphGenerator, mix_seed
from graphscore.runtime.precision import double_device
from graphscore.times import Density, stratified

Augment = Callable[[Batch, GraphGenerator], Batch]


class TaskOutput(NamedTuple):
    """Loss of a training batch, and its parts for the log.

    Attributes:
        loss: Sum of the losses of all graphs and fields of the batch, scalar.
        num_graphs: Number of graphs in the batch.
        losses: Loss of each graph by field, ``[B]`` each, detached.
        t: Times of the graphs, ``[B]``.
    """

    loss: Tensor
    num_graphs: int
    losses: dict[str, Tensor]
    t: Tensor

    @property
    def graph_losses(self) -> Tensor:
        """Sum of the losses of the fields of each graph, ``[B]``."""
        return torch.stack(list(self.losses.values())).sum(0)


class ScoreMatchingTask(nn.Module):
    """Training loss of a score model, with reproducible times and noise.

    All randomness is a function of the seed, the step and the place of a graph in the step. A run that stops and
    resumes, that is spread over several ranks, or whose steps are divided into micro-batches, therefore sees the same
    times and noise as an uninterrupted run on one device.

    Args:
        model: The score model.
        density: Maps uniform numbers and the first field's SDE to training times; see :mod:`graphscore.times`.
        objective: The loss, with its weighting; see ``graphscore.objectives.OBJECTIVES``.
        reduce: ``"sum"`` or ``"mean"`` within a graph.
        seed: Seed of times, noise and directions, from 0 to 2**31 - 1.
        augment: Data augmentation, called as ``augment(batch, generator)`` on each training batch; returns a batch. Not
            called for validation.

    Raises:
        ValueError: If the seed is out of range, or the objective makes no sense for the model.
    """

    def __init__(
        self,
        model: ScoreModel,
        density: Density,
        objective: Objective,
        reduce: Reduce,
        seed: int = 0,
        augment: Augment | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= seed < 2**31:
            raise ValueError(f"seed must lie between 0 and 2**31 - 1, but is {seed}")
        objective.check(model)
        self.model = model
        self.density = density
        self.objective = objective
        self.reduce: Reduce = reduce
        self.seed = seed
        self.augment = augment

    def forward(
        self,
        batch: Batch,
        step: int,
        *,
        places: Sequence[int] | None = None,
        num_graphs: int | None = None,
        model: ScoreModel | None = None,
        stream: int = TRAINING,
    ) -> TaskOutput:
        """Compute the loss of some or all graphs of a step.

        Args:
            batch: The graphs, clean data.
            step: Number of the optimisation step.
            places: Places of the graphs in the step; by default all, in order.
            num_graphs: Number of graphs of the step, over all micro-batches and ranks; by default those of the batch.
            model: Another model than the task's own, e.g. the averaged one.
            stream: Which independent randomness to use: ``TRAINING`` or ``VALIDATION``.

        Returns:
            The summed loss, the number of graphs in the batch, and the losses to log.
        """
        model = self.model if model is None else model
        at = torch.arange(batch.num_graphs) if places is None else torch.tensor(places)
        num_graphs = batch.num_graphs if num_graphs is None else num_graphs
        # Does not wait for the copy to the device.
        t = self.draw_times(step, num_graphs, stream)[at].to(double_device(batch.batch.device), non_blocking=True)
        seeds = self.seeds(step, at, num_graphs)
        noise = GraphGenerator(seeds, stream)
        if self.augment is not None and stream == TRAINING:
            batch = self.augment(batch, GraphGenerator(seeds, AUGMENTATION))
        losses = model.losses(batch, t=t, objective=self.objective, reduce=self.reduce, generator=noise)
        detached = {name: value.detach() for name, value in losses.items()}
        return TaskOutput(torch.stack(list(losses.values())).sum(), batch.num_graphs, detached, t)

    def seeds(self, step: int, places: Sequence[int] | Tensor, num_graphs: int) -> Tensor:
        """Seeds of the random numbers of graphs, by their places in a step of ``num_graphs``: ``[B]``, on the CPU."""
        return (self.seed << 32) + (step * num_graphs + torch.as_tensor(places)) % 2**32

    def draw_times(self, step: int, num_graphs: int, stream: int = TRAINING) -> Tensor:
        """Draw the times of all graphs of a step; the same each time.

        Args:
            step: Number of the optimisation step.
            num_graphs: Number of graphs B of the step.
            stream: ``TRAINING`` or ``VALIDATION``.

        Returns:
            Shape ``[B]``, float64, on the CPU.
        """
        source = torch.Generator().manual_seed(mix_seed(self.seed, step, stream))
        _, sde = next(iter(self.model.process))
        return self.density(stratified(num_graphs, generator=source), sde)
