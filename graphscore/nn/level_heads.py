"""Heads of a score network for fields of graphs and edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from graphscore.nn.layers.edge_heads import EdgeHeads
from graphscore.nn.layers.graph_heads import GraphHeads

if TYPE_CHECKING:
    from graphscore.nn.score_network import ScoreNetwork


def level_heads(network: ScoreNetwork) -> nn.ModuleDict:
    """Build the heads of a score network for fields of graphs and edges, by level; levels without fields have none.

    Args:
        network: The network, with its backbone, fields and inputs.
    """
    present, heads = {network.levels[name] for name in network.fields}, nn.ModuleDict()
    if "graph" in present:
        heads["graph"] = _graph_heads(network)
    if "edge" in present:
        heads["edge"] = _edge_heads(network)
    return heads


def _graph_heads(network: ScoreNetwork) -> GraphHeads:
    backbone, given = network.backbone, len(network.given["graph"])
    num_vectors = sum(network.levels[name] == "graph" for name in network.vector_fields)
    scalars = network.scalar_fields("graph")
    return GraphHeads(backbone.hidden_channels, backbone.cond_channels, scalars, given, num_vectors)


def _edge_heads(network: ScoreNetwork) -> EdgeHeads:
    backbone, scalars = network.backbone, network.scalar_fields("edge")
    odd = {name: width for name, width in scalars.items() if name in network.antisymmetric}
    even = {name: width for name, width in scalars.items() if name not in odd}
    attr_channels = backbone.edge_channels if set(network.edge_inputs) - network.antisymmetric else 0
    vectors = [name for name in network.vector_fields if network.levels[name] == "edge"]
    signs = [[name in network.antisymmetric for name in names] for names in (network.given["edge"], vectors)]
    return EdgeHeads(backbone.hidden_channels, attr_channels, even, odd, *signs)
