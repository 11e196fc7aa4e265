"""Refinement of sampled drawings: stress majorisation, then removal of crossings, and the choice of the best."""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from graphscore.layouts.metrics import scaled_stress
from graphscore.layouts.stress import majorise
from graphscore.layouts.uncrossing import Incidence, count_crossings, uncross
from graphscore.rng import Generator

Refinement = Literal["stress", "crossings"] | None
Choice = Literal["auto", "stress", "crossings"] | None
REFINEMENTS = ("stress", "crossings", None)
RELAXATION = 1.8
MOST_EDGES = 2000
"""Largest number of edges whose crossings are counted, by tables of all pairs of edges."""
PRICE = 1.0
"""Stress that one crossing is worth, over ordered pairs of nodes; chosen on validation graphs."""
SHORT, STEPS, ROUNDS = 20, 60, 8
"""Steps of majorisation of all drawings and of those that go on, and rounds of the removal of crossings; chosen on
validation graphs."""


class Drawings(NamedTuple):
    """Drawings of graphs, several of each, the best of each graph first.

    Attributes:
        pos: Positions ``[B, K, n, D]``, in lengths of an edge.
        stress: Stress of :func:`~graphscore.layouts.metrics.scaled_stress` ``[B, K]``.
        crossings: Number of crossings ``[B, K]``; zero if the drawings are not in the plane.
    """

    pos: Tensor
    stress: Tensor
    crossings: Tensor

    def best(self, count: int, price: float) -> Drawings:
        """The best drawings of each graph, in order of stress plus ``price`` times crossings."""
        order = (self.stress + price * self.crossings).argsort(dim=1, stable=True)[:, :count]
        rows = torch.arange(len(order), device=order.device)[:, None]
        return Drawings(*(values[rows, order] for values in self))


def measured(pos: Tensor, distances: Tensor, edges: Incidence | None) -> Drawings:
    """Measure drawings ``[B, K, n, D]`` of graphs with distances ``[B, n, n]``; ``None`` for no count of crossings."""
    count = pos.shape[1]
    flat, tables = pos.flatten(0, 1), distances.repeat_interleave(count, 0)
    stress = scaled_stress(flat, tables).view(pos.shape[:2])
    if pos.shape[-1] != 2 or edges is None:
        return Drawings(pos, stress, torch.zeros_like(stress))
    return Drawings(pos, stress, count_crossings(flat, edges.repeat(count)).view(pos.shape[:2]).to(stress))


def refine(
    pos: Tensor,
    distances: Tensor,
    adjacent: Tensor,
    refinement: Refinement,
    *,
    held: Tensor | None = None,
    keep: int = 1,
    finalists: int = 2,
    short: int = SHORT,
    steps: int = STEPS,
    rounds: int = ROUNDS,
    price: float = PRICE,
    generator: Generator = None,
) -> Drawings:
    """Refine drawings, and keep the best of each graph.

    If there are more than are kept, a few steps show which half of them to go on with.

    Args:
        pos: Drawings ``[B, K, n, D]``, in lengths of an edge.
        distances: Wanted distances ``[B, n, n]``, see :func:`~graphscore.layouts.stress.majorise`.
        adjacent: Whether two nodes are joined by an edge ``[B, n, n]``.
        refinement: ``"stress"``; ``"crossings"`` to remove crossings too, where that costs little stress; ``None`` to
            measure and sort alone.
        held: Nodes that stay where they are, bool ``[B, n]``.
        keep: Number of drawings to keep of each graph.
        finalists: Number of drawings of each graph, the best by stress and crossings, whose crossings are removed.
        short: Steps of majorisation of all drawings, if not all are kept; 0 to go on with all of them.
        steps: Steps of majorisation of those that go on, ``short`` ones included.
        rounds: Rounds of the removal of crossings.
        price: Stress that one crossing is worth.
        generator: Source of its random places; a :class:`~graphscore.rng.GraphGenerator` has a seed for each finalist
            of each graph.
    """
    edges = Incidence.of(adjacent) if len(adjacent) and int(adjacent.sum((1, 2)).max()) <= 2 * MOST_EDGES else None
    if edges is None and refinement == "crossings":
        warnings.warn(f"Crossings are not counted or removed: a graph has more than {MOST_EDGES} edges", stacklevel=2)
    if refinement is not None:
        going = max(keep, -(-pos.shape[1] // 2)) if short else pos.shape[1]
        if going < pos.shape[1]:
            steps, pos = max(steps - short, 0), majorise(pos, distances, short, held, RELAXATION)
            pos = measured(pos, distances, edges).best(going, price).pos
        pos = majorise(pos, distances, steps, held, RELAXATION)
    found = measured(pos, distances, edges)
    if refinement != "crossings" or pos.shape[-1] != 2 or edges is None:
        return found.best(keep, price)
    count = min(finalists, pos.shape[1])
    found = found.best(pos.shape[1], price)
    chosen, still = found.pos[:, :count], None if held is None else held.repeat_interleave(count, 0)
    tables = distances.repeat_interleave(count, 0)
    moved = uncross(chosen.flatten(0, 1), tables, edges.repeat(count), rounds, price, still, generator).view_as(chosen)
    better = measured(moved, distances, edges)
    return Drawings(*(torch.cat([a, b[:, count:]], 1) for a, b in zip(better, found, strict=True))).best(keep, price)
