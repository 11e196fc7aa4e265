"""Drawings of large graphs by sparse stress: all edges, and the distances to some pivots."""

from __future__ import annotations

import networkx as nx
import torch
from torch import Tensor

from graphscore.layouts.scaling import scale_by_pivots

PIVOTS, STEPS = 24, 50


def draw_large(edges: Tensor, length: Tensor | None, num_nodes: int, dim: int, generator: torch.Generator) -> Tensor:
    """Draw a connected graph in time that grows about linearly with its size.

    Starts at multidimensional scaling of the distances to pivots, then lessens the stress of edges and of pairs with a
    pivot, the latter counted for all nodes that are nearest to the pivot.

    Args:
        edges: Edges ``[2, E]``, each once.
        length: Lengths of the edges ``[E]``, 1 by default.
        num_nodes: Number of nodes N.
        dim: Dimension D.
        generator: Chooses the first pivot.

    Returns:
        Positions ``[N, D]``.

    References:
        Brandes and Pich (2007), Eigensolver methods for progressive multidimensional scaling of large data (pivots).
        Ortmann, Klimenta and Brandes (2016), A sparse stress model.
    """
    pivots, table = _pivot_distances(edges, length, num_nodes, generator)
    pos = scale_by_pivots(table, dim)
    ones = torch.ones(edges.shape[1]) if length is None else length
    node = torch.arange(num_nodes).expand(len(pivots), -1)
    region = torch.bincount(table.argmin(0), minlength=len(pivots)).float()
    source = torch.cat([edges[0], edges[1], torch.tensor(pivots)[:, None].expand_as(node).flatten()])
    target = torch.cat([edges[1], edges[0], node.flatten()])
    wanted = torch.cat([ones, ones, table.flatten()])
    weight = torch.cat([ones**-2, ones**-2, (region[:, None] / table.square().clamp(min=1e-12)).flatten()])
    other = wanted > 0
    source, target, wanted, weight = source[other], target[other], wanted[other], weight[other, None]
    total = torch.zeros(num_nodes, 1).index_add_(0, target, weight)
    for _ in range(STEPS):
        gap = pos[target] - pos[source]
        reach = gap.norm(dim=1, keepdim=True).clamp(min=1e-6)
        aims = weight * (pos[source] + gap * (wanted[:, None] / reach))
        pos = torch.zeros_like(pos).index_add_(0, target, aims) / total
    return pos


def _pivot_distances(
    edges: Tensor, length: Tensor | None, num_nodes: int, generator: torch.Generator
) -> tuple[list[int], Tensor]:
    """Pivots, each the farthest from those before it, and their distances to all nodes ``[P, N]``."""
    graph = nx.Graph()
    graph.add_nodes_from(range(num_nodes))
    if length is None:
        graph.add_edges_from(edges.t().tolist())
    else:
        graph.add_weighted_edges_from(zip(*edges.tolist(), length.tolist(), strict=True))
    pivots, rows = [int(torch.randint(num_nodes, (), generator=generator))], []
    while True:
        if length is None:
            found = nx.single_source_shortest_path_length(graph, pivots[-1])
        else:
            found = nx.single_source_dijkstra_path_length(graph, pivots[-1])
        row = torch.zeros(num_nodes)
        row[[*found]] = torch.tensor([*found.values()], dtype=torch.float32)
        rows.append(row)
        if len(pivots) == min(PIVOTS, num_nodes):
            return pivots, torch.stack(rows)
        pivots.append(int(torch.stack(rows).amin(0).argmax()))
