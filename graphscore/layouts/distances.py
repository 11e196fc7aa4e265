"""Graph-theoretic distances of batches of graphs, in padded tables."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def shortest_paths(edge_index: Tensor, batch: Tensor, num_graphs: int, length: Tensor | None = None) -> Tensor:
    r"""Compute the lengths of shortest paths between all pairs of nodes of each graph, by the method of Floyd.

    Takes n rounds over tables of :math:`n^2` entries, n being the number of nodes of the largest graph: group graphs by
    size where sizes differ much.

    Args:
        edge_index: Edges ``[2, E]``, taken as undirected; self-loops do not count, and of parallel edges the shortest
            does.
        batch: Graph of each node ``[N]``, ascending.
        num_graphs: Number of graphs B.
        length: Positive length of each edge ``[E]``, 1 by default.

    Returns:
        Lengths ``[B, n, n]`` in the dtype of ``length`` (float32 by default): 0 on the diagonal, infinite between nodes
        without a path and for places without a node.

    Raises:
        ValueError: If a length is not positive and finite, or there is not one for each edge.

    References:
        Floyd (1962), Algorithm 97: shortest path.
    """
    if length is None:
        length = torch.ones(edge_index.shape[1], device=edge_index.device)
    if length.shape != edge_index.shape[1:]:
        raise ValueError(f"Expected a length for each of {edge_index.shape[1]} edges, but got {list(length.shape)}")
    if not bool(((length > 0) & length.isfinite()).all()):
        raise ValueError(f"Lengths must be positive and finite, but the smallest is {length.min().item()}")
    sizes = torch.bincount(batch, minlength=num_graphs)
    first = sizes.cumsum(0) - sizes
    most = int(sizes.max()) if num_graphs else 0
    table = length.new_full((num_graphs, most, most), math.inf)
    graph = batch[edge_index[0]]
    i, j = edge_index - first[graph]
    for rows, columns in ((i, j), (j, i)):
        place = (graph * most + rows) * most + columns
        table.view(-1).scatter_reduce_(0, place, length, "amin")
    node = torch.arange(len(batch), device=batch.device) - first[batch]
    table[batch, node, node] = 0
    for middle in range(most):
        torch.minimum(table, table[:, :, middle, None] + table[:, None, middle], out=table)
    return table
