"""Neighbor searches that a network runs at each call, on the positions that it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from graphscore.nn.edges.neighbors import knn_edges, radius_edges
from graphscore.nn.edges.sets import gather_or_fill, merge_edges

Search = Callable[[Tensor, Tensor, int], Tensor]
"""Finds edges ``[2, E]`` from positions ``[N, D]``, the graph of each node ``[N]`` and the number of graphs."""


@dataclass(frozen=True)
class NearestNeighbors:
    """Connect each node to its k nearest neighbors, see :func:`~graphscore.nn.edges.neighbors.knn_edges`.

    Args:
        k: Number of edges into each node; all other nodes of the graph if there are fewer.

    Raises:
        ValueError: If k is less than 1.
    """

    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"NearestNeighbors: k must be at least 1, but is {self.k}")

    def __call__(self, pos: Tensor, batch_index: Tensor, num_graphs: int) -> Tensor:
        """Find edges ``[2, E]`` from ``pos`` ``[N, D]`` and the graph of each node, ``batch_index`` ``[N]``."""
        return knn_edges(pos, batch_index, num_graphs, self.k)

    def most_edges(self, num_nodes: int) -> int:
        """Bound the number of edges that are found in a graph of ``num_nodes`` nodes."""
        return num_nodes * min(self.k, num_nodes - 1)


@dataclass(frozen=True)
class RadiusNeighbors:
    """Connect all nodes closer than a radius, see :func:`~graphscore.nn.edges.neighbors.radius_edges`.

    Args:
        radius: Edges are shorter than this, in units of the positions that the network sees.
        max_neighbors: Maximum number of edges into a node, from its nearest neighbors; ``None`` for no limit.

    Raises:
        ValueError: If the radius is not positive, or ``max_neighbors`` less than 1.
    """

    radius: float
    max_neighbors: int | None = None

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise ValueError(f"RadiusNeighbors: radius must be positive, but is {self.radius}")
        if self.max_neighbors is not None and self.max_neighbors < 1:
            raise ValueError(f"RadiusNeighbors: max_neighbors must be at least 1 or None, but is {self.max_neighbors}")

    def __call__(self, pos: Tensor, batch_index: Tensor, num_graphs: int) -> Tensor:
        """Find edges ``[2, E]`` from ``pos`` ``[N, D]`` and the graph of each node, ``batch_index`` ``[N]``."""
        return radius_edges(pos, batch_index, num_graphs, self.radius, self.max_neighbors)

    def most_edges(self, num_nodes: int) -> int:
        """Bound the number of edges that are found in a graph of ``num_nodes`` nodes."""
        return num_nodes * min(self.max_neighbors or num_nodes, num_nodes - 1)


NEIGHBORS: dict[str, Callable[..., Search]] = {"knn": NearestNeighbors, "radius": RadiusNeighbors}
"""Neighbor searches by the name that configurations use."""


def extend_edges(
    found: Tensor,
    edge_index: Tensor | None,
    attributes: Mapping[str, Tensor],
    fill: Mapping[str, float],
    num_nodes: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Merge edges from a neighbor search with those of a batch, and extend the attributes of the latter.

    Args:
        found: Edges that a search has found, shape ``[2, K]``.
        edge_index: Edges of the batch, shape ``[2, E]``, or ``None``.
        attributes: Their attributes by name, each ``[E, *]``.
        fill: Values of attributes on new edges, by name; 0 for attributes that are not listed.
        num_nodes: Number of nodes N.

    Returns:
        All edges ``[2, E']`` and their attributes ``[E', *]``.
    """
    known = found.new_zeros(2, 0) if edge_index is None else edge_index
    merged, position = merge_edges(known, found, num_nodes=num_nodes)
    return merged, {name: gather_or_fill(values, position, fill.get(name, 0)) for name, values in attributes.items()}


def most_edges(search: Search, num_nodes: int) -> int:
    """Bound the number of edges that a search finds in a graph of a given number of nodes.

    All ordered pairs, unless the search has a method ``most_edges`` with a tighter bound, as :class:`NearestNeighbors`.
    """
    limit = getattr(search, "most_edges", None)
    return num_nodes * (num_nodes - 1) if limit is None else limit(num_nodes)


def searches_of(model: nn.Module) -> list[Search]:
    """Collect the searches for further edges of the networks inside a model."""
    # A network inside another one may find the same edges.
    searches = {id(found): found for m in model.modules() if (found := getattr(m, "neighbors", None)) is not None}
    return list(searches.values())


def count_edges(searches: Sequence[Search], num_nodes: int, num_edges: int) -> int:
    """Bound the number of edges on which a model works for a graph.

    Args:
        searches: The model's searches for further edges, by :func:`searches_of`.
        num_nodes: Number of nodes of the graph.
        num_edges: Number of edges of the graph.

    Returns:
        Number of edges in the graph and found by searches. If there are neither, that of all ordered pairs of nodes.
    """
    pairs = num_nodes * (num_nodes - 1)
    found = sum(most_edges(search, num_nodes) for search in searches)
    return max(num_edges, min(pairs, num_edges + found)) if num_edges or found else pairs
