"""Refinement of sampled drawings: stress majorisation, then removal of crossings, and the choice of the best."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from graphscore.layouts.metrics import scaled_stress
from graphscore.layouts.stress import majorise
from graphscore.layouts.uncrossing import count_crossings, uncross

Refinement = Literal["stress", "crossings"] | None
REFINEMENTS = ("stress", "crossings", None)
PRICE = 1.0
"""Stress that one crossing is worth, over ordered pairs of nodes; chosen on validation graphs."""
STEPS, ROUNDS = 60, 10


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


def measured(pos: Tensor, distances: Tensor, adjacent: Tensor) -> Drawings:
    """Measure drawings ``[B, K, n, D]`` of graphs with distances and edges ``[B, n, n]``."""
    count = pos.shape[1]
    flat, tables = pos.flatten(0, 1), distances.repeat_interleave(count, 0)
    stress = scaled_stress(flat, tables).view(pos.shape[:2])
    if pos.shape[-1] != 2:
        return Drawings(pos, stress, torch.zeros_like(stress))
    crossings = count_crossings(flat, adjacent.repeat_interleave(count, 0)).view(pos.shape[:2])
    return Drawings(pos, stress, crossings.to(stress))


def refine(
    pos: Tensor,
    distances: Tensor,
    adjacent: Tensor,
    refinement: Refinement,
    *,
    held: Tensor | None = None,
    keep: int = 1,
    finalists: int = 2,
    steps: int = STEPS,
    rounds: int = ROUNDS,
    price: float = PRICE,
    generator: torch.Generator | None = None,
) -> Drawings:
    """Refine drawings, and keep the best of each graph.

    Args:
        pos: Drawings ``[B, K, n, D]``, in lengths of an edge.
        distances: Wanted distances ``[B, n, n]``, see :func:`~graphscore.layouts.stress.majorise`.
        adjacent: Whether two nodes are joined by an edge ``[B, n, n]``.
        refinement: ``"stress"``; ``"crossings"`` to remove crossings too, where that costs little stress; ``None`` to
            measure and sort alone.
        held: Nodes that stay where they are, bool ``[B, n]``.
        keep: Number of drawings to keep of each graph.
        finalists: Number of drawings of each graph, the best by stress and crossings, whose crossings are removed.
        steps: Steps of majorisation.
        rounds: Rounds of the removal of crossings.
        price: Stress that one crossing is worth.
        generator: Source of its random places.
    """
    if refinement is not None:
        count = pos.shape[1]
        tables = distances.repeat_interleave(count, 0)
        still = None if held is None else held.repeat_interleave(count, 0)
        pos = majorise(pos.flatten(0, 1), tables, steps, still, relaxation=1.8).view_as(pos)
    found = measured(pos, distances, adjacent)
    if refinement != "crossings" or pos.shape[-1] != 2:
        return found.best(keep, price)
    count = min(finalists, pos.shape[1])
    sorted_ = found.best(pos.shape[1], price)
    still = None if held is None else held.repeat_interleave(count, 0)
    tables, edges = distances.repeat_interleave(count, 0), adjacent.repeat_interleave(count, 0)
    chosen = sorted_.pos[:, :count]
    moved = uncross(chosen.flatten(0, 1), tables, edges, rounds, price, still, generator).view_as(chosen)
    better = measured(moved, distances, adjacent)
    return Drawings(*(torch.cat([a, b[:, count:]], 1) for a, b in zip(better, sorted_, strict=True))).best(keep, price)
