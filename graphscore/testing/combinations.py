"""Compatibility table: every process with every objective and sampler, tried out on Gaussian data.

A sampler works if samples of an exact model have the standard deviation of the data. An objective works if its mean
gradient vanishes at an exact model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.data.data import BaseData

from graphscore import ops
from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.objectives import OBJECTIVES
from graphscore.process import ForwardProcess
from graphscore.samplers import SAMPLERS
from graphscore.sdes import SDE, SDES
from graphscore.times import karras_grid

SIZES, COPIES = (3, 0, 1, 4), 100
NUM_STEPS, LAST_LEVEL = 128, 0.05
CHOOSE_STEPS = ("adaptive", "annealed-langevin")
"""Samplers that choose their own steps between the first and the last time."""
TOLERANCE = 0.1
"""Relative error of the standard deviation of samples of an exact model up to which a sampler works."""
MAX_ERRORS = 5
"""Standard errors that the mean gradient of an objective at an exact model may be away from 0."""

WORKS, WORKS_BELOW_1, REFUSED = "yes", "below 1", "no"
SIGNS = {WORKS: "●", WORKS_BELOW_1: "○", REFUSED: ""}
LEGEND = (
    "● works: for Gaussian data on ragged graphs, losses have no gradient at the exact model but noise, and its "
    f"samples have the right standard deviation within {TOLERANCE:.0%}, with {NUM_STEPS} steps or those that a sampler "
    "chooses itself; ○ works from t = 0.999 on, not from the pure noise of t = 1, where nothing is left of the data."
)


class Trial(NamedTuple):
    """Outcome of one combination of a process with an objective or a sampler.

    Attributes:
        kind: ``"objective"`` or ``"sampler"``.
        method: Name of the objective or sampler in the registry.
        process: Name of the process.
        outcome: ``"yes"``, ``"below 1"`` (all but the time 1 of pure noise) or ``"no"``.
        reason: Reason why it does not work, or does not work at time 1.
    """

    kind: str
    method: str
    process: str
    outcome: str
    reason: str


def try_all() -> list[Trial]:
    """Try every objective and every sampler of the registries with every process, at time 1 and, if that fails, below.

    Objectives and samplers both use the posterior mean of a model, so they can be combined freely.
    """
    trials = []
    for process, sde in SDES.items():
        problem = _Problem(sde())
        for name in OBJECTIVES:
            trials.append(_try("objective", name, process, partial(problem.check_objective, name)))
        for name in SAMPLERS:
            trials.append(_try("sampler", name, process, partial(problem.check_sampler, name)))
    return trials


def markdown(trials: Sequence[Trial]) -> str:
    """Format the outcomes of :func:`try_all` as a Markdown table: a row for each method, a column for each process."""
    outcomes = {(trial.kind, trial.method, trial.process): trial.outcome for trial in trials}
    lines = []
    for kind, registry in (("objective", OBJECTIVES), ("sampler", SAMPLERS)):
        lines += [f"| {kind} | " + " | ".join(SDES) + " |", "|---" * (len(SDES) + 1) + "|"]
        for name in registry:
            cells = [SIGNS[outcomes[kind, name, process]] for process in SDES]
            lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join([*lines, LEGEND, ""])


class _Nothing(nn.Module):
    """A network whose output is 0, times a gain for each graph with respect to which losses are differentiated."""

    def __init__(self, num_graphs: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(num_graphs))

    def forward(self, batch: Batch, levels: Tensor) -> dict[str, Tensor]:
        return {"pos": self.gain[batch.batch, None] * batch.pos}


class _Problem:
    """Gaussian data on ragged graphs for which the skip connection of a denoiser is exact.

    With the covariance C of the noise, whose mean variance is m, the data have the covariance ``C / m``.
    """

    def __init__(self, sde: SDE) -> None:
        self.field, self.sde = Field("pos", zero_mean=True), sde
        place = [torch.arange(max(size - 1, 0)) for size in SIZES * COPIES]
        graphs: list[BaseData] = [
            Data(pos=torch.zeros(size, 3), edge_index=torch.stack([first, first + 1]), num_nodes=size)
            for size, first in zip(SIZES * COPIES, place, strict=True)
        ]
        self.batch = Batch.from_data_list(graphs)
        self.covariance = sde.covariance(self.batch, self.field)
        self.widths = self.covariance.mean_variance.rsqrt()
        noise = torch.randn(len(self.batch.pos), 3, generator=torch.Generator().manual_seed(0))
        self.batch.pos = ops.per_row(self.widths, noise, self.batch.batch) * self.covariance.root(noise)

    def model(self) -> tuple[Denoiser, _Nothing]:
        """An exact model, and the network in it."""
        network = _Nothing(self.batch.num_graphs)
        return Denoiser(network, ForwardProcess({self.field: self.sde})), network

    def check_objective(self, name: str, start: float) -> str:
        """Describe what is wrong with the gradient of an objective at the exact model, where its mean is 0."""
        objective = OBJECTIVES[name].bind(**({"target": self.model()[0]} if name == "explicit" else {}))
        for time in (start, float(self.sde.time(torch.tensor(1.0, dtype=torch.float64)))):
            model, network = self.model()
            t = torch.full((self.batch.num_graphs,), time, dtype=torch.float64)
            objective.check(model)
            generator = torch.Generator().manual_seed(1)
            objective(model, self.batch, t, reduce="mean", generator=generator)["pos"].sum().backward()
            gradient = torch.as_tensor(network.gain.grad)[self.covariance.rank > 0].double()
            if not bool(gradient.isfinite().all()):
                return "the gradient is not finite"
            mean, error = float(gradient.mean()), float(gradient.std()) / len(gradient) ** 0.5
            if abs(mean) > MAX_ERRORS * error + 1e-6 * float(gradient.abs().max()):
                return f"the gradient at the exact model is {abs(mean) / error:.0f} standard errors from 0"
        return ""

    def check_sampler(self, name: str, start: float) -> str:
        """Describe what is wrong with the width of the samples of an exact model."""
        ends = [self.sde.max_time, float(self.sde.time(torch.tensor(LAST_LEVEL, dtype=torch.float64)))]
        grid = karras_grid(NUM_STEPS, self.sde, start=ends[0], end=ends[1])
        if name in CHOOSE_STEPS:
            grid = grid[[0, -1]]
        if start > ends[0]:
            grid = torch.cat([torch.tensor([start], dtype=torch.float64), grid])
        sampler = SAMPLERS[name](self.model()[0], grid)
        x = sampler(self.batch, torch.Generator().manual_seed(2)).batch.pos.double()
        if not bool(x.isfinite().all()):
            return "the result is not finite"
        square = (x * self.covariance.solve(x)).sum(-1) / ops.per_row(self.widths**2, x, self.batch.batch)[:, 0]
        width = (float(square.sum()) / (3 * float(self.covariance.rank.sum()))) ** 0.5
        if abs(width - 1) <= TOLERANCE:
            return ""
        return f"samples of an exact model are {width:.3g} times as wide as the data"


def _try(kind: str, method: str, process: str, run: Callable[[float], str]) -> Trial:
    reason = ""
    for outcome, start in ((WORKS, 1.0), (WORKS_BELOW_1, SDES[process]().max_time)):
        try:
            wrong = run(start)
        except ValueError as error:
            wrong = str(error)
        if not wrong:
            return Trial(kind, method, process, outcome, reason)
        reason = wrong
    return Trial(kind, method, process, REFUSED, reason)
