"""Shapes of graphs with positions, to be drawn: places of nodes, edges and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

Edges = Callable[[Data], Tensor]
_TURN, _TILT = np.radians([35.0, 18.0])  # to the right and upwards, of who looks at a shape in space


class Shape(NamedTuple):
    """Places of the nodes of a graph, and its edges.

    Attributes:
        pos: Positions ``[N, 2]`` or ``[N, 3]``; if all are finite, the middle of their bounding box is the origin.
        edges: Pairs of nodes ``[E, 2]``, each once.
    """

    pos: NDArray[np.float64]
    edges: NDArray[np.int64]

    @property
    def is_finite(self) -> bool:
        """True if all positions are finite."""
        return bool(np.isfinite(self.pos).all())


@dataclass(frozen=True)
class Block:
    """Graphs that are drawn together, such as references or samples.

    Attributes:
        name: Name of the graphs, beside their pictures.
        items: Graphs with ``pos`` ``[N, 2]`` or ``[N, 3]``.
        labels: A label of each graph, or none at all.
        is_reference: Whether they are what others are compared with, and drawn in gray.
    """

    name: str
    items: Sequence[Data]
    labels: Sequence[str] = ()
    is_reference: bool = False

    def __post_init__(self) -> None:
        if self.labels and len(self.labels) != len(self.items):
            raise ValueError(f"Expected a label for each of {len(self.items)} graphs, but got {len(self.labels)}")

    @property
    def texts(self) -> Sequence[str]:
        """A label of each graph, empty if there is none."""
        return self.labels or [""] * len(self.items)


def shape_of(data: Data, edges: Edges | None = None) -> Shape:
    """Read the places of the nodes of a graph and its edges, without directions, repetitions and loops.

    Args:
        data: Graph with ``pos`` ``[N, 2]`` or ``[N, 3]``.
        edges: Function that gives the drawn edges ``[2, E]``; by default ``edge_index``.

    Raises:
        ValueError: If it has no such positions.
    """
    if not isinstance(data.get("pos"), Tensor) or data["pos"].dim() != 2 or data["pos"].size(1) not in (2, 3):
        got = list(data["pos"].shape) if isinstance(data.get("pos"), Tensor) else None
        raise ValueError(f"Expected points in the plane or in space, pos [N, 2] or [N, 3], but got {got}")
    pos = data["pos"].detach().cpu().double().numpy()
    drawn = data.edge_index if edges is None else edges(data)
    pairs = np.zeros((0, 2), np.int64) if drawn is None else np.sort(drawn.detach().cpu().numpy().T, axis=1)
    pairs = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
    if len(pos) and np.isfinite(pos).all():
        pos = pos - (pos.min(axis=0) + pos.max(axis=0)) / 2
    return Shape(pos, pairs)


def seen(shape: Shape) -> Shape:
    """Return a shape with places on the paper and towards the viewer ``[N, 3]``; one in space is turned for that.

    One that is not finite is not turned, which would be undefined: it is shown as failed.
    """
    if not shape.is_finite and shape.pos.shape[1] == 3:
        return shape
    if shape.pos.shape[1] == 2:
        return Shape(np.pad(shape.pos, ((0, 0), (0, 1))), shape.edges)
    (x, y, z), (a, b) = shape.pos.T, (_TURN, _TILT)
    across, deep = np.cos(a) * x - np.sin(a) * z, np.sin(a) * x + np.cos(a) * z
    return Shape(np.stack([across, np.cos(b) * y - np.sin(b) * deep, np.sin(b) * y + np.cos(b) * deep], 1), shape.edges)


def half_width(reference: Sequence[Shape], others: Sequence[Shape]) -> float:
    """Half the width of a square that shows all references, and the others but for outliers, about the origin.

    What fell apart is cut off, since it must not shrink all others.

    Raises:
        ValueError: If a reference is not finite.
    """
    if not all(shape.is_finite for shape in reference):
        raise ValueError("A reference has coordinates that are not finite")
    usual = max((float(np.abs(shape.pos).max(initial=0)) for shape in reference), default=0.0)
    drawn = [np.abs(shape.pos).max(axis=1) for shape in others if shape.is_finite and len(shape.pos)]
    values = np.concatenate([*drawn, [0.0]])
    bulk, most = float(np.quantile(values, 0.99)), float(values.max())
    half = most if most <= 1.5 * bulk else bulk
    # The width of single points is 0.
    return max(usual, min(half, 1.5 * usual or half)) or 1.0
