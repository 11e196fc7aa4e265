"""Samples that start from given values of the fields, which are diffused to a time and denoised from there (SDEdit).

References:
    Meng et al. (2022), SDEdit: guided image synthesis and editing with stochastic differential equations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import with_fields
from graphscore.data.derived import given_attributes
from graphscore.data.normalization import normalization, put_back
from graphscore.data.preparation import field_values, named, without
from graphscore.fields import Field
from graphscore.generate.tries import Finish, Starts, with_values


def check_noise(noise: float | None) -> None:
    """Check the time up to which given values are diffused.

    Raises:
        ValueError: If it does not lie in (0, 1].
    """
    if noise is not None and not 0 < noise <= 1:
        raise ValueError(f"noise is a time, above 0 (the given values) and at most 1 (pure noise), but is {noise}")


def starts_of(fields: Mapping[str, Field], transform: Any) -> Starts:
    """Make the function that gives input graphs the fields that samples start from; see :func:`with_given_fields`."""
    return partial(_start, fields, transform)


def _start(fields: Mapping[str, Field], transform: Any, template: Data, prepare: Callable[[Data], Data]) -> Data:
    return with_given_fields(template, fields, transform, prepare, "to start from")


def with_given_fields(
    template: Data, fields: Mapping[str, Field], transform: Any, prepare: Callable[[Data], Data], purpose: str
) -> Data:
    """Make the network's input graph of a graph with values of all fields, as in training.

    Args:
        template: The graph, with the fields in data units.
        fields: Fields of the model by name.
        transform: Transform of the model, whose normalizing steps apply to the fields.
        prepare: Makes the input graph of a graph without fields.
        purpose: What the values are for, for the message where they are missing.

    Returns:
        The input graph, with the fields in float32, and their frame where they are normalized.

    Raises:
        ValueError: If a field is missing, not finite, or of another width than the model's.
    """
    if given_attributes(fields, transform) != [*fields]:
        return prepare(template)  # which measures the fields
    if missing := [name for name in fields if name not in template]:
        raise ValueError(f"the graph has no {named(missing[0])} {purpose}")
    values = field_values(template, list(fields))
    for name, field in fields.items():
        if values[name].shape[1] != (field.width or values[name].shape[1]):
            raise ValueError(f"{name} has {values[name].shape[1]} columns, but the model {field.width}")
    given, steps = Data.from_dict({**values}), normalization(transform)
    given = given if steps is None else steps(given)
    return with_fields(without(template, list(fields)), [given.to_dict()], prepare)[0]


class PutBack:
    """Finish samples of a model that normalizes graphs, in the place and size of the graphs that they started from.

    Args:
        finish: The way to make a sample otherwise; by default by :func:`~graphscore.generate.tries.with_values`.
    """

    def __init__(self, finish: Finish | None) -> None:
        self.finish = finish or with_values

    def __call__(self, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
        """Make a sample, see :func:`graphscore.generate.jobs.generate`."""
        return self.finish(template, graph, put_back(graph, values))
