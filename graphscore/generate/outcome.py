"""Outcomes of sampling: an input with its samples, failure, notes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch_geometric.data import Data

from graphscore.domains import domain_of
from graphscore.registry import resolve

EXACT, SAMPLED, REDRAWN = "exact", "sampled", "redrawn"
"""Methods by which a sample was made: known without a network, by the first try, or by a later one."""


@dataclass(frozen=True)
class Cost:
    """Cost of the samples of an input: network evaluations, seconds and processes.

    Attributes:
        evaluations: Evaluations of the network for all its samples together, including those drawn again.
        seconds: Time by stage; work on several inputs at once is divided among them.
        workers: Number of processes that shared the work; ``None`` while the best number was being measured.
        max_edges: Largest number of edges in a batch, halved for want of memory; ``None`` if there was enough.
    """

    evaluations: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    workers: int | None = 1
    max_edges: int | None = None

    def __add__(self, other: Cost) -> Cost:
        names = {**self.seconds, **other.seconds}
        seconds = {name: self.seconds.get(name, 0.0) + other.seconds.get(name, 0.0) for name in names}
        halved = [cost.max_edges for cost in (self, other) if cost.max_edges is not None]
        workers = max(self.workers or 1, other.workers or 1)
        return Cost(self.evaluations + other.evaluations, seconds, workers, min(halved, default=None))


@dataclass(frozen=True, repr=False)
class Outcome:
    """Sampling results of one input: samples, failure, notes and costs.

    Attributes:
        input: The input as given.
        samples: Copies of the input with the fields replaced, in data units. Numbers about a sample are attributes,
            such as ``drift``, see :func:`~graphscore.samplers.drift`: the larger, the less reliable the sample. The
            attribute ``method`` says how the sample was made.
        failure: Reason why samples are missing; ``None`` if none are.
        notes: Notes on the samples, one sentence each.
        cost: Cost of the samples.
        num_refused: Number of samples that do not fit the input, and were kept because no other try was better. The
            attribute ``warning`` of such a sample may say why.
    """

    input: Any
    samples: list[Data] = field(default_factory=list)
    failure: str | None = None
    notes: list[str] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    num_refused: int = 0

    @property
    def name(self) -> str:
        """Name of the input; see :func:`name_of`."""
        return name_of(self.input)

    def __repr__(self) -> str:
        count = f"{len(self.samples)} sample{'' if len(self.samples) == 1 else 's'}"
        problem = "" if self.failure is None else f", failure={self.failure!r}"
        return f"{type(self).__name__}({self.name!r}: {count}{problem})"

    def _repr_html_(self) -> str | None:
        """Show the first samples in a notebook, as their domain draws them; ``None`` leaves it at the ``repr``."""
        if not self.samples:
            return None
        try:
            return resolve(domain_of(self.samples[0]).cell)(self)
        except ImportError:  # of an extra, without which the result is still worth a line of text
            return None


def name_of(item: Any) -> str:
    """Name an input by its ``name`` or ``smiles``; graphs without either by their size, other inputs as text."""
    if not isinstance(item, Data):
        return str(item)
    return item.get("name") or item.get("smiles") or f"graph of {item.num_nodes} nodes"
