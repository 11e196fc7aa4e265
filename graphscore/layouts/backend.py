"""Backend of networkx: ``networkx.forceatlas2_layout(G, backend="graphscore")`` draws by ``graphscore.layout``.

Of the layouts of networkx, that one alone is passed on to backends.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import networkx as nx

from graphscore.layouts.layout import Layout, Seed, layout


class LayoutBackend:
    """Functions of networkx that this library has a version of; graphs are taken as they are."""

    @staticmethod
    def convert_from_nx(graph: nx.Graph, **options: Any) -> nx.Graph:
        """Return a graph as it is."""
        return graph

    @staticmethod
    def convert_to_nx(result: Any, **options: Any) -> Any:
        """Return a result as it is."""
        return result

    @staticmethod
    def forceatlas2_layout(
        G: nx.Graph,
        pos: Mapping[Hashable, Any] | None = None,
        *,
        node_size: Mapping[Hashable, float] | None = None,
        weight: str | None = None,
        seed: Seed = None,
        dim: int = 2,
        store_pos_as: str | None = None,
        **forces: Any,
    ) -> Layout:
        """Draw a graph by :func:`graphscore.layout`, in lengths of an edge.

        Args:
            G: The graph.
            pos: Positions to begin with.
            node_size: Diameters of nodes.
            weight: Name of an edge attribute, the attraction of the ends.
            seed: Seed.
            dim: Dimension.
            store_pos_as: Name of a node attribute for the positions.
            **forces: Parameters of the forces of ForceAtlas2, which do not count here.
        """
        drawn = layout(G, pos, weight=weight, node_size=node_size, seed=seed, dim=dim, scale=None)
        if store_pos_as is not None:
            nx.set_node_attributes(G, drawn, store_pos_as)
        return drawn


BACKEND = LayoutBackend()
