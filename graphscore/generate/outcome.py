"""Outcomes: one input with its samples, the reason why some are missing, notes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch_geometric.data import Data


@dataclass(frozen=True)
class Cost:
    """Cost of the samples of an input.

    Attributes:
        evaluations: Evaluations of the network for all its samples together, those drawn again included.
        seconds: Time by what it was spent on; its share of what was done for several inputs at once.
        workers: Processes that shared the work; ``None`` while it was being measured whether it pays to share it.
    """

    evaluations: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    workers: int | None = 1

    def __add__(self, other: Cost) -> Cost:
        names = {**self.seconds, **other.seconds}
        seconds = {name: self.seconds.get(name, 0.0) + other.seconds.get(name, 0.0) for name in names}
        return Cost(self.evaluations + other.evaluations, seconds, max(self.workers or 1, other.workers or 1))


@dataclass(frozen=True, repr=False)
class Outcome:
    """One input with its samples.

    Attributes:
        input: What was given.
        samples: Its samples: copies with the fields replaced, in data units. Numbers are attributes, such as ``drift``,
            see :func:`~graphscore.samplers.drift`: the larger, the less the sample is to be trusted.
        failure: Why samples are missing; ``None`` if none are.
        notes: What else is to be known of the samples, a sentence each.
        cost: What they cost.
        num_refused: How many of them are not what was asked for, and were kept since no other try was better.
    """

    input: Any
    samples: list[Data] = field(default_factory=list)
    failure: str | None = None
    notes: list[str] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    num_refused: int = 0

    @property
    def name(self) -> str:
        """What to call the input: its name, its SMILES, or what else it is."""
        return name_of(self.input)

    def __repr__(self) -> str:
        count = f"{len(self.samples)} sample{'' if len(self.samples) == 1 else 's'}"
        problem = "" if self.failure is None else f", failure={self.failure!r}"
        return f"{type(self).__name__}({self.name!r}: {count}{problem})"


def name_of(item: Any) -> str:
    """Name an input for people: by its ``name`` or ``smiles``, or as text; graphs without either by their size."""
    if not isinstance(item, Data):
        return str(item)
    return item.get("name") or item.get("smiles") or f"graph of {item.num_nodes} nodes"
