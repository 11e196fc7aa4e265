"""Energies of graph drawings, for guidance: crossings, overlap, alignment, grid, aspect ratio, mirror symmetry.

Each maps a batch of drawings, ``pos`` in lengths of an edge, to a number per graph without a unit, which is 0 for the
best drawing. It can be differentiated, and goes into :class:`~graphscore.guidance.EnergyGuidance` and into the option
``energies`` of :func:`graphscore.layout`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.utils import to_dense_batch

from graphscore import ops
from graphscore.layouts.metrics import drawn_edges
from graphscore.nn.edges.sets import ragged_range, simple_edges
from graphscore.registry import find


class DrawingEnergy(ABC):
    """An energy of drawings in the plane."""

    @abstractmethod
    def __call__(self, batch: Batch) -> Tensor:
        """Compute the energy of each graph of a batch with ``pos`` ``[N, 2]``: shape ``[B]``."""


def _positive(energy: object, **numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ValueError(f"{type(energy).__name__}: {name} must be positive and finite, but is {number}")


@dataclass(frozen=True)
class Crossings(DrawingEnergy):
    r"""Smooth number of crossings of edges that have no end in common.

    Two edges cross if the ends of each lie on different sides of the line through the other: two products of signed
    distances are negative. Each condition counts as the logistic function of minus the product over ``softness``
    squared; the smaller the softness, the closer to the number of crossings.

    Attributes:
        softness: Distance from a line below which sides are not told apart, in lengths of an edge.
    """

    softness: float = 0.3

    def __post_init__(self) -> None:
        _positive(self, softness=self.softness)

    def __call__(self, batch: Batch) -> Tensor:  # noqa: D102 (documented on DrawingEnergy)
        edges = _edges(batch)
        graph = batch.batch[edges[0]]
        # Each edge is paired with those after it in its graph.
        last = torch.bincount(graph, minlength=batch.num_graphs).cumsum(0)[graph]
        row, place = ragged_range(last - torch.arange(1, len(graph) + 1, device=graph.device))
        first, second = edges[:, row], edges[:, row + 1 + place]
        apart = (first[:, None] != second[None]).flatten(0, 1).all(0)
        (a, b), (c, d) = batch.pos[first[:, apart]], batch.pos[second[:, apart]]
        crossed = self._parted(a, b, c, d) * self._parted(c, d, a, b)
        return ops.sum(crossed[:, None], graph[row[apart]], batch.num_graphs)[:, 0]

    def _parted(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        """Smooth test from 0 to 1 that points c and d lie on different sides of the line from a to b."""
        x, y = ((b - a) / (b - a).square().sum(1, keepdim=True).clamp(min=1e-12).sqrt()).unbind(1)
        sides = [x * (point - a)[:, 1] - y * (point - a)[:, 0] for point in (c, d)]
        return torch.sigmoid(-sides[0] * sides[1] / self.softness**2)


@dataclass(frozen=True)
class Overlap(DrawingEnergy):
    r"""Overlap of nodes: the sum over pairs of :math:`\max(0, 1 - d / \mathrm{size})^2`.

    Attributes:
        size: Diameter of the nodes, in lengths of an edge.
    """

    size: float = 0.5

    def __post_init__(self) -> None:
        _positive(self, size=self.size)

    def __call__(self, batch: Batch) -> Tensor:  # noqa: D102
        pos, present = to_dense_batch(batch.pos, batch.batch, batch_size=batch.num_graphs)
        pair = (present[:, :, None] & present[:, None]).triu(1)
        square = (pos[:, :, None] - pos[:, None]).square().sum(-1)
        distance = torch.where(pair, square, 1.0).clamp(min=1e-12).sqrt()
        return torch.where(pair, (1 - distance / self.size).relu().square(), 0.0).sum((1, 2))


@dataclass(frozen=True)
class Alignment(DrawingEnergy):
    r"""Alignment of edges to the axes: the sum over edges of :math:`\sin^2 2 \theta`, with :math:`\theta` its angle.

    0 if each edge is horizontal or vertical; a diagonal one counts 1.
    """

    def __call__(self, batch: Batch) -> Tensor:  # noqa: D102
        edges = _edges(batch)
        x, y = (batch.pos[edges[0]] - batch.pos[edges[1]]).unbind(1)
        slope = 4 * (x * y).square() / (x.square() + y.square()).square().clamp(min=1e-12)
        return ops.sum(slope[:, None], batch.batch[edges[0]], batch.num_graphs)[:, 0]


@dataclass(frozen=True)
class Grid(DrawingEnergy):
    r"""Alignment of nodes to a square grid: :math:`n \sum_x (1 - |\mathrm{mean}\, e^{2 \pi i x / s}|)` over both axes.

    0 if all nodes lie on a grid of spacing s, wherever that is. On paths longer than a few nodes it has many minima.

    Attributes:
        spacing: Spacing s, in lengths of an edge.
    """

    spacing: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, spacing=self.spacing)

    def __call__(self, batch: Batch) -> Tensor:  # noqa: D102
        angle = 2 * math.pi / self.spacing * batch.pos
        count = ops.count(batch.batch, batch.num_graphs).clamp(min=1).to(angle)[:, None]
        means = [ops.sum(wave, batch.batch, batch.num_graphs) / count for wave in (angle.cos(), angle.sin())]
        order = (means[0].square() + means[1].square()).clamp(min=1e-12).sqrt()
        return (count * (1 - order)).sum(1) * (ops.count(batch.batch, batch.num_graphs) > 0)


@dataclass(frozen=True)
class AspectRatio(DrawingEnergy):
    r"""Aspect ratio: :math:`n \ln^2 (w / (h r))` of a drawing of n nodes, its wanted ratio being r.

    Width w and height h are the standard deviations of the coordinates.

    Attributes:
        ratio: Width over height.
    """

    ratio: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, ratio=self.ratio)

    def __call__(self, batch: Batch) -> Tensor:  # noqa: D102
        centred = ops.center(batch.pos, batch.batch, batch.num_graphs)
        spread = ops.sum(centred.square(), batch.batch, batch.num_graphs).clamp(min=1e-6)
        logs = (spread[:, 0] / spread[:, 1]).log() / 2 - math.log(self.ratio)
        return ops.count(batch.batch, batch.num_graphs) * logs.square()


@dataclass(frozen=True)
class Symmetry(DrawingEnergy):
    """Mirror symmetry about the vertical line through the centroid.

    The sum over nodes of the squared distance, in lengths of an edge, of the mirror image to the nearest node.
    """

    def __call__(self, batch: Batch) -> Tensor:  # noqa: D102
        centred = ops.center(batch.pos, batch.batch, batch.num_graphs)
        pos, present = to_dense_batch(centred, batch.batch, batch_size=batch.num_graphs)
        image = pos * pos.new_tensor([-1.0, 1.0])
        square = (image[:, :, None] - pos[:, None]).square().sum(-1)
        nearest = square.masked_fill(~present[:, None], math.inf).amin(-1)
        return torch.where(present, nearest, 0.0).sum(1)


ENERGIES: Mapping[str, type[DrawingEnergy]] = {
    "crossings": Crossings,
    "overlap": Overlap,
    "alignment": Alignment,
    "grid": Grid,
    "aspect-ratio": AspectRatio,
    "symmetry": Symmetry,
}


class TotalEnergy(DrawingEnergy):
    """Sum of energies, each times its strength.

    Args:
        strengths: Strength of each energy, given by its name in :data:`ENERGIES` or as an object.

    Raises:
        ValueError: If there is no such energy, or a strength is negative or not finite.
    """

    def __init__(self, strengths: Mapping[Any, float]) -> None:
        self.strengths = {
            find(one, ENERGIES, "energy")() if isinstance(one, str) else one: float(strength)
            for one, strength in strengths.items()
        }
        for one, strength in self.strengths.items():
            if not isinstance(one, DrawingEnergy) or not 0 <= strength < math.inf:
                raise ValueError(
                    f"Expected energies {', '.join(ENERGIES)} with finite strengths of at least 0, but got {one!r} "
                    f"with {strength}"
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TotalEnergy) and self.strengths == other.strengths

    def __hash__(self) -> int:
        return hash(frozenset(self.strengths.items()))

    def __call__(self, batch: Batch) -> Tensor:  # noqa: D102 (documented on DrawingEnergy)
        total = batch.pos.new_zeros(batch.num_graphs)
        for one, strength in self.strengths.items():
            total = total + strength * one(batch)
        return total


def _edges(batch: Batch) -> Tensor:
    """Drawn edges ``[2, E]`` of a batch, each once, ordered by graph."""
    both = simple_edges(drawn_edges(batch), int(batch.num_nodes or 0))
    return both[:, both[0] < both[1]]
