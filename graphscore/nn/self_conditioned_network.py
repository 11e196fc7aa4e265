"""A score network that reads what was estimated before."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.nn.attributes import edge_index as read_edges
from graphscore.nn.attributes import read
from graphscore.nn.backbones.base import Backbone
from graphscore.nn.edges.sorted import measure
from graphscore.nn.layers.radial import GaussianBasis
from graphscore.nn.score_network import ScoreNetwork


class SelfConditionedNetwork(nn.Module):
    r"""A :class:`ScoreNetwork` that reads an earlier estimate of each field, the attribute ``<field>_estimate``.

    An estimate is read as what it estimates, an attribute of nodes, edges or graphs: features by a linear map;
    positions, relative to their centroid, and vectors as vectors, of which the network also gives multiples back; and,
    if the backbone has edge channels, distances between estimated positions along all edges. The symmetry is that of
    the network. An estimate of zeros stands for none.

    Args:
        backbone: The backbone.
        fields: Diffusing fields by name with their number of columns, in the order of the process.
        positions: Attribute of the positions; ``None`` for graphs without.
        node_inputs: For each further node attribute a module that maps it to ``[N, F]``.
        edge_inputs: The same for edge attributes, to ``[E, edge_channels]``.
        **options: Further arguments of :class:`ScoreNetwork`.

    Raises:
        ValueError: As :class:`ScoreNetwork`.

    References:
        Chen, Zhang and Hinton (2023), Analog bits: generating discrete data using diffusion models with
        self-conditioning.
    """

    def __init__(
        self,
        backbone: Backbone,
        fields: Mapping[str, int],
        positions: str | None = "pos",
        node_inputs: Mapping[str, nn.Module] | None = None,
        edge_inputs: Mapping[str, nn.Module] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        nodes, edges, vectors = dict(node_inputs or {}), dict(edge_inputs or {}), list(options.pop("vectors", ()))
        graphs, levels = dict(options.pop("graph_inputs", None) or {}), dict(options.pop("levels", None) or {})
        antisymmetric = set(options.pop("antisymmetric", ()))
        equivariant = [name for name in fields if name == positions or name in vectors]
        inputs = {
            "node": (nodes, backbone.hidden_channels),
            "edge": (edges, backbone.edge_channels),
            "graph": (graphs, backbone.cond_channels),
        }
        for name, width in fields.items():
            if options.get("oriented") or name not in equivariant:
                embeddings, channels = inputs[levels.get(name, "node")]
                embeddings[f"{name}_estimate"] = nn.Linear(width, channels, bias=False)
        self.positions = positions or ""
        self.estimate = f"{positions}_estimate" if positions in fields else ""
        if self.estimate and backbone.edge_channels:
            basis = GaussianBasis()
            edges[f"{self.estimate}_distance"] = nn.Sequential(basis, nn.Linear(basis.channels, backbone.edge_channels))
        vectors += [f"{name}_estimate" for name in equivariant]
        levels |= {f"{name}_estimate": levels[name] for name in equivariant if name in levels}
        antisymmetric |= {f"{name}_estimate" for name in antisymmetric if name in fields}
        self.network = ScoreNetwork(
            backbone, fields, positions, nodes, edges, graph_inputs=graphs, vectors=vectors, levels=levels,
            antisymmetric=antisymmetric, **options,
        )  # fmt: skip
        # Distances are told along the edges that are found, too: they have to be found here.
        self.neighbors, self.network.neighbors = self.network.neighbors, None

    def forward(self, batch: Batch, levels: Tensor) -> dict[str, Tensor]:
        """Compute the raw outputs of the network.

        Args:
            batch: A batch whose fields have unit variance, with an estimate of each, ``[rows, width]``.
            levels: Noise level of each graph and field, shape ``[B, number of fields]``.

        Returns:
            For each field ``[rows, width]``.
        """
        told, num_nodes, num_graphs = copy.copy(batch), batch.batch.shape[0], levels.shape[0]
        distance = f"{self.estimate}_distance"
        if self.neighbors is not None:
            edges = None if batch.edge_index is None else read_edges(batch)
            rows = 0 if edges is None else edges.shape[1]
            known = {name: read(batch, name, rows) for name in self.network.edge_inputs if name != distance}
            pos = read(batch, self.positions, num_nodes, self.network.bias)
            told.edge_index, attributes = self.neighbors.extend(edges, known, pos, batch.batch, num_graphs)
            told.update(attributes)
        if self.estimate:
            estimate = read(batch, self.estimate, num_nodes, self.network.bias)
            told[self.estimate] = ops.center(estimate, batch.batch, num_graphs)
        if distance in self.network.edge_inputs:
            told[distance], _ = measure(told[self.estimate], *read_edges(told))
        return self.network(told, levels)

    def check_fields(self, fields: Mapping[str, tuple[str, int | None]]) -> None:
        """Check that the fields of a process are those of the network, see :meth:`ScoreNetwork.check_fields`."""
        self.network.check_fields(fields)
