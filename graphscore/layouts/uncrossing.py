"""Removal of crossings from graph drawings, at a price in stress: moves of single nodes, many graphs at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Incidence(NamedTuple):
    """The edges of padded graphs.

    Attributes:
        ends: First and second end of each edge ``[2, B, e]``; places without an edge have 0.
        present: Whether a place holds an edge ``[B, e]``.
        apart: Whether an edge of the first list of ``2 e`` directed edges has no end in common with an edge of the
            second list, and both are present ``[B, 2 e, e]``.
    """

    ends: Tensor
    present: Tensor
    apart: Tensor

    @classmethod
    def of(cls, adjacent: Tensor) -> Incidence:
        """List the edges of graphs, from whether two nodes are joined ``[B, n, n]``."""
        graph, first, second = adjacent.triu(1).nonzero().unbind(1)
        counts = torch.bincount(graph, minlength=len(adjacent))
        place = torch.arange(len(graph), device=graph.device) - (counts.cumsum(0) - counts)[graph]
        ends = graph.new_zeros(2, len(adjacent), int(counts.max()) if len(counts) else 0)
        ends[0, graph, place], ends[1, graph, place] = first, second
        present = torch.arange(ends.shape[-1], device=graph.device) < counts[:, None]
        (a, b), both = ends, torch.cat([present, present], 1)
        c, d = torch.cat([a, b], 1), torch.cat([b, a], 1)
        shared = (c[:, :, None] == a[:, None]) | (c[:, :, None] == b[:, None])
        shared |= (d[:, :, None] == a[:, None]) | (d[:, :, None] == b[:, None])
        return cls(ends, present, ~shared & both[:, :, None] & present[:, None])


def uncross(
    pos: Tensor,
    distances: Tensor,
    adjacent: Tensor,
    rounds: int,
    price: float = 2.0,
    held: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Move nodes, one at a time and at random, where that lessens stress plus ``price`` times crossings.

    In a round, each node tries a few places near its own; of nodes close in the graph, the one that gains most moves.

    Args:
        pos: Start ``[B, n, 2]``, in the unit of the distances.
        distances: Wanted distances ``[B, n, n]``, see :func:`~graphscore.layouts.stress.majorise`.
        adjacent: Whether two nodes are joined by an edge ``[B, n, n]``.
        rounds: Number of rounds.
        price: Stress, over ordered pairs, that one crossing is worth.
        held: Nodes that stay where they are, bool ``[B, n]``.
        generator: Source of the random places.

    Returns:
        Positions ``[B, n, 2]``, of no higher stress plus price times crossings.
    """
    counted = distances.isfinite() & (distances > 0)
    inverse = torch.where(counted, 1 / distances, 0.0)
    edges = Incidence.of(adjacent)
    near = distances <= 2
    graphs = torch.arange(len(pos), device=pos.device)
    reach = torch.tensor([0.0, 0.15, 0.3, 0.6, 1.0, 1.5], device=pos.device, dtype=pos.dtype)
    cost = price * _crossings(pos, edges) + _stress(pos, inverse, counted)
    for _ in range(rounds):
        noise = torch.randn(*pos.shape[:2], len(reach), 2, generator=generator, dtype=pos.dtype)
        places = pos[:, :, None] + reach[:, None] * noise
        costs = _node_stress(places, pos, inverse, counted) + price * _node_crossings(places, pos, edges)
        gain, choice = (costs[..., :1] - costs).max(-1)
        if held is not None:
            gain = gain.masked_fill(held, 0)
        best = torch.where(near, gain[:, None], 0).amax(-1)
        moves = (gain > 1e-4) & (gain >= best)
        target = places.gather(2, choice[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
        moved = torch.where(moves[..., None], target, pos)
        new = price * _crossings(moved, edges) + _stress(moved, inverse, counted)
        # Moves of different nodes may get in each other's way: then the best one alone is made.
        alone = gain.argmax(1)
        single = pos.clone()
        single[graphs, alone] = torch.where((gain.amax(1) > 1e-4)[:, None], target[graphs, alone], pos[graphs, alone])
        one = price * _crossings(single, edges) + _stress(single, inverse, counted)
        for candidate, value in ((moved, new), (single, one)):
            better = value < cost
            pos, cost = torch.where(better[:, None, None], candidate, pos), torch.where(better, value, cost)
    return pos


def count_crossings(pos: Tensor, adjacent: Tensor) -> Tensor:
    """Count the crossings of drawings ``[B, n, 2]`` of graphs with edges ``[B, n, n]``, in general position: ``[B]``.

    See :func:`graphscore.layouts.metrics.crossings` for drawings whose nodes and edges may touch.
    """
    return _crossings(pos, Incidence.of(adjacent))


def _stress(pos: Tensor, inverse: Tensor, counted: Tensor) -> Tensor:
    return ((torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist") * inverse - 1).square() * counted).sum(
        (1, 2)
    )


def _node_stress(places: Tensor, pos: Tensor, inverse: Tensor, counted: Tensor) -> Tensor:
    """Stress of the pairs of each node, twice, if it were at the places ``[B, n, c, 2]``: ``[B, n, c]``."""
    gap = places[:, :, :, None] - pos[:, None, None]
    ratio = gap.square().sum(-1).sqrt() * inverse[:, :, None] - 1
    return 2 * (ratio.square_() * counted[:, :, None]).sum(-1)


def _crossings(pos: Tensor, edges: Incidence) -> Tensor:
    """Count the crossings of drawings ``[B, n, 2]``, each pair of edges that touch without crossing as it falls."""
    a, b = _ends(pos, edges)
    line = _turn(a[:, :, None], b[:, :, None], a[:, None]) > 0, _turn(a[:, :, None], b[:, :, None], b[:, None]) > 0
    split = line[0] != line[1]
    return (split & split.transpose(1, 2) & edges.apart[:, : a.shape[1]]).sum((1, 2)) / 2


def _node_crossings(places: Tensor, pos: Tensor, edges: Incidence) -> Tensor:
    """Crossings of the edges of each node, if it were at the places ``[B, n, c, 2]``: ``[B, n, c]``."""
    (a, b), (B, n, c, _) = _ends(pos, edges), places.shape
    mine = edges.ends.transpose(0, 1).flatten(1)  # of directed edges: the end that moves, and the one that stays
    start = places.gather(1, mine[:, :, None, None].expand(-1, -1, c, 2))
    stay = torch.cat([b, a], 1)[:, :, None]
    # A point is left of a line, or right, by the sign of a product of three numbers of each.
    others = _line(a, b).transpose(1, 2)
    split = (_point(start).flatten(1, 2) @ others > 0).view(B, -1, c, a.shape[1])
    split = split != (_point(stay[:, :, 0]) @ others > 0)[:, :, None]
    line = _line(start, stay).flatten(1, 2)
    cut = (line @ _point(a).transpose(1, 2) > 0) != (line @ _point(b).transpose(1, 2) > 0)
    crossed = split.logical_and_(cut.view_as(split)).logical_and_(edges.apart[:, :, None])
    count = crossed.view(torch.uint8).sum(-1, dtype=torch.int32).to(pos)  # [B, 2 e, c]
    return count.new_zeros(B, n, c).scatter_add_(1, mine[:, :, None].expand(-1, -1, c), count)


def _ends(pos: Tensor, edges: Incidence) -> tuple[Tensor, Tensor]:
    first, second = (pos.gather(1, end[..., None].expand(-1, -1, 2)) for end in edges.ends)
    return first, second


def _turn(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])


def _line(a: Tensor, b: Tensor) -> Tensor:
    """The line through two points: its product with a point is positive on the left."""
    x, y = (b - a).unbind(-1)
    return torch.stack([-y, x, y * a[..., 0] - x * a[..., 1]], dim=-1)


def _point(a: Tensor) -> Tensor:
    return torch.cat([a, torch.ones_like(a[..., :1])], dim=-1)
