"""Neighbor searches of a network: edges found at each call from the positions as they are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

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
        """Count the edges that are found in a graph of so many nodes, at most."""
        return num_nodes * min(self.k, num_nodes - 1)


@dataclass(frozen=True)
class RadiusNeighbors:
    """Connect all nodes closer than a radius, see :func:`~graphscore.nn.edges.neighbors.radius_edges`.

    Args:
        radius: Edges are shorter than this, in units of the positions that the network sees.
        max_neighbors: A node keeps edges from so many nearest neighbors, or ``None`` for all within the radius.

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
        """Count the edges that are found in a graph of so many nodes, at most."""
        return num_nodes * min(self.max_neighbors or num_nodes, num_nodes - 1)


NEIGHBORS: dict[str, Callable[..., Search]] = {"knn": NearestNeighbors, "radius": RadiusNeighbors}


@dataclass(frozen=True)
class Neighbors:
    """Edges found from the current positions, beside those that a graph has.

    Args:
        find: Called as ``find(pos, batch_index, num_graphs)``; returns edges ``[2, E]``, such as
            :class:`NearestNeighbors` and :class:`RadiusNeighbors`.
        fill: Value of edge attributes, by name, on edges that were not there before; 0 for all others.

    Raises:
        ValueError: If ``fill`` is no mapping.
    """

    find: Search
    fill: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.fill, Mapping):
            raise ValueError(f"Neighbors: fill must give values by name of an edge attribute, but is {self.fill!r}")

    def extend(
        self,
        edge_index: Tensor | None,
        attributes: Mapping[str, Tensor],
        pos: Tensor,
        batch_index: Tensor,
        num_graphs: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Find edges, and merge them with those of the batch.

        Args:
            edge_index: Edges of the batch, shape ``[2, E]``, or ``None``.
            attributes: Their attributes by name, each ``[E, *]``.
            pos: Positions, shape ``[N, D]``.
            batch_index: Graph of each node, shape ``[N]``.
            num_graphs: Number of graphs B.

        Returns:
            All edges ``[2, E']`` and their attributes ``[E', *]``.
        """
        found = self.find(pos, batch_index, num_graphs)
        known = found.new_zeros(2, 0) if edge_index is None else edge_index
        merged, position = merge_edges(known, found, num_nodes=batch_index.shape[0])
        return merged, {
            name: gather_or_fill(values, position, self.fill.get(name, 0)) for name, values in attributes.items()
        }

    def most_edges(self, num_nodes: int) -> int:
        """Edges that can be found at most in a graph of so many nodes: all ordered pairs, unless the search is limited.

        A limit is known of searches that have a method ``most_edges``, such as :class:`NearestNeighbors`.
        """
        limit = getattr(self.find, "most_edges", None)
        return num_nodes * (num_nodes - 1) if limit is None else limit(num_nodes)
