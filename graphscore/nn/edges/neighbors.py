"""Neighbor lists of ragged batches: complete graphs, radius graphs and k nearest neighbors.

All functions return ``edge_index`` ``[2, E]``, int64, source over target, sorted by target, then by source, without
self-loops. ``batch_index`` ``[N]`` names the graph of each node, in any order: it costs least if it rises, as in PyG.
The number of edges depends on values that a device holds, so that each function has to wait for it. Positions are read
without their gradients.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from graphscore import ops
from graphscore.nn.edges.sets import ragged_range

# Number of pairs whose distances are in memory at once in the search for nearest neighbors.
_PAIRS_AT_ONCE = 2**20
# Graphs up to this size, on average over nodes, are searched pair by pair, since all pairs are sorted already.
_ALL_PAIRS_UP_TO = 256


def complete_edges(ptr: Tensor) -> Tensor:
    """Connect all ordered pairs of distinct nodes of each graph.

    Args:
        ptr: First node of each graph, and the number of nodes, shape ``[B + 1]``, as PyG batches have it.

    Returns:
        Edges ``[2, E]``, made in memory proportional to their number, the sum of ``n (n - 1)`` over graphs.
    """
    sizes = ptr.diff()
    num_nodes, num_edges = torch.stack([sizes.sum(), (sizes * (sizes - 1)).sum()]).tolist()
    first = ptr[:-1].repeat_interleave(sizes, output_size=num_nodes)
    degree = (sizes - 1).repeat_interleave(sizes, output_size=num_nodes)
    target, place = ragged_range(degree, num_edges)
    source = first[target] + place
    return torch.stack([source + (source >= target).long(), target])


def radius_edges(
    pos: Tensor, batch_index: Tensor, num_graphs: int, radius: float, max_neighbors: int | None = None
) -> Tensor:
    """Connect all pairs of nodes of the same graph that are closer than a radius.

    Pairs are tried cell by cell, so that time and memory grow with the number of edges, not of pairs.

    Args:
        pos: Positions, shape ``[N, D]``.
        batch_index: Graph of each node, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.
        radius: Edges are shorter than this, in units of the positions.
        max_neighbors: If given, a node keeps edges only from this many nearest neighbors, ties broken by index.
            Functions of such edges are not continuous: a neighbor may be replaced by another that is not at the
            cutoff. An edge may also be kept in one direction only.

    Returns:
        Edges ``[2, E]``. Nodes whose position is not finite have none.

    Raises:
        ValueError: If the radius is not positive, ``max_neighbors`` less than 1, or the nodes are not those of the
            graphs.
    """
    if not radius > 0:
        raise ValueError(f"radius_edges: radius must be positive, but is {radius}")
    if max_neighbors is not None and max_neighbors < 1:
        raise ValueError(f"radius_edges: max_neighbors must be at least 1 or None, but is {max_neighbors}")
    ptr = _ptr("radius_edges", pos, batch_index, num_graphs)
    num_pairs, rising = _look(ptr.diff().square().sum(), batch_index, num_graphs)
    if not rising:
        return _sorted(partial(radius_edges, radius=radius, max_neighbors=max_neighbors), pos, batch_index, num_graphs)
    pos = _plain(pos)
    if not pos.shape[1] or num_pairs <= _ALL_PAIRS_UP_TO * pos.shape[0]:
        edge_index, squared = _closer(complete_edges(ptr), pos, radius)
    else:
        kept = [_closer(pairs, pos, radius) for pairs in _cell_pairs(pos, batch_index, num_graphs, radius)]
        edge_index, squared = torch.cat([pairs for pairs, _ in kept], dim=1), torch.cat([values for _, values in kept])
        order = (edge_index[1] * pos.shape[0] + edge_index[0]).argsort()
        edge_index, squared = edge_index[:, order], squared[order]
    if max_neighbors is None:
        return edge_index
    target = edge_index[1]
    order = squared.argsort(stable=True)
    order = order[target[order].argsort(stable=True)]
    rank = torch.empty_like(order)
    rank[order] = ragged_range(ops.count(target, pos.shape[0]), len(order))[1]
    return edge_index[:, rank < max_neighbors]


def knn_edges(pos: Tensor, batch_index: Tensor, num_graphs: int, k: int) -> Tensor:
    """Connect each node to its k nearest neighbors in its graph, or to all other nodes if there are fewer.

    Distances to all nodes of the graph are computed, for a limited number of nodes at once. An edge may exist in one
    direction alone, and what is computed on such edges is not continuous in the positions.

    Args:
        pos: Positions, shape ``[N, D]``.
        batch_index: Graph of each node, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.
        k: Number of edges into each node; of nodes at the same distance those of lower index come first.

    Returns:
        Edges ``[2, E]`` from neighbors to nodes.

    Raises:
        ValueError: If k is less than 1, or the nodes are not those of the graphs.
    """
    if k < 1:
        raise ValueError(f"knn_edges: k must be at least 1, but is {k}")
    ptr = _ptr("knn_edges", pos, batch_index, num_graphs)
    sizes = ptr.diff()
    widest, rising = _look(sizes.max() if num_graphs else sizes.sum(), batch_index, num_graphs)
    if not rising:
        return _sorted(partial(knn_edges, k=k), pos, batch_index, num_graphs)
    pos = _plain(pos)
    column = torch.arange(widest, device=pos.device)
    edges = []
    for target in torch.arange(pos.shape[0], device=pos.device).split(max(1, _PAIRS_AT_ONCE // max(1, widest))):
        first, size = (values[batch_index[target], None] for values in (ptr, sizes))
        source = first + column
        valid = (column < size) & (source != target[:, None])
        squared = _squared_distance(pos, source.clamp(max=pos.shape[0] - 1), target[:, None])
        row, place = _smallest(squared, valid, k).nonzero().unbind(1)
        edges.append(torch.stack([first[row, 0] + place, target[row]]))
    return torch.cat(edges, dim=1)


def _plain(pos: Tensor) -> Tensor:
    # In half precision, squared distances overflow at 256.
    return pos.detach().to(torch.promote_types(pos.dtype, torch.float32))


def _ptr(name: str, pos: Tensor, batch_index: Tensor, num_graphs: int) -> Tensor:
    """First node of each graph, and the number of nodes, shape ``[B + 1]``, if nodes are sorted."""
    if pos.dim() != 2 or not pos.is_floating_point():
        raise ValueError(f"{name}: pos must be real numbers [N, D], but is {pos.dtype} {list(pos.shape)}")
    if batch_index.shape != pos.shape[:1] or batch_index.dtype != torch.long:
        raise ValueError(
            f"{name}: batch_index must be {torch.long} [{pos.shape[0]}], but is {batch_index.dtype} "
            f"{list(batch_index.shape)}"
        )
    return torch.searchsorted(batch_index, torch.arange(num_graphs + 1, device=batch_index.device))


def _look(value: Tensor, batch_index: Tensor, num_graphs: int) -> tuple[int, bool]:
    """Read a whole number and whether nodes are sorted, synchronising the device once.

    Raises:
        ValueError: If nodes belong to no graph.
    """
    falls = (batch_index[1:] < batch_index[:-1]).sum()
    outside = ((batch_index < 0) | (batch_index >= num_graphs)).sum()
    number, num_falls, num_outside = torch.stack([value, falls, outside]).tolist()
    if num_outside:
        raise ValueError(f"{num_outside} nodes are in graphs of a batch_index that is not from 0 to {num_graphs - 1}")
    return number, num_falls == 0


def _sorted(find: Callable[..., Tensor], pos: Tensor, batch_index: Tensor, num_graphs: int) -> Tensor:
    """Find edges of nodes that are not sorted by their graph."""
    order = batch_index.argsort(stable=True)
    edge_index = order[find(pos[order], batch_index[order], num_graphs)]
    return edge_index[:, (edge_index[1] * pos.shape[0] + edge_index[0]).argsort()]


def _squared_distance(pos: Tensor, source: Tensor, target: Tensor) -> Tensor:
    # Column by column: the same to the last bit for (i, j) and (j, i), and no array of pairs times D.
    total = pos.new_zeros(torch.broadcast_shapes(source.shape, target.shape))
    for column in pos.T.contiguous():
        total += (column[source] - column[target]).square()
    return total


def _closer(pairs: Tensor, pos: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Select the pairs that are closer than the radius, with their squared distances."""
    squared = _squared_distance(pos, *pairs)
    close = (squared < radius**2).nonzero()[:, 0]  # once: it waits for the device
    return pairs[:, close], squared[close]


