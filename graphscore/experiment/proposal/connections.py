"""Choice of the edges of a network for a user's graphs: all pairs, the given edges, or neighbors in space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphscore.data.transforms import CompleteGraph, HopGraph
from graphscore.experiment.proposal.survey import Survey

SMALL = 64
"""Largest number of nodes of graphs whose pairs are all connected: attention among all costs less than a search."""
SMALL_WITHOUT_POSITIONS = 200
"""The same for graphs that have neither edges nor positions, where nothing else can connect them."""
NEAREST, NEAREST_OF_CLOUD = 24, 8
"""Number of neighbors in space of a node of larger graphs; and of a point where all exchange what they know."""
_HOPS, _FAR = 2, 4  # edges apart that are distinguished in large and in small graphs


@dataclass(frozen=True)
class Connections:
    """Edges of a network, as parts of a configuration.

    Attributes:
        why: Sentence on what was chosen.
        num_edges: Mean number of edges of a graph.
        transform: Transform that makes the edges; ``None`` for those of the data.
        neighbors: Search for neighbors at each call; ``None`` for none.
        inputs: Edge inputs by name: numbers of categories, or ``{"width": W}``.
    """

    why: str
    num_edges: float
    transform: dict[str, Any] | None = None
    neighbors: dict[str, Any] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)


def connect(found: Survey, inputs: Mapping[str, Any], has_positions: bool, fixed: bool) -> Connections:
    """Choose the edges of the network.

    Args:
        found: The data.
        inputs: Usable edge attributes by name: numbers of categories, or ``{"width": W}``.
        has_positions: Whether the network gets positions.
        fixed: Whether a field of edges diffuses, so that they must stay as they are.

    Raises:
        ValueError: If nothing says which nodes interact, and the graphs are too large to connect all.
    """
    largest, given = found.sizes[-1], found.num_edges
    pairs = sum(size * (size - 1) for size in found.sizes) / len(found.sizes)
    if fixed:
        return Connections("the edges of the data, whose values diffuse", given, inputs=inputs)
    if not given and not has_positions and largest > SMALL_WITHOUT_POSITIONS:
        raise ValueError(
            f"The graphs of {found.path} have up to {largest:,} nodes, but neither edges nor positions that say which "
            "nodes interact: give them edges, edge_index [2, E]"
        )
    near = min(NEAREST, largest - 1)
    if not given:
        if largest <= SMALL or not has_positions:
            return Connections("all pairs of nodes, since graphs are small", pairs, {"name": "complete-graph"})
        near = min(NEAREST_OF_CLOUD, near)
        why = f"points exchange what they know through tokens, and each reads its {near} nearest, searched at each call"
        return Connections(why, near * _mean(found), None, {"name": "knn", "k": near})
    kinds = [name for name, size in inputs.items() if isinstance(size, int)]
    options = {"edge_type": kinds[0]} if kinds else {}
    if _can_be_replaced(found, options.get("edge_type")):
        if largest <= SMALL:
            transform = {"name": "complete-graph", **options, "max_hops": _FAR}
            why = "all pairs of nodes, since graphs are small, with their distance along the edges (hops)"
            return Connections(why, pairs, transform, None, {**inputs, "hops": _FAR + 2})
        transform, hops = {"name": "hop-graph", **options, "max_hops": _HOPS}, {**inputs, "hops": _HOPS + 1}
        why = f"nodes up to {_HOPS} edges apart (hops)"
        if not has_positions:
            return Connections(why, 3 * given, transform, None, hops)
        why += f", and the {near} nearest neighbors of each node, searched at each call"
        return Connections(why, 3 * given + near * _mean(found), transform, {"name": "knn", "k": near}, hops)
    if not has_positions:
        return Connections("the edges of the data", given, inputs=inputs)
    near = largest - 1 if largest <= SMALL else near
    fill = {name: size for name, size in inputs.items() if isinstance(size, int)}
    return Connections(
        f"the edges of the data, and up to {near} nearest neighbors of each node, searched at each call",
        given + min(pairs, near * _mean(found)),
        None,
        {"name": "knn", "k": near, **({"fill": fill} if fill else {})},
        {name: size + 1 if isinstance(size, int) else size for name, size in inputs.items()},
    )


def _mean(found: Survey) -> float:
    return sum(found.sizes) / len(found.sizes)


def _can_be_replaced(found: Survey, edge_type: str | None) -> bool:
    """Tell whether edges can be replaced by others, which have values for one attribute at most."""
    try:
        for graph in found.graphs:
            (CompleteGraph if found.sizes[-1] <= SMALL else HopGraph)(edge_type)(graph)
    except ValueError:
        return False
    return True
