"""Graphs of networkx, igraph, rustworkx and PyG, and lists of edges, as numbered simple graphs with edge lengths."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import networkx as nx
import torch
from torch import Tensor
from torch_geometric.data import Data

WEIGHT_EXPONENT = -1 / 3
"""Power of the weight of an edge that its length is multiplied by: two nodes of ``networkx.spring_layout`` that are
joined by an edge of weight w, and repel each other, rest at this distance."""


class Component(NamedTuple):
    """A connected component of a graph.

    Attributes:
        nodes: Numbers of its nodes in the graph, ascending.
        edges: Its edges ``[2, E]``, each once, by place among ``nodes``.
        length: Lengths of the edges ``[E]``; ``None`` if all are 1.
    """

    nodes: list[int]
    edges: Tensor
    length: Tensor | None


class NumberedGraph(NamedTuple):
    """A graph whose nodes are numbered.

    Attributes:
        labels: The nodes, as the caller names them.
        graph: Simple undirected graph of the numbers, with the ``length`` of each edge.
    """

    labels: list[Hashable]
    graph: nx.Graph

    def components(self) -> list[Component]:
        """The connected components, the largest first."""
        return [self._component(sorted(nodes)) for nodes in sorted(nx.connected_components(self.graph), key=_first)]

    def _component(self, nodes: list[int]) -> Component:
        place = {node: number for number, node in enumerate(nodes)}
        found = [(place[i], place[j], d) for i in nodes for j, d in self.graph.adj[i].items() if i < j]
        edges = torch.tensor([pair[:2] for pair in found], dtype=torch.long).reshape(-1, 2).t()
        length = torch.tensor([attributes["length"] for *_, attributes in found], dtype=torch.float32)
        return Component(nodes, edges, None if bool((length == 1).all()) else length)

    def edge_index(self) -> Tensor:
        """The edges ``[2, E]``, each once."""
        return torch.tensor([*self.graph.edges], dtype=torch.long).reshape(-1, 2).t()


def _first(nodes: set[int]) -> tuple[int, int]:
    return -len(nodes), min(nodes)


def number_nodes(G: Any, weight: str | None = None, length: str | None = None) -> NumberedGraph:
    """Number the nodes of a graph, in its own order.

    Args:
        G: Graph of networkx, igraph or rustworkx, a PyG ``Data``, or a list of pairs of nodes. Directions do not count,
            self-loops are left out, and of parallel edges the shortest counts.
        weight: Name of an edge attribute: the attraction of the ends.
        length: Name of an edge attribute: the wanted length.

    Raises:
        TypeError: If it is none of these graphs.
        ValueError: If a weight or length is not a positive number, or edges lack it (with networkx, those have 1).
    """
    labels, edges = _read(G)
    place = {label: number for number, label in enumerate(labels)}
    if len(place) < len(labels):
        raise ValueError("Nodes must differ from each other, but two have the same label")
    graph = nx.Graph()
    graph.add_nodes_from(range(len(labels)))
    for u, v, attributes in edges:
        wanted = _positive(attributes, length, "length", u, v, G)
        wanted *= _positive(attributes, weight, "weight", u, v, G) ** WEIGHT_EXPONENT
        i, j = place[u], place[v]
        if i != j and wanted < graph.get_edge_data(i, j, {"length": math.inf})["length"]:
            graph.add_edge(i, j, length=wanted)
    return NumberedGraph(labels, graph)


def is_graph(item: Any) -> bool:
    """Tell whether something is a graph of networkx, igraph, rustworkx or PyG, rather than an edge or a list."""
    return isinstance(item, Data | nx.Graph) or hasattr(item, "es") or hasattr(item, "weighted_edge_list")


Edges = Iterable[tuple[Hashable, Hashable, Any]]


def _read(G: Any) -> tuple[list[Hashable], Edges]:
    """Nodes, and edges with a mapping of attributes or a number."""
    if isinstance(G, Data):
        return list(range(int(G.num_nodes or 0))), _edges_of_data(G)
    if isinstance(G, nx.Graph):
        return [*G.nodes], G.edges(data=True)
    if hasattr(G, "vs") and hasattr(G, "es"):  # igraph
        return list(range(len(G.vs))), ((edge.source, edge.target, edge.attributes()) for edge in G.es)
    if hasattr(G, "node_indices") and hasattr(G, "weighted_edge_list"):  # rustworkx
        return [*G.node_indices()], G.weighted_edge_list()
    if isinstance(G, Iterable) and not isinstance(G, str | bytes | Mapping):
        edges = [_pair(edge) for edge in G]
        return [*dict.fromkeys(node for u, v, _ in edges for node in (u, v))], edges
    raise TypeError(
        f"Expected a graph of networkx, igraph, rustworkx or PyG, or a list of edges, but got {type(G).__name__}"
    )


def _pair(edge: Any) -> tuple[Hashable, Hashable, Any]:
    if not isinstance(edge, tuple | list) or not 2 <= len(edge) <= 3:
        raise ValueError(f"An edge of a list is a pair of nodes, maybe with its attributes, but one is {edge!r}")
    return edge[0], edge[1], edge[2] if len(edge) == 3 else {}


def _edges_of_data(data: Data) -> Iterator[tuple[int, int, dict[str, float]]]:
    if data.edge_index is None:
        return
    columns = {
        name: value.reshape(len(value), -1)[:, 0].tolist()
        for name, value in data.to_dict().items()
        if isinstance(value, Tensor) and value.dim() and len(value) == data.num_edges and name != "edge_index"
    }
    for row, (u, v) in enumerate(data.edge_index.t().tolist()):
        yield u, v, {name: values[row] for name, values in columns.items()}


def derive(nodes: dict[str, Any], edges: dict[str, Any], names: Sequence[str]) -> dict[str, Tensor]:
    """Derive ``pos`` ``[N, 2]`` from the node attributes ``x`` and ``y`` of a drawing, as ``graphscore layout`` writes.

    Nodes that have ``pos``, or ``z`` too, are left alone.
    """
    x, y = nodes.get("x"), nodes.get("y")
    if not isinstance(x, Tensor) or not isinstance(y, Tensor) or "pos" in nodes or "z" in nodes:
        return {}
    return {"pos": torch.stack([x, y], 1).float()} if x.dim() == y.dim() == 1 else {}


def _positive(attributes: Any, name: str | None, meaning: str, u: Hashable, v: Hashable, G: Any) -> float:
    if name is None:
        return 1.0
    # Edges of rustworkx may hold a number instead of attributes.
    value = (
        attributes.get(name, 1 if isinstance(G, nx.Graph) else None) if isinstance(attributes, Mapping) else attributes
    )
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(
            f"The {meaning} {name!r} of each edge must be a positive number, but that of {u!r} and {v!r} is {value!r}"
        )
    return number
