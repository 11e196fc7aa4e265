"""Input graphs of a pose model: pairs of joints that are a few bones apart, or of which one is central."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphscore.nn.edges.sets import hop_edges


class PoseGraph(BaseTransform):
    """Connect joints that are a few bones apart, and all joints with the most central ones; add ``hops``, ``reach``.

    Replaces ``edge_index`` by these pairs in both directions, sorted by target, and ``length`` by ``reach`` ``[E, 2]``:
    the length of the path along the bones in metres, and the same for the edges that are bones, else 0. ``hops``
    ``[E]`` is the number of bones on the path, at most ``most_hops``.

    Args:
        max_hops: Largest number of bones between joints that are connected, at least 1.
        hubs: Number of joints that are connected with all others, those with the shortest paths to all joints.
        most_hops: Largest value of ``hops``; longer paths have it, too.

    Raises:
        ValueError: If a number is too small. On call, if the skeleton is not connected, or has no bone lengths.
    """

    def __init__(self, max_hops: int = 2, hubs: int = 2, most_hops: int = 8) -> None:
        if max_hops < 1 or hubs < 0 or most_hops < 1:
            raise ValueError(
                f"Expected max_hops and most_hops of at least 1 and hubs of at least 0, but got {max_hops}, "
                f"{most_hops} and {hubs}"
            )
        self.max_hops = max_hops
        self.hubs = hubs
        self.most_hops = most_hops

    def forward(self, data: Data) -> Data:
        """Replace the edges of ``data``, which ``BaseTransform.__call__`` has copied."""
        num_nodes, length = int(data.num_nodes or 0), data.get("length")
        bones = data.edge_index
        if bones is None or length is None or length.shape != bones.shape[1:]:
            raise ValueError("PoseGraph needs bones in edge_index and the length of each")
        pairs, hops = hop_edges(bones, num_nodes, max(num_nodes, 1))
        if pairs.shape[1] != num_nodes * (num_nodes - 1):
            raise ValueError("the skeleton is not connected: some joints have no path of bones between them")
        reach = length.new_full((num_nodes, num_nodes), torch.inf).fill_diagonal_(0)
        reach[bones[0], bones[1]] = reach[bones[1], bones[0]] = length
        for middle in range(num_nodes):
            torch.minimum(reach, reach[:, middle, None] + reach[None, middle], out=reach)
        far = torch.zeros(num_nodes, dtype=torch.long).index_add_(0, pairs[1], hops)
        hub = torch.zeros(num_nodes, dtype=torch.bool)
        hub[far.argsort(stable=True)[: self.hubs]] = True
        wanted = (hops <= self.max_hops) | hub[pairs[0]] | hub[pairs[1]]
        data.edge_index, hops = pairs[:, wanted], hops[wanted]
        along = reach[data.edge_index[0], data.edge_index[1]]
        data.hops = hops.clamp(max=self.most_hops)
        data.reach = torch.stack([along, along * (hops == 1)], dim=1)
        del data.length
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_hops={self.max_hops}, hubs={self.hubs}, most_hops={self.most_hops})"
