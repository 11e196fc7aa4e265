"""Graph transforms, in PyG's sense: ``Data -> Data``, shallow copies, never in place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

EDGE_LEVEL = frozenset({"bond", "hops"})
"""Names that always mean edge attributes here."""


class CompleteGraph(BaseTransform):
    r"""Connect all ordered pairs of distinct nodes, and remember which were edges and how far apart.

    Replaces ``edge_index`` by all :math:`N (N - 1)` pairs :math:`i \neq j`, sorted, and adds ``hops``
    ``[E]``: the number of edges on a shortest path along the original edges if that is at most ``max_hops``,
    else ``max_hops + 1``, unconnected pairs included. Edges are taken as undirected for ``hops``. Other edge
    attributes than ``edge_type`` would have no value for the new pairs: they are an error.

    Args:
        edge_type: Integer edge attribute, e.g. ``"bond"``, that is kept: pairs that were not edges get 0.
            ``None`` if the graph has none.
        max_hops: Distances up to here are told apart.

    Raises:
        ValueError: On call, if the edge attribute is missing, not of shape ``[E]``, or other edge attributes
            exist.
    """

    def __init__(self, edge_type: str | None = None, max_hops: int = 4) -> None:
        if max_hops < 1:
            raise ValueError(f"max_hops must be at least 1, but is {max_hops}")
        self.edge_type = edge_type
        self.max_hops = max_hops

    def forward(self, data: Data) -> Data:
        """Return a copy with the complete graph; ``BaseTransform.__call__`` has made the shallow copy."""
        n = int(data.num_nodes or 0)
        edge_index = data.edge_index if data.edge_index is not None else torch.empty(2, 0, dtype=torch.long)
        types = self._edge_types(data, edge_index.shape[1])
        adjacency = torch.zeros(n, n, dtype=torch.bool, device=edge_index.device)
        adjacency[edge_index[0], edge_index[1]] = True
        off_diagonal = ~torch.eye(n, dtype=torch.bool, device=edge_index.device)
        data.edge_index = off_diagonal.nonzero().t().contiguous()
        data.hops = _hops(adjacency | adjacency.t(), self.max_hops)[off_diagonal]
        if self.edge_type is not None and types is not None:
            dense = types.new_zeros(n, n)
            dense[edge_index[0], edge_index[1]] = types
            data[self.edge_type] = dense[off_diagonal]
        return data

    def _edge_types(self, data: Data, num_edges: int) -> Tensor | None:
        # PyG cannot tell an edge attribute by its size where there are as many nodes as edges.
        edge_level = [key for key in data.to_dict() if key in EDGE_LEVEL or data.is_edge_attr(key)]
        others = [key for key in edge_level if key not in (self.edge_type, "edge_index")]
        if others:
            raise ValueError(
                f"CompleteGraph keeps {self.edge_type!r} alone, but the graph has edge attributes {others}"
            )
        if self.edge_type is None:
            return None
        types = data.get(self.edge_type)
        if not isinstance(types, Tensor) or types.shape != (num_edges,):
            got = list(types.shape) if isinstance(types, Tensor) else "none"
            raise ValueError(
                f"CompleteGraph needs the edge attribute {self.edge_type!r} of shape [{num_edges}]; got {got}"
            )
        return types

    def __repr__(self) -> str:
        return f"{type(self).__name__}(edge_type={self.edge_type!r}, max_hops={self.max_hops})"


def _hops(adjacency: Tensor, max_hops: int) -> Tensor:
    """Shortest-path lengths ``[N, N]`` of an undirected graph; ``max_hops + 1`` for all longer ones."""
    # Walks are counted in float32 because matrix products of integers and booleans run without BLAS.
    step = adjacency.float()
    step.fill_diagonal_(1)
    reached = step
    hops = torch.full(adjacency.shape, max_hops + 1, dtype=torch.long, device=adjacency.device)
    # Each round takes 1 off all pairs within the current distance, so that a pair first reached at d ends up
    # with d.
    for _ in range(max_hops):
        hops -= (reached > 0).long()
        reached = (reached @ step).clamp_(max=1)
    return hops


TRANSFORMS: dict[str, type[BaseTransform]] = {"complete-graph": CompleteGraph}
