"""Samples of fields that a transform measures: input graphs with what they are measured on, and the way back to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import Transform
from graphscore.data.derived import deriving, given_attributes
from graphscore.data.preparation import Preparation, named
from graphscore.generate.tries import Finish


class MeasuredInputs:
    """Make the network's input graphs for fields that a transform measures on values of the inputs, as in training.

    Args:
        fields: Names of the fields.
        transform: Transform of the model.
    """

    def __init__(self, fields: Iterable[str], transform: Transform) -> None:
        self.fields = list(fields)
        self.given = given_attributes(self.fields, transform)
        self.prepare = Preparation(self.given, transform)

    def __call__(self, item: Data) -> Data:
        """Make the input graph of a graph, which is not changed.

        Raises:
            ValueError: If it lacks the values, they are not finite, or the transform refuses it.
        """
        if missing := [name for name in self.given if name not in item]:
            raise ValueError(
                f"it has no {named(missing[0])}, and this model changes those of its inputs alone "
                f"({', '.join(self.fields)}): draw some by another model first, and sample from its output"
            )
        return self.prepare(item)


class Placed:
    """Finish samples of fields that a transform measures: first compute what has these values.

    Args:
        finish: The way to make a sample of that.
        transform: Transform of the model.
    """

    def __init__(self, finish: Finish, transform: Any) -> None:
        self.finish, self.steps = finish, deriving(transform)

    def __call__(self, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
        """Make a sample, see :func:`graphscore.generate.jobs.generate`."""
        for step in self.steps:
            values = step.place(graph, values)
        return self.finish(template, graph, values)
