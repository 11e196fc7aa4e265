"""Neighbor lists of ragged batches: complete graphs, radius graphs and k nearest neighbors.

All functions return ``edge_index`` ``[2, E]``, int64, source over target, sorted by target, then by source, without
self-loops. ``batch_index`` ``[N]`` names the graph of each node, in any order: it costs least if it rises, as in PyG.
The number of edges depends on values that a device holds, so that each function has to wait for it. Positions are read
without their gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from graphscore import ops
from graphscore.nn.edges.cells import Cells
from graphscore.nn.edges.sets import ragged_range

# Number of pairs whose distances are in memory at once in the search for nearest neighbors.
_PAIRS_AT_ONCE = 2**20
# Graphs up to this size, on average over nodes, are searched pair by pair, since all pairs are sorted already.
_ALL_PAIRS_UP_TO = 256
# Where the largest graph has at most so many nodes, the nearest neighbors are searched among all nodes.
_KNN_ALL_PAIRS_UP_TO = 1024
# Larger graphs: nodes whose distances give the first radius, and its growth for nodes with too few others within it.
_SAMPLED, _GROWTH, _MOST_GROWTHS = 32, 1.6, 24


def complete_edges(ptr: Tensor) -> Tensor:
    """Connect all ordered pairs of distinct nodes of each graph.

    Args:
        ptr: First node of each graph, and the number of nodes, shape ``[B + 1]``, as PyG batches have it.

    Returns:
        Edges ``[2, E]``, made in memory proportional to their number, the sum of ``n (n - 1)`` over graphs.
    """
    sizes = ptr.diff()
    num_nodes, num_edges = _read(sizes.sum(), (sizes * (sizes - 1)).sum())
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
        nodes = torch.arange(pos.shape[0], device=pos.device)
        cells = Cells.of(pos, batch_index, num_graphs, radius)
        kept = [_closer(pairs, pos, radius) for pairs in cells.pairs(nodes)]
        edge_index, squared = torch.cat([pairs for pairs, _ in kept], dim=1), torch.cat([values for _, values in kept])
        order = (edge_index[1] * pos.shape[0] + edge_index[0]).argsort()
        edge_index, squared = edge_index[:, order], squared[order]
    if max_neighbors is None:
        return edge_index
    return _keep_nearest(edge_index, squared, pos.shape[0], max_neighbors)


def knn_edges(pos: Tensor, batch_index: Tensor, num_graphs: int, k: int) -> Tensor:
    """Connect each node to its k nearest neighbors in its graph, or to all other nodes if there are fewer.

    In large graphs, nodes are tried cell by cell within a radius that grows where it holds too few, so that time and
    memory grow with the number of nodes, not of pairs; the result is that of trying all pairs. An edge may exist in one
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
    nodes = torch.arange(pos.shape[0], device=pos.device)
    if not pos.numel() or widest <= _KNN_ALL_PAIRS_UP_TO:
        return torch.cat(_among_all(pos, batch_index, ptr, k, nodes, widest), dim=1)
    edges, radius = [], _typical_distance(pos, ptr, k)
    for _ in range(_MOST_GROWTHS):
        if len(nodes) * widest <= _PAIRS_AT_ONCE:
            break
        found, nodes = _within(pos, batch_index, sizes, k, nodes, radius)
        edges += found
        radius = _GROWTH * radius
    edge_index = torch.cat([*edges, *_among_all(pos, batch_index, ptr, k, nodes, widest)], dim=1)
    return edge_index[:, (edge_index[1] * pos.shape[0] + edge_index[0]).argsort()]


