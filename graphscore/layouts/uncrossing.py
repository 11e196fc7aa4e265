"""Removal of crossings from graph drawings, at a price in stress: moves of single nodes, many graphs at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphscore.rng import Generator, randn

REACH = (0.0, 0.15, 0.3, 0.6, 1.0, 1.5)
"""Distances, about, of the places that a node tries, in lengths of an edge; the first is its own."""
LEAST = 1e-4
"""Least gain for which a node moves: above errors of rounding."""


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

    def repeat(self, count: int) -> Incidence:
        """Repeat each graph, for as many drawings of it."""
        return Incidence(
            self.ends.repeat_interleave(count, 1),
            self.present.repeat_interleave(count, 0),
            self.apart.repeat_interleave(count, 0),
        )


def uncross(
    pos: Tensor,
    distances: Tensor,
    edges: Incidence,
    rounds: int,
    price: float = 2.0,
    held: Tensor | None = None,
    generator: Generator = None,
) -> Tensor:
    r"""Move nodes, one at a time and at random, where that lessens stress plus ``price`` times crossings.

    In a round, each node tries a few places near its own; of nodes close in the graph, the one that gains most moves.

    Args:
        pos: Start ``[B, n, 2]``, in the unit of the distances.
        distances: Wanted distances ``[B, n, n]``, see :func:`~graphscore.layouts.stress.majorise`.
        edges: The edges.
        rounds: Number of rounds.
        price: Stress, over ordered pairs, that one crossing is worth.
        held: Nodes that stay where they are, bool ``[B, n]``.
        generator: Source of the random places; with a :class:`~graphscore.rng.GraphGenerator`, a drawing does not
            depend on the others.

    Returns:
        Positions ``[B, n, 2]``, of no higher stress plus price times crossings.
    """
    counted = distances.isfinite() & (distances > 0)
    inverse = torch.where(counted, 1 / distances, 0.0)
    near = distances <= 2
    nodes, (graph, node) = torch.arange(pos.shape[1], device=pos.device), _present(distances)
    noise = pos.new_zeros(*pos.shape[:2], rounds, len(REACH), 2)
    drawn = randn(graph, len(pos), noise[0, 0].numel(), dtype=pos.dtype, generator=generator)
    noise[graph, node] = drawn.view(-1, *noise.shape[2:])
    noise *= torch.tensor(REACH, device=pos.device)[:, None]
    cost = price * count_crossings(pos, edges) + _stress(pos, inverse, counted)
    for number in range(rounds):
        places = pos[:, :, None] + noise[:, :, number]
        costs = _node_stress(places, pos, inverse, counted) + price * _node_crossings(places, pos, edges)
        gain, choice = (costs[..., :1] - costs).max(-1)
        gain = torch.where(gain > LEAST, gain, 0)
        if held is not None:
            gain = gain.masked_fill(held, 0)
        moves = (gain > 0) & (gain >= torch.where(near, gain[:, None], 0).amax(-1))
        target = places.gather(2, choice[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
        moved = torch.where(moves[..., None], target, pos)
        new = price * count_crossings(moved, edges) + _stress(moved, inverse, counted)
        # Moves of different nodes may get in each other's way: then the best one alone is made, which gains as much as
        # was counted.
        most, best = gain.max(1)
        alone = (nodes == best[:, None]) & (most > 0)[:, None]
        pos = torch.where(torch.where((new > cost - most)[:, None], alone, moves)[..., None], target, pos)
        cost = torch.minimum(new, cost - most)
    return pos


def count_crossings(pos: Tensor, edges: Incidence) -> Tensor:
    """Count the crossings of drawings ``[B, n, 2]`` in general position: ``[B]``.

    Each pair of edges that touch without crossing counts as it falls; see
    :func:`graphscore.layouts.metrics.crossings` for drawings whose nodes and edges may touch.
    """
    a, b = _ends(pos, edges)
    line = _turn(a[:, :, None], b[:, :, None], a[:, None]) > 0, _turn(a[:, :, None], b[:, :, None], b[:, None]) > 0
    split = line[0] != line[1]
    return (split & split.transpose(1, 2) & edges.apart[:, : a.shape[1]]).sum((1, 2)) / 2


def _present(distances: Tensor) -> tuple[Tensor, Tensor]:
    """Places ``(graph, node)`` of padded tables that hold a node."""
    graph, node = (distances.diagonal(dim1=1, dim2=2) == 0).nonzero().unbind(1)
    return graph, node


def _stress(pos: Tensor, inverse: Tensor, counted: Tensor) -> Tensor:
    return ((torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist") * inverse - 1).square() * counted).sum(
        (1, 2)
    )


def _node_stress(places: Tensor, pos: Tensor, inverse: Tensor, counted: Tensor) -> Tensor:
    """Stress of the pairs of each node, twice, if it were at the places ``[B, n, c, 2]``: ``[B, n, c]``."""
    gap = places[:, :, :, None] - pos[:, None, None]
    ratio = gap.square().sum(-1).sqrt() * inverse[:, :, None] - 1
    return 2 * (ratio.square_() * counted[:, :, None]).sum(-1)


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