def _smallest(values: Tensor, valid: Tensor, k: int) -> Tensor:
    """Mark the k smallest valid entries of each row, those of lower index among equal ones."""
    values = values.masked_fill(~valid, math.inf)
    kth = values.topk(min(k, values.shape[1]), largest=False).values[:, -1:]
    below, tied = values < kth, (values == kth) & valid
    return below | (tied & (tied.cumsum(1) <= k - below.sum(1, keepdim=True)))


def _cell_pairs(pos: Tensor, batch_index: Tensor, num_graphs: int, radius: float) -> Iterator[Tensor]:
    """List each pair of nodes in the same or adjacent cells once; these include all pairs closer than the radius."""
    # Three axes exclude most pairs of distant nodes. Nodes whose position is not finite have no neighbors.
    axes = pos[:, :3].nan_to_num(0.0, 0.0, 0.0)
    dim, owner = axes.shape[1], batch_index[:, None].expand_as(axes)
    low, high = (
        axes.new_zeros(num_graphs, dim).scatter_reduce(0, owner, axes, how, include_self=False)
        for how in ("amin", "amax")
    )
    # Cells are wider in very large graphs, so that their numbers fit an integer and rounding stays below 2 %.
    per_axis = min(2**16, int((2**62 / num_graphs) ** (1 / dim)))
    width = ((high - low) / (per_axis - 2)).clamp(min=1.02 * radius)
    # The last cell of each axis stays empty: a step out of the box, at either end, leads into it.
    cell = ((axes - low[batch_index]) / width[batch_index]).long().clamp(0, per_axis - 2)
    strides = [per_axis**power for power in reversed(range(dim))]
    key = batch_index * per_axis**dim + (cell * torch.tensor(strides, device=pos.device)).sum(1)
    sorted_key, order = key.sort()
    # Along the last axis, three cells are one range.
    for steps in itertools.product((-1, 0, 1), repeat=dim - 1):
        center = key + sum(step * stride for step, stride in zip(steps, strides, strict=False))
        first = torch.searchsorted(sorted_key, center - 1)
        target, place = ragged_range(torch.searchsorted(sorted_key, center + 1, right=True) - first)
        source = order[first[target] + place]
        distinct = source != target
        yield torch.stack([source[distinct], target[distinct]])
