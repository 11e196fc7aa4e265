"""Graph transforms as in PyTorch Geometric, ``Data -> Data``, on shallow copies."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphscore.data.consistency import whole_indices
from graphscore.data.normalization import Normalize
from graphscore.domains import Reference, attributes, gather
from graphscore.linalg.encodings import laplacian_encoding, random_walk_encoding
from graphscore.nn.edges.neighbors import complete_edges
from graphscore.nn.edges.sets import gather_or_fill, hop_edges, match_edges

MOST_COLUMNS = 1024
"""Largest number of columns of an encoding: each takes memory for every node, and time."""


class _HopTransform(BaseTransform):
    """Base of :class:`CompleteGraph` and :class:`HopGraph`: new edges, the old edge type, and ``hops``."""

    def __init__(self, edge_type: str | None, max_hops: int) -> None:
        if max_hops < 1:
            raise ValueError(f"max_hops must be at least 1, but is {max_hops}")
        self.edge_type = edge_type
        self.max_hops = max_hops

    @abstractmethod
    def _edges(self, edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
        """The new edges ``[2, E]`` and their ``hops`` ``[E]``."""

    def forward(self, data: Data) -> Data:
        """Replace the edges of ``data``, which ``BaseTransform.__call__`` has copied."""
        num_nodes, old = int(data.num_nodes or 0), _edge_index(data)
        types = self._edge_types(data, old.shape[1])
        data.edge_index, data.hops = self._edges(old, num_nodes)
        if self.edge_type is not None and types is not None:
            data[self.edge_type] = gather_or_fill(types, match_edges(data.edge_index, old, num_nodes))
        return data

    def _edge_types(self, data: Data, num_edges: int) -> Tensor | None:
        # PyG recognises edge attributes by their size, which fails where there are as many nodes as edges.
        known = attributes()
        edge_level = [
            key for key in data.to_dict() if (known[key].level == "edge" if key in known else data.is_edge_attr(key))
        ]
        others = [key for key in edge_level if key not in (self.edge_type, "edge_index")]
        name = type(self).__name__
        if others:
            again = "; it has been transformed already, so give it as it was read" if "hops" in others else ""
            raise ValueError(
                f"{name} keeps {self.edge_type!r} alone, but the graph has edge attributes {others}{again}"
            )
        if self.edge_type is None:
            return None
        types = data.get(self.edge_type)
        if not isinstance(types, Tensor) or types.shape != (num_edges,):
            got = list(types.shape) if isinstance(types, Tensor) else "none"
            raise ValueError(f"{name} needs the edge attribute {self.edge_type!r} of shape [{num_edges}]; got {got}")
        return types

    def __repr__(self) -> str:
        return f"{type(self).__name__}(edge_type={self.edge_type!r}, max_hops={self.max_hops})"


class CompleteGraph(_HopTransform):
    r"""Connect all ordered pairs of distinct nodes, and add the graph distance of each pair.

    Replaces ``edge_index`` by all :math:`N (N - 1)` pairs :math:`i \neq j`, sorted by target, and adds
    ``hops`` ``[E]``: the number of edges on a shortest path along the original edges if that is at most ``max_hops``,
    else ``max_hops + 1``, also for unconnected pairs. Edges are taken as undirected for ``hops``. Other edge
    attributes than ``edge_type`` are an error, because new pairs would have no value.

    Args:
        edge_type: Integer edge attribute, e.g. ``"bond"``, that is kept: pairs that were not edges get 0.
            ``None`` if the graph has none.
        max_hops: Largest graph distance that ``hops`` distinguishes.

    Raises:
        ValueError: If ``max_hops`` is less than 1; on call, if the edges name no nodes, or the edge attribute is
            missing, not of shape ``[E]``, or other edge attributes exist.
    """

    def __init__(self, edge_type: str | None = None, max_hops: int = 4) -> None:
        super().__init__(edge_type, max_hops)

    def _edges(self, edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
        pairs = complete_edges(edge_index.new_tensor([0, num_nodes]))
        near, hops = hop_edges(edge_index, num_nodes, self.max_hops)
        return pairs, gather_or_fill(hops, match_edges(pairs, near, num_nodes), self.max_hops + 1)


class HopGraph(_HopTransform):
    """Connect all ordered pairs of nodes that are at most ``max_hops`` edges apart.

    The sparse counterpart of :class:`CompleteGraph`. Replaces ``edge_index`` by all pairs at a distance of 1 to
    ``max_hops`` edges, taken as undirected, sorted by target, and adds ``hops`` ``[E]``, that distance. In molecules
    and the like, the number of such pairs grows with the number of nodes and not with its square. Nodes that are near
    in space alone can be connected at each call of the network, see :mod:`graphscore.nn.edges.search`. Other edge
    attributes than ``edge_type`` are an error.

    Args:
        edge_type: Integer edge attribute, e.g. ``"bond"``, that is kept: pairs that were not edges get 0.
            ``None`` if the graph has none.
        max_hops: Largest graph distance of connected nodes.

    Raises:
        ValueError: If ``max_hops`` is less than 1; on call, if the edges name no nodes, or the edge attribute is
            missing, not of shape ``[E]``, or other edge attributes exist.
    """

    def __init__(self, edge_type: str | None = None, max_hops: int = 3) -> None:
        super().__init__(edge_type, max_hops)

    def _edges(self, edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
        return hop_edges(edge_index, num_nodes, self.max_hops)


class LaplacianEncoding(BaseTransform):
    """Add ``laplacian`` ``[N, k]``: the first eigenvectors of the graph's normalised Laplacian.

    Use it before transforms that replace the edges. The signs are arbitrary: for training, flip them at random by
    :func:`graphscore.linalg.encodings.flip_signs`. See also :func:`~graphscore.linalg.encodings.laplacian_encoding`.

    Args:
        k: Number of eigenvectors; small graphs have fewer, followed by zeros.

    Raises:
        ValueError: If k is out of range; on call, if the edges have been replaced already.
    """

    def __init__(self, k: int) -> None:
        if not 1 <= k <= MOST_COLUMNS:
            raise ValueError(f"k must lie between 1 and {MOST_COLUMNS}, but is {k}")
        self.k = k

    def forward(self, data: Data) -> Data:
        """Return a copy with the encoding; ``BaseTransform.__call__`` has made the shallow copy."""
        data.laplacian = _encode(type(self).__name__, laplacian_encoding, data, self.k)
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(k={self.k})"


class RandomWalkEncoding(BaseTransform):
    """Add ``random_walk`` ``[N, steps]``: chances that a random walk along edges is back after 1, 2, ... steps.

    Comes before transforms that replace the edges. See :func:`graphscore.linalg.encodings.random_walk_encoding`.

    Args:
        steps: Length of the longest walk.

    Raises:
        ValueError: If there is no step, or too many; on call, if the edges have been replaced already.
    """

    def __init__(self, steps: int) -> None:
        if not 1 <= steps <= MOST_COLUMNS:
            raise ValueError(f"steps must lie between 1 and {MOST_COLUMNS}, but is {steps}")
        self.steps = steps

    def forward(self, data: Data) -> Data:
        """Return a copy with the encoding; ``BaseTransform.__call__`` has made the shallow copy."""
        data.random_walk = _encode(type(self).__name__, random_walk_encoding, data, self.steps)
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(steps={self.steps})"


def _edge_index(data: Data) -> Tensor:
    if data.edge_index is None:
        return torch.empty(2, 0, dtype=torch.long)
    return whole_indices("edge_index", data.edge_index, int(data.num_nodes or 0))


def _encode(name: str, encode: Callable[[Tensor, Tensor, int, int], Tensor], data: Data, width: int) -> Tensor:
    """Encode the nodes of one graph."""
    if "hops" in data:
        raise ValueError(f"{name} encodes the edges of the data, but they have been replaced; let it come first")
    edge_index = _edge_index(data)
    return encode(edge_index, edge_index.new_zeros(int(data.num_nodes or 0)), 1, width)


TRANSFORMS: dict[str, Reference] = {
    "complete-graph": CompleteGraph,
    "hop-graph": HopGraph,
    "laplacian-encoding": LaplacianEncoding,
    "random-walk-encoding": RandomWalkEncoding,
    "normalize": Normalize,
}
"""Transforms of any graphs by name; domains have others."""


def transforms() -> dict[str, Reference]:
    """List all transforms by name, those of domains included."""
    return TRANSFORMS | gather("transforms")
