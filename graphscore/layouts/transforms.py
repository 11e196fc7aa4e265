"""Input graphs of a layout model: pairs of nodes that are near each other or a pivot, with their graph distances."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphscore.layouts.distances import shortest_paths
from graphscore.layouts.metrics import drawn_edges
from graphscore.nn.edges.sets import simple_edges

CENTERS = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0)
"""Graph distances at which one of the features of a pair is 1 and the others are 0."""
PATH_WIDTH = len(CENTERS) + 1


class LayoutGraph(BaseTransform):
    """Connect nodes that are a few edges apart, and all nodes with some pivots; add ``link`` and ``path``.

    The number of pairs grows with the number of nodes, unlike that of all pairs; the pivots, which lie far from each
    other, tell each node its place in the whole. The first pivot is the most central node, each further one is the
    farthest from all before it.

    ``link`` ``[E]`` is 1 for the edges of the graph and 0 for other pairs; ``path`` ``[E, 8]`` holds features of the
    graph distance, in edges. Pairs whose ``link`` is 0 in the data are no edges. Edges are taken as undirected,
    parallel edges as one, and self-loops are left out; edge attributes are lost.

    Args:
        max_hops: Largest graph distance of nodes that are connected, at least 1.
        pivots: Number of pivots, at least 1.

    Raises:
        ValueError: If a number is too small. On call, if the graph is not connected: its components have no place
            relative to each other.

    References:
        Ortmann, Klimenta and Brandes (2016), A sparse stress model (pivots).
    """

    def __init__(self, max_hops: int = 2, pivots: int = 6) -> None:
        if max_hops < 1 or pivots < 1:
            raise ValueError(f"Expected max_hops and pivots of at least 1, but got {max_hops} and {pivots}")
        self.max_hops = max_hops
        self.pivots = pivots

    def forward(self, data: Data) -> Data:
        """Replace the edges of ``data``, which ``BaseTransform.__call__`` has copied."""
        num_nodes = int(data.num_nodes or 0)
        given = drawn_edges(data)
        for name in [name for name in data.keys() if name != "edge_index" and data.is_edge_attr(name)]:  # noqa: SIM118
            del data[name]
        table = shortest_paths(simple_edges(given, num_nodes), given.new_zeros(num_nodes), 1)[0]
        if not bool(table.isfinite().all()):
            apart = int((table[0] == torch.inf).sum())
            raise ValueError(f"the graph is not connected: {apart} of {num_nodes} nodes have no path to the first")
        wanted = table <= self.max_hops
        pivots = farthest_first(table, self.pivots)
        wanted[pivots] = wanted[:, pivots] = True
        # Sorted by target.
        target, source = wanted.fill_diagonal_(False).nonzero().unbind(1)
        data.edge_index, distance = torch.stack([source, target]), table[source, target]
        data.link, data.path = (distance == 1).long(), path_features(distance)
        data.num_nodes = num_nodes
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_hops={self.max_hops}, pivots={self.pivots})"


def farthest_first(table: Tensor, count: int) -> list[int]:
    """Choose nodes far from each other, the most central first.

    Args:
        table: Distances ``[N, N]``.
        count: Number of nodes to choose, at most N.
    """
    found: list[int] = []
    nearest = -table.sum(1)
    for _ in range(min(count, len(table))):
        found.append(int(nearest.argmax()))
        nearest = table[found].amin(0)
    return found


def path_features(distance: Tensor) -> Tensor:
    """Interpolate linearly between unit vectors at :data:`CENTERS`, and add the distance itself in units of ten edges.

    Args:
        distance: Graph distances ``[E]``, at least 1.

    Returns:
        Shape ``[E, 8]``.
    """
    centers = distance.new_tensor(CENTERS)
    upper = torch.searchsorted(centers, distance).clamp(1, len(CENTERS) - 1)
    share = ((distance - centers[upper - 1]) / (centers[upper] - centers[upper - 1])).clamp(0, 1)[:, None]
    unit = torch.eye(len(CENTERS), dtype=distance.dtype, device=distance.device)
    between = (1 - share) * unit[upper - 1] + share * unit[upper]
    return torch.cat([between, distance[:, None] / 10], dim=1)
