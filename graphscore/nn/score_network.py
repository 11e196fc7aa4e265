"""The network inside a denoiser: attributes in, a backbone, one head per field."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.nn.attributes import edge_index as read_edges
from graphscore.nn.attributes import embed, embed_one, read
from graphscore.nn.backbones.base import Backbone
from graphscore.nn.checks import LEVELS, check_network
from graphscore.nn.edges.search import Neighbors
from graphscore.nn.edges.sorted import measure
from graphscore.nn.layers.edge_heads import EdgeHeads
from graphscore.nn.layers.embeddings import SinusoidalEmbedding
from graphscore.nn.layers.graph_heads import GraphHeads
from graphscore.nn.layers.signed_volumes import handedness
from graphscore.nn.layers.vector_inputs import VectorInputs, invariants


class ScoreNetwork(nn.Module):
    r"""Embed a batch and its noise levels, run a backbone, and read each field off it.

    One node field may be the positions: it comes out as equivariant vectors, independent of translation. So do fields
    named in ``vectors``. All other fields are scalars. Graphs bring their own edges, see
    :class:`graphscore.data.CompleteGraph` for all pairs, or ``neighbors`` finds them.

    Fields of graphs are read as conditions and written by :class:`~graphscore.nn.layers.graph_heads.GraphHeads`;
    fields of edges are read as edge attributes and written by :class:`~graphscore.nn.layers.edge_heads.EdgeHeads`. If
    an edge and its reverse are both listed and carry the same values, or the opposite and are ``antisymmetric``, so do
    they come out. The noise of a process is drawn for each of them by itself: on noisy graphs they differ, the network
    reads both, and samples agree as closely as it has learnt that they do. To have them equal, list each edge once.

    Args:
        backbone: The backbone; its channel numbers are read from it. The positions, if they diffuse, are its first
            vector channel, then come the fields among ``vectors`` in the order of the process.
        fields: Diffusing fields by name with their number of columns, in the order of the process.
        positions: Attribute of the positions ``[N, D]``, diffusing or given; ``None`` for graphs without.
        node_inputs: For each further node attribute a module that maps it to ``[N, F]``: ``nn.Embedding`` for integers,
            ``nn.Linear`` for ``[N, *]`` features. Floating attributes ``[N]`` are taken as one column.
        edge_inputs: The same for edge attributes, to ``[E, edge_channels]``.
        oriented: Whether to read and write the positions and vectors as plain numbers too. That gives up equivariance
            under rotation and reflection, for data with a right way up, such as handwriting.
        graph_inputs: The same as ``node_inputs`` for attributes of graphs, to ``[B, cond_channels]``: they are added to
            the embedding of the noise levels.
        vectors: Attributes ``[rows, D]``, diffusing or given, that turn with the positions and do not move with them,
            such as velocities and forces. Of those of nodes are read the norms and the dot products of those of one
            node, nothing of how they point in relation to the positions; see
            :class:`~graphscore.nn.layers.vector_inputs.VectorInputs`. Each node is told those of its graph, with its
            place relative to the centroid as one more vector, and the sum of those of the edges into it.
        neighbors: Edges to find at each call from the positions as they are there, which a denoiser has scaled to unit
            variance at every noise level. They join those of the batch.
        chirality: Attribute ``[4, T]`` of triples of neighbors that should turn the same way round their centre, see
            :func:`~graphscore.nn.layers.signed_volumes.handedness`. The backbone needs an input vector for it.
        levels: What a row of each field or vector belongs to, ``"node"``, ``"edge"`` or ``"graph"``; ``"node"`` for
            those that are not named.
        antisymmetric: Attributes of edges, diffusing or given, that change their sign with the direction of the edge,
            such as flows, and forces along edges.

    Raises:
        ValueError: If the backbone has too few channels for what is asked, or some for which there is nothing; if
            vectors or neighbors are given without positions, or a fill value for something that is no edge input; or if
            fields or vectors of edges come with neighbors, whose edges they do not have. At a call, if the batch lacks
            an attribute.
    """

    def __init__(
        self,
        backbone: Backbone,
        fields: Mapping[str, int],
        positions: str | None = "pos",
        node_inputs: Mapping[str, nn.Module] | None = None,
        edge_inputs: Mapping[str, nn.Module] | None = None,
        oriented: bool = False,
        graph_inputs: Mapping[str, nn.Module] | None = None,
        vectors: Collection[str] = (),
        neighbors: Neighbors | None = None,
        chirality: str | None = None,
        levels: Mapping[str, str] | None = None,
        antisymmetric: Collection[str] = (),
    ) -> None:
        super().__init__()
        equivariant = [name for name in fields if name == positions or name in vectors]
        self.vector_fields = sorted(equivariant, key=lambda name: name != positions)
        self.backbone = backbone
        self.fields = dict(fields)
        self.positions = positions
        self.neighbors = neighbors
        self.chirality = chirality
        self.node_inputs = nn.ModuleDict(node_inputs or {})
        self.edge_inputs = nn.ModuleDict(edge_inputs or {})
        self.graph_inputs = nn.ModuleDict(graph_inputs or {})
        # A set has another order in each process, but weights are to be loaded again.
        self.vectors = sorted(vectors)
        self.levels = dict.fromkeys([*fields, *self.vectors], "node") | dict(levels or {})
        self.antisymmetric = frozenset(antisymmetric)
        check_network(self)
        hidden = backbone.hidden_channels
        self.bias = nn.Parameter(torch.zeros(hidden))
        plain = {name: width for name, width in fields.items() if oriented or name not in equivariant}
        scalars = {level: {name: plain[name] for name in plain if self.levels[name] == level} for level in LEVELS}
        self.scalar_inputs = nn.ModuleDict({name: nn.Linear(width, hidden) for name, width in scalars["node"].items()})
        self.scalar_heads = nn.ModuleDict({name: nn.Linear(hidden, width) for name, width in scalars["node"].items()})
        for head in self.scalar_heads.parameters():
            nn.init.zeros_(head)
        self.level_embedding = SinusoidalEmbedding(32)
        self.condition = nn.Sequential(
            nn.Linear(32 * len(fields), backbone.cond_channels), nn.SiLU(),
            nn.Linear(backbone.cond_channels, backbone.cond_channels),
        )  # fmt: skip
        self.given = {level: [name for name in self.vectors if self.levels[name] == level] for level in LEVELS}
        if vectors:
            # Beside vectors of the graph, the place of a node.
            self.vector_inputs = VectorInputs(len(vectors) + bool(self.given["graph"]), hidden, len(self.vector_fields))
        if chirality is not None:
            self.volumes = nn.Linear(1, hidden, bias=False)
        self.graph_scalars = nn.ModuleDict(
            {name: nn.Linear(width, backbone.cond_channels) for name, width in scalars["graph"].items()}
        )
        self.edge_scalars = nn.ModuleDict(
            {name: nn.Linear(width, backbone.edge_channels) for name, width in scalars["edge"].items()}
        )
        # The direction of the edge is one more vector.
        count = len(self.given["edge"]) + 1
        self.edge_vectors = nn.Linear(count * (count + 1) // 2, backbone.edge_channels) if count > 1 else None
        self.level_heads = nn.ModuleDict()
        present = {self.levels[name] for name in fields}
        if "graph" in present:
            self.level_heads["graph"] = self._graph_heads(scalars["graph"])
        if "edge" in present:
            self.level_heads["edge"] = self._edge_heads(scalars["edge"])

    def _graph_heads(self, scalars: Mapping[str, int]) -> GraphHeads:
        backbone, given = self.backbone, len(self.given["graph"])
        num_vectors = sum(self.levels[name] == "graph" for name in self.vector_fields)
        return GraphHeads(backbone.hidden_channels, backbone.cond_channels, scalars, given, num_vectors)

    def _edge_heads(self, scalars: Mapping[str, int]) -> EdgeHeads:
        odd = {name: width for name, width in scalars.items() if name in self.antisymmetric}
        even = {name: width for name, width in scalars.items() if name not in odd}
        told = self.backbone.edge_channels if set(self.edge_inputs) - self.antisymmetric else 0
        vectors = [name for name in self.vector_fields if self.levels[name] == "edge"]
        signs = [[name in self.antisymmetric for name in names] for names in (self.given["edge"], vectors)]
        return EdgeHeads(self.backbone.hidden_channels, told, even, odd, *signs)

    def forward(self, batch: Batch, levels: Tensor) -> dict[str, Tensor]:
        """Compute the raw outputs of the network.

        Args:
            batch: A batch whose fields have unit variance.
            levels: Noise level of each graph and field, shape ``[B, number of fields]``.

        Returns:
            For each field ``[rows, width]``.
        """
        num_graphs, num_nodes = levels.shape[0], batch.batch.shape[0]
        if levels.dim() != 2 or levels.shape[1] != len(self.fields):
            raise ValueError(
                f"Expected noise levels [B, {len(self.fields)}] of the fields {[*self.fields]}, but got shape "
                f"{list(levels.shape)}"
            )
        level = self.condition(self.level_embedding(levels).flatten(1))
        cond = F.silu(
            sum(embed(self.graph_inputs, batch, num_graphs) + embed(self.graph_scalars, batch, num_graphs), level)
        )
        h = self.bias.expand(num_nodes, -1)
        h = sum(embed(self.node_inputs, batch, num_nodes) + embed(self.scalar_inputs, batch, num_nodes), h)
        pos = h.new_zeros(num_nodes, 0) if self.positions is None else read(batch, self.positions, num_nodes, self.bias)
        given = self._given(batch, num_nodes, num_graphs)
        told = self._told(given, batch, pos, num_graphs) if given else None
        if told is not None:
            h = h + self.vector_inputs(told)
        edge_index, edge_attr = self._edges(batch, pos, given.get("edge"), num_graphs)
        if self.chirality is None:
            scalars, vectors = self.backbone(h, pos, edge_index, batch.batch, cond, edge_attr)
        else:
            volumes, pushes = handedness(pos, read(batch, self.chirality, 4))
            h = h + self.volumes(volumes[:, None])
            # Backbones that say that they have input vectors take them as one more argument.
            graph = (edge_index, batch.batch, cond, edge_attr)
            scalars, vectors = self.backbone(h, pos, *graph, pushes[:, None])  # pyright: ignore[reportCallIssue]
        if told is not None:
            vectors = vectors[:, : len(self.vector_fields)] + self.vector_inputs.combine(told, scalars)
        outputs = {name: head(scalars) for name, head in self.scalar_heads.items()}
        turned = {name: vectors[:, channel] for channel, name in enumerate(self.vector_fields)}
        for level, head in self.level_heads.items():
            names = [name for name in self.vector_fields if self.levels[name] == level]
            ends = torch.stack([turned[name] for name in names], dim=1) if names else vectors[:, :0]
            of_level = given.get(level)
            if level == "graph":
                found, moved = head(scalars, ends, batch.batch, cond, of_level)
            else:
                found, moved = head(scalars, pos, edge_index, *self._known(batch), of_level, ends)
            outputs |= found
            turned |= dict(zip(names, moved.unbind(1), strict=True)) if names else {}
        return outputs | {name: outputs.get(name, 0) + vector for name, vector in turned.items()}

    @property
    def inputs(self) -> list[str]:
        """Names of the attributes that it reads beside the diffusing fields, each once."""
        embedded = [*self.node_inputs, *self.edge_inputs, *self.graph_inputs]
        named = [*embedded, *self.vectors, self.positions, self.chirality]
        return [name for name in dict.fromkeys(named) if name is not None and name not in self.fields]

    def _given(self, batch: Batch, num_nodes: int, num_graphs: int) -> dict[str, Tensor]:
        """The vectors of each level that has some, ``[rows, V, D]``."""
        rows = {"node": num_nodes, "graph": num_graphs}
        if self.given["edge"]:
            rows["edge"] = read_edges(batch).shape[1]
        return {
            level: torch.stack([read(batch, name, rows[level], self.bias) for name in names], dim=1)
            for level, names in self.given.items()
            if names
        }

    def _told(self, given: Mapping[str, Tensor], batch: Batch, pos: Tensor, num_graphs: int) -> Tensor:
        """All vectors that a node is told, ``[N, V, D]``: its own, and those of its graph and its edges."""
        told = [given["node"]] if "node" in given else []
        if "graph" in given:
            told += [ops.broadcast(given["graph"], batch.batch), ops.center(pos, batch.batch, num_graphs)[:, None]]
        if "edge" in given:
            target, num_nodes = read_edges(batch)[1], pos.shape[0]
            degree = ops.count(target, num_nodes, pos.dtype).clamp(min=1)
            told.append(ops.sum(given["edge"], target, num_nodes) * degree.rsqrt()[:, None, None])
        return torch.cat(told, dim=1)

    def _edges(self, batch: Batch, pos: Tensor, given: Tensor | None, num_graphs: int) -> tuple[Tensor, Tensor | None]:
        """All edges ``[2, E]``, and the sum of their embedded attributes ``[E, edge_channels]``."""
        if self.neighbors is None:
            edge_index, attributes = read_edges(batch), batch
        else:
            known = None if batch.edge_index is None else read_edges(batch)
            rows = 0 if known is None else known.shape[1]
            attributes = {name: read(batch, name, rows) for name in self.edge_inputs}
            edge_index, attributes = self.neighbors.extend(known, attributes, pos, batch.batch, num_graphs)
        num_edges = edge_index.shape[1]
        embedded = embed(self.edge_inputs, attributes, num_edges) + embed(self.edge_scalars, batch, num_edges)
        if self.edge_vectors is not None and given is not None:
            direction = measure(pos, *edge_index)[1]
            embedded.append(self.edge_vectors(invariants(torch.cat([given, direction[:, None]], dim=1))))
        return edge_index, sum(embedded[1:], embedded[0]) if embedded else None

    def _known(self, batch: Batch) -> tuple[list[Tensor], dict[str, Tensor]]:
        """What heads of edges read beside vectors: values that may not change their sign, and fields that do."""
        num_edges = read_edges(batch).shape[1]
        inputs = [
            embed_one(name, module, batch, num_edges)
            for name, module in self.edge_inputs.items()
            if name not in self.antisymmetric
        ]
        values = {name: read(batch, name, num_edges) for name in self.edge_scalars}
        odd = {name: value for name, value in values.items() if name in self.antisymmetric}
        known = [sum(inputs[1:], inputs[0])] if inputs else []
        return [*known, *(value for name, value in values.items() if name not in odd)], odd

    def check_fields(self, fields: Mapping[str, tuple[str, int | None]]) -> None:
        """Check that the fields of a process are those of the network.

        Args:
            fields: Level and number of columns of each field, ``None`` if that is not known, in the order of the
                process.

        Raises:
            ValueError: If there are others, in another order, or of another level or width: noise levels would be taken
                for those of other fields.
        """
        own = {name: (self.levels[name], width) for name, width in self.fields.items()}
        given = {name: (level, width or self.fields.get(name)) for name, (level, width) in fields.items()}
        if [*own.items()] != [*given.items()]:
            raise ValueError(
                f"The network has the fields {_listed(own)}, but the process has {_listed(given)}: both need the same, "
                "in the same order"
            )


def _listed(fields: Mapping[str, tuple[str, int | None]]) -> str:
    return ", ".join(f"{name!r} ({level}, {width} columns)" for name, (level, width) in fields.items())
