"""Sets of edges: shortest paths, unions, and places of the edges of one set in another.

Edges ``[2, E]`` are source over target. Results are sorted by target, then by source.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphscore import ops


def simple_edges(edge_index: Tensor, num_nodes: int) -> Tensor:
    """List both directions of each edge once, and no self-loops.

    Args:
        edge_index: Edges, shape ``[2, E]``, in one or both directions, with or without repetitions.
        num_nodes: Number of nodes N.

    Returns:
        Sorted edges ``[2, E']`` of the simple undirected graph.
    """
    both = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    return _edges(torch.unique(_keys(both[:, both[0] != both[1]], num_nodes)), num_nodes)


def hop_edges(edge_index: Tensor, num_nodes: int, max_hops: int) -> tuple[Tensor, Tensor]:
    """Connect all pairs of distinct nodes that are at most some number of edges apart.

    Breadth-first search from all nodes at once. Work and memory grow with the result times the degree of the nodes.

    Args:
        edge_index: Edges, shape ``[2, E]``, taken as undirected; those of a batch keep to their graphs.
        num_nodes: Number of nodes N.
        max_hops: Length of the longest paths.

    Returns:
        Sorted edges ``[2, E']`` and the number of edges on a shortest path ``[E']``, 1 to ``max_hops``.

    Raises:
        ValueError: If ``max_hops`` is less than 1.
    """
    if max_hops < 1:
        raise ValueError(f"hop_edges: max_hops must be at least 1, but is {max_hops}")
    source, target = simple_edges(edge_index, num_nodes)
    degree = ops.count(target, num_nodes)
    first = degree.cumsum(0) - degree
    itself = torch.arange(num_nodes, device=edge_index.device) * (num_nodes + 1)
    shells = [itself, _keys(torch.stack([source, target]), num_nodes)]
    while len(shells) <= max_hops and shells[-1].numel():
        reached, start = _edges(shells[-1], num_nodes)
        path, place = ragged_range(degree[reached])
        further = _keys(torch.stack([source[first[reached[path]] + place], start[path]]), num_nodes)
        # A step from distance d leads to d - 1, d or d + 1.
        further = torch.unique(further)
        shells.append(further[~torch.isin(further, torch.cat(shells[-2:]))])
    hops = torch.cat([torch.full_like(shell, number) for number, shell in enumerate(shells)][1:])
    keys, order = torch.cat(shells[1:]).sort()
    return _edges(keys, num_nodes), hops[order]


def match_edges(edge_index: Tensor, known: Tensor, num_nodes: int) -> Tensor:
    """Look up the position of edges in another set of edges.

    Args:
        edge_index: Edges, shape ``[2, E]``.
        known: Edges to look them up in, shape ``[2, K]``, in any order.
        num_nodes: Number of nodes N.

    Returns:
        Place of each edge in ``known``, the first if there are several, or -1, shape ``[E]``.
    """
    if not known.shape[1]:
        return torch.full_like(edge_index[0], -1)
    wanted = _keys(edge_index, num_nodes)
    keys, order = _keys(known, num_nodes).sort(stable=True)
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[place] == wanted, order[place], -1)


def merge_edges(known: Tensor, *others: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Unite sets of edges, each edge once.

    Args:
        known: Edges, shape ``[2, K]``.
        *others: More edges, shape ``[2, *]`` each.
        num_nodes: Number of nodes N.

    Returns:
        Sorted edges ``[2, E]``, and the place of each in ``known``, or -1, shape ``[E]``: see :func:`gather_or_fill`.
    """
    merged = _edges(torch.unique(_keys(torch.cat([known, *others], dim=1), num_nodes)), num_nodes)
    return merged, match_edges(merged, known, num_nodes)


def gather_or_fill(values: Tensor, position: Tensor, fill_value: float = 0) -> Tensor:
    """Gather attributes of known edges, and fill in a value for other edges.

    Args:
        values: Attribute of the known edges, shape ``[K, *]``.
        position: Place of each edge among the known ones, or -1, shape ``[E]``.
        fill_value: Value for edges that are not among the known ones.

    Returns:
        Shape ``[E, *]``.
    """
    # The fill value is the last row, so that index -1 selects it.
    return torch.cat([values, values.new_full((1, *values.shape[1:]), fill_value)])[position]


def ragged_range(counts: Tensor, total: int | None = None) -> tuple[Tensor, Tensor]:
    """Count from zero in each row of a ragged array.

    Args:
        counts: Number of entries of each row, shape ``[R]``.
        total: Their sum, if known; computing it synchronises the device.

    Returns:
        Row of each entry and its place in the row, both of shape ``[total]``.
    """
    row = torch.repeat_interleave(counts, output_size=total)
    start = counts.cumsum(0) - counts
    return row, torch.arange(row.shape[0], device=row.device) - start[row]


def _keys(edge_index: Tensor, num_nodes: int) -> Tensor:
    """One number per edge, in the order of edges."""
    return edge_index[1] * num_nodes + edge_index[0]


def _edges(keys: Tensor, num_nodes: int) -> Tensor:
    target = keys.div(max(num_nodes, 1), rounding_mode="floor")
    return torch.stack([keys - target * num_nodes, target])
