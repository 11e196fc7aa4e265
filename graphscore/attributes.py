"""Table of the graph and batch attributes that this library reads and writes: level, shape and unit.

Fields and inputs of a model may have any names. Domains add their own attributes, see
:class:`graphscore.domains.Domain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # importing this module does not load PyTorch
    from torch_geometric.data import Data


@dataclass(frozen=True)
class Attribute:
    """Level, shape and meaning of a graph attribute.

    Attributes:
        level: ``"node"``, ``"edge"`` or ``"graph"`` for one row each; ``"none"`` for any other number of rows, such as
            a list of pairs of nodes.
        shape: Shape, with N nodes, E edges, B graphs, D dimensions of space.
        meaning: Content, with its unit.
        indices: Whether its entries are numbers of nodes.
        beside: Another attribute that a graph must have for the name to have this meaning.
        is_label: Whether no sample depends on it, such as the isotopes of atoms; only some graphs may have it.
        is_given: Whether real numbers of this name belong to the graph, whatever its coordinates, such as the lengths
            of bones, and samples have them, too.
    """

    level: Literal["node", "edge", "graph", "none"]
    shape: str
    meaning: str
    indices: bool = False
    beside: str | None = None
    is_label: bool = False
    is_given: bool = False


FIXED, FIXED_POS = "fixed", "fixed_pos"
TEMPLATE = "template"
NOTES = "notes"
"""Notes on the record that a graph was read from, one sentence each: a list of str, which only graphs with notes have.

Samples do not have it; the notes come in :attr:`graphscore.generate.outcome.Outcome.notes`.
"""
READ_FROM = "read_from"
"""File that a graph was read from and its place in it, a str that only graphs of several files have, not samples."""
SELF_CONDITIONED = "self_conditioned"

ATTRIBUTES: dict[str, Attribute] = {
    "edge_index": Attribute("edge", "[2, E]", "source and target of each edge", indices=True),
    "x": Attribute("node", "[N, F]", "features"),
    "pos": Attribute("node", "[N, D]", "coordinates, in the unit of the data (molecules: Angstrom)"),
    "edge_attr": Attribute("edge", "[E, F]", "features"),
    "edge_weight": Attribute("edge", "[E]", "weights"),
    "hops": Attribute("edge", "[E]", "length of the shortest path along the edges that the data had, 0 for none"),
    "kept": Attribute("node", "[N]", "number of the node in the original graph, if a transform removed nodes"),
    FIXED: Attribute("node", "[N]", "whether guidance fixes the node, bool"),
    FIXED_POS: Attribute("node", "[N, D]", "coordinates of the fixed nodes, in the unit of the data"),
    TEMPLATE: Attribute("graph", "[B]", "number of the input of a sample, if samples interact"),
    SELF_CONDITIONED: Attribute("graph", "[B]", "whether a graph gets a first estimate by self-conditioning, bool"),
    "<field>_estimate": Attribute("node", "[rows, width]", "last estimate of a field, in units of its scale"),
}
"""Attributes with the same meaning in all domains, beside PyG's own ``batch`` ``[N]`` and ``ptr`` ``[B + 1]``."""


def add_notes(item: Data, *notes: str) -> Data:
    """Add notes to a graph, which is changed, and return it; see :data:`NOTES`."""
    if notes:
        item[NOTES] = [*(item.get(NOTES) or ()), *notes]
    return item
