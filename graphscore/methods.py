"""What works with what: every process with every objective and sampler, tried out on a small ragged batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.objectives import OBJECTIVES
from graphscore.process import ForwardProcess
from graphscore.samplers import SAMPLERS
from graphscore.sdes import SDE, SDES

WORKS, WORKS_BELOW_1, REFUSED = "yes", "below 1", "no"
SIGNS = {WORKS: "●", WORKS_BELOW_1: "○", REFUSED: ""}
LEGEND = "● works; ○ works from t = 0.999 on, not from the pure noise of t = 1, where nothing is left of the data."


class Trial(NamedTuple):
    """How one combination went.

    Attributes:
        kind: ``"objective"`` or ``"sampler"``.
        method: Its name in the registry.
        process: Name of the process.
        outcome: ``"yes"``, ``"below 1"`` (all but the time 1 of pure noise) or ``"no"``.
        reason: Why it is refused, or refused at time 1.
    """

    kind: str
    method: str
    process: str
    outcome: str
    reason: str


def try_all() -> list[Trial]:
    """Try every objective and every sampler of the registries with every process, once at time 1 and once below.

    What a model is trained by and what it is sampled with are independent: both speak to its posterior mean.
    """
    trials = []
    for process, sde in SDES.items():
        for name in OBJECTIVES:
            trials.append(_try("objective", name, process, lambda start, name=name, sde=sde: _loss(name, sde(), start)))
        for name in SAMPLERS:
            trials.append(_try("sampler", name, process, lambda start, name=name, sde=sde: _sample(name, sde(), start)))
    return trials


def markdown(trials: Sequence[Trial]) -> str:
    """Format the outcomes of :func:`try_all` as a table: a row for each method, a column for each process."""
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
    """A network that adds nothing to the skip connection: exact for data of unit variance."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Batch, levels: Tensor) -> dict[str, Tensor]:
        return {"pos": self.gain * batch.pos}


def _problem(sde: SDE, start: float) -> tuple[Denoiser, Batch, Tensor]:
    graphs = []
    for size in (3, 0, 1, 4):
        place = torch.arange(max(size - 1, 0))
        pos = torch.randn(size, 3, generator=torch.Generator().manual_seed(size))
        graphs.append(Data(pos=pos, edge_index=torch.stack([place, place + 1]), num_nodes=size))
    process = ForwardProcess({Field("pos", zero_mean=True): sde})
    return Denoiser(_Nothing(), process), Batch.from_data_list(graphs), torch.full((4,), start, dtype=torch.float64)


def _loss(name: str, sde: SDE, start: float) -> Tensor:
    model, batch, t = _problem(sde, start)
    options = {"target": model} if name == "explicit" else {}
    objective = OBJECTIVES[name].bind(**options)
    objective.check(model)
    loss = objective(model, batch, t, reduce="mean", generator=torch.Generator().manual_seed(0))["pos"].sum()
    loss.backward()
    return loss


def _sample(name: str, sde: SDE, start: float) -> Tensor:
    model, batch, _ = _problem(sde, start)
    sampler = SAMPLERS[name](model, torch.tensor([start, 0.3, 0.01]))
    return sampler(batch, torch.Generator().manual_seed(0)).pos


def _try(kind: str, method: str, process: str, run: Callable[[float], Tensor]) -> Trial:
    reason = ""
    for outcome, start in ((WORKS, 1.0), (WORKS_BELOW_1, SDES[process]().max_time)):
        try:
            if bool(run(start).isfinite().all()):
                return Trial(kind, method, process, outcome, reason)
            reason = "the result is not finite"
        except ValueError as error:
            reason = str(error)
    return Trial(kind, method, process, REFUSED, reason)