def _among_all(pos: Tensor, batch_index: Tensor, ptr: Tensor, k: int, targets: Tensor, widest: int) -> list[Tensor]:
    """Find the nearest neighbors of targets among all nodes of their graphs."""
    column, sizes = torch.arange(widest, device=pos.device), ptr.diff()
    edges = [targets.new_zeros(2, 0)]
    for target in targets.split(max(1, _PAIRS_AT_ONCE // max(1, widest))):
        first, size = (values[batch_index[target], None] for values in (ptr, sizes))
        source = first + column
        valid = (column < size) & (source != target[:, None])
        squared = _squared_distance(pos, source.clamp(max=pos.shape[0] - 1), target[:, None])
        row, place = _smallest(squared, valid, k).nonzero().unbind(1)
        edges.append(torch.stack([first[row, 0] + place, target[row]]))
    return edges


def _typical_distance(pos: Tensor, ptr: Tensor, k: int) -> Tensor:
    """Median distance of some nodes of each graph to their k-th nearest neighbor, ``[B, 1]``, more than 0."""
    sizes = ptr.diff()
    share = torch.arange(_SAMPLED, device=pos.device) / _SAMPLED
    target = ptr[:-1, None] + (share * sizes[:, None]).long().clamp(max=(sizes[:, None] - 1).clamp(min=0))
    found = []
    for row, size, first in zip(target, sizes.tolist(), ptr.tolist(), strict=False):
        nodes = torch.arange(first, first + size, device=pos.device)
        squared = _squared_distance(pos, nodes, row[:, None] if size else nodes[:, None])
        found.append(squared.kthvalue(min(k + 1, size)).values.median() if size else pos.new_zeros(()))
    radius = torch.stack(found).sqrt().nan_to_num(0.0, 0.0, 0.0)[:, None]
    return 1.1 * radius.clamp(min=torch.finfo(pos.dtype).tiny ** 0.25)


def _within(
    pos: Tensor, batch_index: Tensor, sizes: Tensor, k: int, targets: Tensor, radius: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Find the nearest neighbors of those targets that have enough nodes within a radius.

    Args:
        pos: Positions, shape ``[N, D]``.
        batch_index: Graph of each node, shape ``[N]``.
        sizes: Numbers of nodes of the graphs, shape ``[B]``.
        k: Number of neighbors.
        targets: Nodes, shape ``[T]``.
        radius: Radius of each graph, shape ``[B, 1]``.

    Returns:
        Their edges, and the other targets.
    """
    cells = Cells.of(pos, batch_index, len(sizes), radius)
    # As many targets at once as have about a fixed number of candidates together.
    block = cells.around(targets).cumsum(0) // _PAIRS_AT_ONCE
    edges, others = [], []
    for some in targets.split(torch.unique_consecutive(block, return_counts=True)[1].tolist()):
        kept = [_closer(pairs, pos, radius[batch_index[pairs[1]], 0]) for pairs in cells.pairs(some)]
        near, squared = torch.cat([pairs for pairs, _ in kept], dim=1), torch.cat([values for _, values in kept])
        enough = ops.count(near[1], pos.shape[0])[some] >= (sizes[batch_index[some]] - 1).clamp(max=k)
        done = torch.zeros(pos.shape[0], dtype=torch.bool, device=pos.device)
        done[some[enough]] = True
        use = done[near[1]].nonzero()[:, 0]
        use = use[(near[1, use] * pos.shape[0] + near[0, use]).argsort()]
        edges.append(_keep_nearest(near[:, use], squared[use], pos.shape[0], k))
        others.append(some[~enough])
    return edges, torch.cat(others)


def _keep_nearest(edge_index: Tensor, squared: Tensor, num_nodes: int, k: int) -> Tensor:
    """Keep the k shortest edges into each node, of sorted edges; those of lower index among equal ones."""
    target = edge_index[1]
    order = squared.argsort(stable=True)
    order = order[target[order].argsort(stable=True)]
    rank = torch.empty_like(order)
    rank[order] = ragged_range(ops.count(target, num_nodes), len(order))[1]
    return edge_index[:, rank < k]


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


def _read(*values: Tensor) -> list[int]:
    """Read whole numbers, synchronising the device once."""
    # Not by `tolist`, which torch 2.6 cannot do in a function that `torch.func` differentiates.
    return [int(value) for value in torch.stack(values).cpu()]


def _look(value: Tensor, batch_index: Tensor, num_graphs: int) -> tuple[int, bool]:
    """Read a whole number and whether nodes are sorted, synchronising the device once.

    Raises:
        ValueError: If nodes belong to no graph.
    """
    falls = (batch_index[1:] < batch_index[:-1]).sum()
    outside = ((batch_index < 0) | (batch_index >= num_graphs)).sum()
    number, num_falls, num_outside = _read(value, falls, outside)
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


def _closer(pairs: Tensor, pos: Tensor, radius: float | Tensor) -> tuple[Tensor, Tensor]:
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
