"""Levels of fields in a configuration: nodes, edges, graphs, or the columns of an attribute of node numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError


def _check(value: str) -> str:
    if value in ("node", "edge", "graph") or (value.isidentifier() and value.endswith("_index")):
        return value
    raise PydanticCustomError(
        "level",
        "Input should be 'node', 'edge' or 'graph', or the name of an attribute of node numbers that ends in '_index'",
    )


FieldLevel = Annotated[
    str,
    AfterValidator(_check),
    WithJsonSchema(
        {"anyOf": [{"enum": ["node", "edge", "graph"]}, {"type": "string", "pattern": "^[A-Za-z_]\\w*_index$"}]}
    ),
]
"""Level of a field, see :class:`graphscore.fields.Field`."""
