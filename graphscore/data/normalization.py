"""Normalization of point clouds: the place and size of each graph are taken out, kept, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose

from graphscore.registry import unknown

METHODS = ("bounding-box", "unit-sphere", "standard")
"""Normalizations by name.

``bounding-box``: the middle of the bounding box is the origin, its largest half width 1. ``unit-sphere``: the centroid
is the origin, and the farthest point at distance 1, as in PointNet's data.
``standard``: the centroid is the origin, and the standard deviation over all coordinates 1, as in PointFlow.
"""


class Frame(NamedTuple):
    """Place and size of a set of points.

    Attributes:
        origin: The point that becomes the origin, ``[D]``.
        unit: The length that becomes 1, ``[]``.
    """

    origin: Tensor
    unit: Tensor

    def inside(self, values: Tensor) -> Tensor:
        """Normalize points ``[N, D]``."""
        return (values - self.origin.to(values)) / self.unit.to(values)

    def outside(self, values: Tensor) -> Tensor:
        """Put normalized points ``[N, D]`` back."""
        return values * self.unit.to(values) + self.origin.to(values)


def check_method(method: str) -> str:
    """Check the name of a normalization.

    Raises:
        ValueError: If there is none of the name.
    """
    if method not in METHODS:
        raise unknown(method, METHODS, "normalization")
    return method


def frame_of(values: Tensor, method: str) -> Frame:
    """Measure place and size of points, of those whose coordinates are finite.

    Points that are all at one place, or none, have the unit 1.

    Args:
        values: Points ``[N, D]``.
        method: One of :data:`METHODS`.
    """
    known = values[values.isfinite().all(1)].double()
    if not len(known):
        return Frame(values.new_zeros(values.size(1), dtype=torch.float64), torch.ones((), dtype=torch.float64))
    if check_method(method) == "bounding-box":
        low, high = known.amin(0), known.amax(0)
        origin, unit = (low + high) / 2, ((high - low) / 2).max()
    else:
        origin = known.mean(0)
        centred = known - origin
        unit = centred.norm(dim=1).max() if method == "unit-sphere" else centred.square().mean().sqrt()
    return Frame(origin, torch.where(unit > 0, unit, torch.ones_like(unit)))


ORIGIN, UNIT = "{}_origin", "{}_unit"
"""Names of the attributes of a normalized graph that hold its :class:`Frame`: ``[1, D]`` and ``[1]``."""


class Normalize(BaseTransform):
    """Normalize the positions of each graph: its place and size are taken out.

    A model with this transform is trained on normalized values, and its samples are normalized, too. Those that
    complete given rows, such as the known points of a cloud, have the place and size that these rows have.

    Args:
        field: Attribute ``[N, D]``, by default the positions.
        method: One of :data:`METHODS`.

    Raises:
        ValueError: If there is no such method.
    """

    def __init__(self, field: str = "pos", method: str = "bounding-box") -> None:
        self.field, self.method = field, check_method(method)

    def forward(self, data: Data) -> Data:
        """Return a copy with normalized values and their frame; one without values is left as it is."""
        values = data.get(self.field)
        if isinstance(values, Tensor):
            frame = frame_of(values, self.method)
            data[self.field] = frame.inside(values)
            data[ORIGIN.format(self.field)], data[UNIT.format(self.field)] = frame.origin[None], frame.unit[None]
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(field={self.field!r}, method={self.method!r})"


def normalizing(transform: Any) -> list[Normalize]:
    """List the normalizing steps of a transform."""
    steps = transform.transforms if isinstance(transform, Compose) else [transform]
    return [step for step in steps if isinstance(step, Normalize)]


def normalization(transform: Any) -> Compose | None:
    """Return the normalizing steps of a transform alone; ``None`` if it has none."""
    return Compose(found) if (found := normalizing(transform)) else None


def normalized(values: Mapping[str, Tensor], transform: Any) -> dict[str, Tensor]:
    """Normalize the fields of a graph as a transform says that gets the graph without them."""
    found = dict(values)
    for step in normalizing(transform):
        if step.field in found:
            found[step.field] = frame_of(found[step.field], step.method).inside(found[step.field])
    return found


def frame_in(graph: Data, field: str) -> Frame | None:
    """Read the frame of a normalized graph; ``None`` if it has none."""
    name = ORIGIN.format(field)
    return Frame(graph[name][0], graph[UNIT.format(field)][0]) if name in graph else None


def put_back(graph: Data, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put values of a graph's fields back into the place and size that its frames say, where it has such."""
    frames = {name: frame_in(graph, name) for name in values}
    return {name: value if (frame := frames[name]) is None else frame.outside(value) for name, value in values.items()}
