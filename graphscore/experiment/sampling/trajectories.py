"""Recording of sampling trajectories, from noise to samples, as graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore.denoiser import ScoreModel
from graphscore.generate.tries import Job
from graphscore.sdes import SDE

SAMPLE, STEP, LEVEL = "sample", "step", "level"
POS = "pos"


def position_noise(model: ScoreModel) -> SDE:
    """Return the noise process of positions in space, which a model must generate.

    Raises:
        ValueError: If it generates none.
    """
    if POS not in model.fields:
        raise ValueError(f"The model places no nodes in space: its fields are {sorted(model.fields)}, not {POS!r}")
    return next(sde for field, sde in model.process if field.name == POS)


class State(NamedTuple):
    """State of a sample after one step.

    Attributes:
        step: Number of the step: 0 is noise.
        level: Noise level, ``std / alpha``; 0 for the result.
        pos: Coordinates of the nodes in the network's graph, ``[n, D]``.
    """

    step: int
    level: float
    pos: Tensor


class Trajectories:
    """Recorder of sampling trajectories of node positions: a ``trace`` for :func:`graphscore.generate.jobs.generate`.

    Records have the numbers ``sample`` (from 1), ``step`` and ``level``.

    Args:
        sde: The noise process of the positions ``pos``.
        record: Function that makes the record of a graph for the output file.
    """

    formats: ClassVar[Sequence[str]] = (".pt", ".npz")
    """Extensions of files of these records."""

    def __init__(self, sde: SDE, record: Callable[[Data], Any]) -> None:
        self.sde, self.record = sde, record
        self.states: dict[Job, list[State]] = {}

    def __call__(self, jobs: Sequence[Job], step: int, t: float, batch: Batch) -> None:
        """Record a step of a batch."""
        level = float(self.sde.level(torch.tensor(t, dtype=torch.float64))) if t > 0 else 0.0
        for job, pos in zip(jobs, batch[POS].cpu().split(batch.ptr.diff().tolist()), strict=True):
            if step == 0:
                self.states[job] = []  # also where a sample is drawn again
            self.states[job].append(State(step, level, pos.clone()))

    def records(self, number: int, item: Data) -> Iterator[Any]:
        """Yield the trajectories of an input's samples step by step, and remove them from the recorder.

        Steps that are not finite are left out.

        Args:
            number: Number of the input.
            item: The input.
        """
        own = sorted(job for job in self.states if job[0] == number)
        if not own:
            return
        make = self.maker(number, item)
        for job in own:
            for state in self.states.pop(job):
                if bool(state.pos.isfinite().all()):
                    yield make(job[1] + 1, state)

    def maker(self, number: int, item: Data) -> Callable[[int, State], Any]:
        """Return a function that makes the record of a sample, given by its number from 1, and its state."""

        def make(sample: int, state: State) -> Any:
            graph = copy(item)
            graph[POS] = state.pos
            graph[SAMPLE], graph[STEP], graph[LEVEL] = sample, state.step, state.level
            return self.record(graph)

        return make
