"""Attributes of graphs and batches that this library reads and writes: their level, shape and unit, in one table.

Fields and inputs of a model may have any names. Domains add attributes of their own, see
:class:`graphscore.domains.Domain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Attribute:
    """An attribute of a graph.

    Attributes:
        level: What a row belongs to: ``"node"``, ``"edge"``, ``"graph"``, or ``"none"`` of these, such as a list of
            pairs of nodes.
        shape: With N nodes, E edges, B graphs, D dimensions of space.
        meaning: What it holds, with its unit.
        indices: Whether its entries are numbers of nodes.
        beside: Another attribute without which the name may mean anything else.
    """

    level: Literal["node", "edge", "graph", "none"]
    shape: str
    meaning: str
    indices: bool = False
    beside: str | None = None


FIXED, FIXED_POS = "fixed", "fixed_pos"
TEMPLATE = "template"
SELF_CONDITIONED = "self_conditioned"

ATTRIBUTES: dict[str, Attribute] = {
    "edge_index": Attribute("edge", "[2, E]", "source and target of each edge", indices=True),
    "x": Attribute("node", "[N, F]", "features"),
    "pos": Attribute("node", "[N, D]", "coordinates, in the unit of the data (molecules: Angstrom)"),
    "edge_attr": Attribute("edge", "[E, F]", "features"),
    "edge_weight": Attribute("edge", "[E]", "weights"),
    "hops": Attribute("edge", "[E]", "length of the shortest path along the edges that the data had, 0 for none"),
    "kept": Attribute("node", "[N]", "number of the node in the graph that a transform has made smaller"),
    FIXED: Attribute("node", "[N]", "whether guidance holds the node, bool"),
    FIXED_POS: Attribute("node", "[N, D]", "where a node that is held is, in the unit of the data"),
    TEMPLATE: Attribute("graph", "[B]", "number of the input that a graph is a sample of, if samples interact"),
    SELF_CONDITIONED: Attribute("graph", "[B]", "whether a graph is given a first estimate of itself, bool"),
    "<field>_estimate": Attribute("node", "[rows, width]", "last estimate of a field, in units of its scale"),
}
"""Attributes that mean the same in all domains, beside PyG's own ``batch`` ``[N]`` and ``ptr`` ``[B + 1]``."""
