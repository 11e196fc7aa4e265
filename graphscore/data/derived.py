"""Fields that a transform measures on other attributes of each graph, such as dihedral angles on positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import Compose


@runtime_checkable
class Deriving(Protocol):
    """Protocol of transforms that measure fields: graphs of data need what they are measured on, not the fields.

    Attributes:
        derived: The attributes that each field is measured on, by the name of the field.
    """

    derived: ClassVar[Mapping[str, tuple[str, ...]]]

    def measure(self, data: Data) -> Data:
        """Return a shallow copy of a transformed graph with the fields measured, as far as it has what they need."""
        ...

    def place(self, graph: Data, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the attributes of a graph that have given values of the fields.

        Args:
            graph: A transformed graph with the attributes as they were.
            values: New values of the fields, ``[rows, width]``.

        Returns:
            The values, with the attributes in place of the fields that were measured on them.
        """
        ...


def deriving(transform: Any) -> list[Deriving]:
    """List the steps of a transform that measure fields."""
    steps = transform.transforms if isinstance(transform, Compose) else [transform]
    return [step for step in steps if isinstance(step, Deriving)]


def measured(data: Data, transform: Any) -> Data:
    """Measure the derived fields of a transformed graph, by all steps that do so."""
    for step in deriving(transform):
        data = step.measure(data)
    return data


def given_attributes(fields: Iterable[str], transform: Any) -> list[str]:
    """List the attributes that graphs must have for fields: the fields, or what the transform measures them on."""
    sources = {name: source for step in deriving(transform) for name, source in step.derived.items()}
    return list(dict.fromkeys(given for name in fields for given in sources.get(name, (name,))))
