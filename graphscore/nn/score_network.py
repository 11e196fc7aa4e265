"""Score network: embedded batch attributes and noise levels, a backbone, and one head per field."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore.nn.attributes import edge_index as read_edges
from graphscore.nn.attributes import embed, embed_one, read
from graphscore.nn.backbones.base import Backbone, CheckedBackbone
from graphscore.nn.checks import check_fields, check_network
from graphscore.nn.edges.search import Search, extend_edges
from graphscore.nn.edges.sorted import measure
from graphscore.nn.inputs import LEVELS, Chirality, Input, Process, Vector, field_shapes
from graphscore.nn.layers.embeddings import AngleEmbedding, SinusoidalEmbedding
from graphscore.nn.layers.heads import randomize_heads, zero_head
from graphscore.nn.layers.signed_volumes import handedness
from graphscore.nn.layers.vector_inputs import VectorInputs, gather_vectors, invariants
from graphscore.nn.level_heads import level_heads


class ScoreNetwork(nn.Module):
    r"""Score network: embeds a batch and its noise levels, applies a backbone, and reads each diffusing field off it.

    One node field may be the positions: its output consists of equivariant vectors, independent of translation. The
    same holds for fields that are declared as :class:`~graphscore.nn.inputs.Vector`. All other fields are scalars. All
    outputs start at zero. Periodic fields are read by cosines and sines. Edges are those of the batch, see
    :class:`graphscore.data.CompleteGraph` for all pairs, and those that ``neighbors`` finds.

    Fields of graphs are read as conditions and written by :class:`~graphscore.nn.layers.graph_heads.GraphHeads`;
    fields of edges are read as edge attributes and written by :class:`~graphscore.nn.layers.edge_heads.EdgeHeads`. If
    an edge and its reverse are both listed with equal values (opposite values if ``antisymmetric``), their outputs are
    equal (opposite). A process draws independent noise for the two, so that their noisy values differ; the network
    reads both, and samples agree only as closely as it has learnt. For exact agreement, list each edge once.

    Example:
        >>> import graphscore.nn as gnn
        >>> inputs = {"z": gnn.Category(119), "bond": gnn.Category(5, level="edge"), "force": gnn.Vector()}
        >>> network = gnn.ScoreNetwork(gnn.EGNN(64, 3), {"pos": 3}, inputs)
        >>> network.backbone.edge_channels, network.backbone.cond_channels
        (32, 64)

    Args:
        backbone: The backbone. If it leaves numbers of channels open, the network builds a new backbone with the same
            options and the numbers that it needs, see
            :meth:`~graphscore.nn.backbones.base.CheckedBackbone.with_channels`. The positions, if they diffuse, are its
            first vector channel, followed by the vector fields in the order of the process.
        process: The forward process, whose fields give their levels and widths; or the number of columns of each field
            by name.
        inputs: The further attributes that the network reads by name, see :mod:`graphscore.nn.inputs`. Those of graphs
            are added to the embedding of the noise levels. List a diffusing field here too if it is a
            :class:`~graphscore.nn.inputs.Vector`, or an antisymmetric :class:`~graphscore.nn.inputs.Feature`.
        positions: Attribute of the positions ``[N, D]``, diffusing or given; ``None`` for graphs without.
        neighbors: Neighbor search at each call, such as :class:`~graphscore.nn.edges.search.NearestNeighbors`, on the
            positions that the network gets, which a denoiser scales to unit variance at every noise level. The edges
            are added to those of the batch.
        oriented: Whether to read and write the positions and vectors as plain numbers too. That gives up equivariance
            under rotation and reflection, for data with a right way up, such as handwriting.
        zero_init: Whether all outputs start at zero. If not, the heads of the network and its backbone are drawn as
            other layers are, see :func:`~graphscore.nn.layers.heads.randomize_heads`.

    Raises:
        ValueError: If the backbone has too few channels for its inputs and outputs, or unused ones; if vectors or
            neighbors are given without positions; or if fields or vectors of edges are combined with neighbors, for
            whose edges they have no values. At a call, if the batch lacks an attribute.
    """

    def __init__(
        self,
        backbone: Backbone,
        process: Process | Mapping[str, int],
        inputs: Mapping[str, Input] | None = None,
        *,
        positions: str | None = "pos",
        neighbors: Search | None = None,
        oriented: bool = False,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        self.inputs = dict(inputs or {})
        self.positions = positions
        self.neighbors = neighbors
        self.oriented = oriented
        shapes = field_shapes(process, self.inputs)
        self.fields = {name: shape.width for name, shape in shapes.items()}
        # Sorted, so that saved weights fit whatever the order of the inputs.
        self.vectors = sorted(name for name, given in self.inputs.items() if isinstance(given, Vector))
        self.angles = sorted(name for name, shape in shapes.items() if shape.periodic)
        equivariant = [name for name in self.fields if name == positions or name in self.vectors]
        self.vector_fields = sorted(equivariant, key=lambda name: name != positions)
        self.levels = {name: self.inputs[name].level for name in self.vectors}
        self.levels |= {name: shape.level for name, shape in shapes.items()}
        self.antisymmetric = frozenset(name for name, given in self.inputs.items() if given.antisymmetric)
        self.chirality = next((name for name, given in self.inputs.items() if isinstance(given, Chirality)), None)
        self.backbone = self._fitting(backbone)
        check_network(self)
        self._embed_inputs()
        self._embed_fields()
        self.level_heads = level_heads(self)
        if not zero_init:
            randomize_heads(self)

    def _fitting(self, backbone: Backbone) -> Backbone:
        """Build a backbone with the numbers of channels that are needed here, if it leaves some open."""
        if not isinstance(backbone, CheckedBackbone):
            return backbone
        of_edges = [*self.levels.values(), *(given.level for given in self.inputs.values())].count("edge")
        return backbone.with_channels(
            edge_channels=min(backbone.hidden_channels, 32) if of_edges else 0,
            cond_channels=backbone.hidden_channels,
            vector_channels=max(len(self.vector_fields), 1),
            input_vectors=int(self.chirality is not None),
        )

    def _embed_inputs(self) -> None:
        backbone = self.backbone
        channels = {
            "node": backbone.hidden_channels, "edge": backbone.edge_channels, "graph": backbone.cond_channels
        }  # fmt: skip
        embeddings: dict[str, dict[str, nn.Module]] = {level: {} for level in LEVELS}
        for name, given in self.inputs.items():
            module = None if name in self.fields else given.embedding(channels[given.level])
            if module is not None:
                embeddings[given.level][name] = module
        self.node_inputs, self.edge_inputs, self.graph_inputs = (nn.ModuleDict(embeddings[level]) for level in LEVELS)

    def _embed_fields(self) -> None:
        backbone, hidden = self.backbone, self.backbone.hidden_channels
        self.bias = nn.Parameter(torch.zeros(hidden))
        scalars = self.scalar_fields("node")
        self.scalar_inputs = self._readers("node", hidden)
        self.scalar_heads = nn.ModuleDict(
            {name: zero_head(nn.Linear(hidden, width)) for name, width in scalars.items()}
        )
        self.level_embedding = SinusoidalEmbedding(32)
        self.condition = nn.Sequential(
            nn.Linear(32 * len(self.fields), backbone.cond_channels), nn.SiLU(),
            nn.Linear(backbone.cond_channels, backbone.cond_channels),
        )  # fmt: skip
        self.given = {level: [name for name in self.vectors if self.levels[name] == level] for level in LEVELS}
        if self.vectors:
            # With vectors of the graph, the position of a node is one more.
            num_vectors = len(self.vectors) + bool(self.given["graph"])
            self.vector_inputs = VectorInputs(num_vectors, hidden, len(self.vector_fields))
        if self.chirality is not None:
            self.volumes = nn.Linear(1, hidden, bias=False)
        self.graph_scalars = self._readers("graph", backbone.cond_channels)
        self.edge_scalars = self._readers("edge", backbone.edge_channels)
        # The direction of the edge is one more vector.
        count = len(self.given["edge"]) + 1
        self.edge_vectors = nn.Linear(count * (count + 1) // 2, backbone.edge_channels) if count > 1 else None

    def _readers(self, level: str, channels: int) -> nn.ModuleDict:
        """Build the modules that read the fields of a level that are plain numbers, as angles if they are periodic."""
        kinds = {name: AngleEmbedding if name in self.angles else nn.Linear for name in self.fields}
        return nn.ModuleDict({name: kinds[name](width, channels) for name, width in self.scalar_fields(level).items()})

    def scalar_fields(self, level: str) -> dict[str, int]:
        """Numbers of columns of the fields of a level that are read and written as plain numbers."""
        return {
            name: width
            for name, width in self.fields.items()
            if width is not None and self.levels[name] == level and (self.oriented or name not in self.vector_fields)
        }

    def forward(self, batch: Batch, levels: Tensor) -> dict[str, Tensor]:
        """Compute the raw outputs of the network.

        Args:
            batch: A batch whose fields have unit variance.
            levels: Noise level of each graph and field, shape ``[B, number of fields]``.

        Returns:
            For each field ``[rows, width]``.
        """
        return self.evaluate(self.connect(batch, levels), levels)

    def connect(self, batch: Batch, levels: Tensor, names: Collection[str] | None = None) -> Batch:
        """Add the edges that the neighbor search finds to a batch.

        Args:
            batch: A batch whose fields have unit variance; not changed.
            levels: Noise levels, see :meth:`forward`; their shape is checked.
            names: The edge attributes to extend to the new edges; all that the network reads if ``None``.
        """
        if levels.dim() != 2 or levels.shape[1] != len(self.fields):
            raise ValueError(
                f"Expected noise levels [B, {len(self.fields)}] of the fields {[*self.fields]}, but got shape "
                f"{list(levels.shape)}"
            )
        if self.neighbors is None:
            return batch
        connected, num_nodes = copy.copy(batch), batch.batch.shape[0]
        known = None if batch.edge_index is None else read_edges(batch)
        rows = 0 if known is None else known.shape[1]
        attributes = {name: read(batch, name, rows) for name in (self.edge_inputs if names is None else names)}
        fill = {name: getattr(given, "fill", 0) for name, given in self.inputs.items()}
        pos = read(batch, self.positions or "", num_nodes, self.bias)
        found = self.neighbors(pos, batch.batch, levels.shape[0])
        connected.edge_index, extended = extend_edges(found, known, attributes, fill, num_nodes)
        return connected.update(extended)

    def evaluate(self, batch: Batch, levels: Tensor) -> dict[str, Tensor]:
        """Compute the raw outputs of the network on the edges of a batch from :meth:`connect`."""
        num_graphs, num_nodes = levels.shape[0], batch.batch.shape[0]
        level = self.condition(self.level_embedding(levels).flatten(1))
        cond = F.silu(
            sum(embed(self.graph_inputs, batch, num_graphs) + embed(self.graph_scalars, batch, num_graphs), level)
        )
        h = self.bias.expand(num_nodes, -1)
        h = sum(embed(self.node_inputs, batch, num_nodes) + embed(self.scalar_inputs, batch, num_nodes), h)
        pos = h.new_zeros(num_nodes, 0) if self.positions is None else read(batch, self.positions, num_nodes, self.bias)
        given = self._given(batch, num_nodes, num_graphs)
        target = read_edges(batch)[1] if "edge" in given else None
        near = gather_vectors(given, pos, batch.batch, target, num_graphs) if given else None
        if near is not None:
            h = h + self.vector_inputs(near)
        edge_index, edge_attr = self._edges(batch, pos, given.get("edge"))
        graph = (edge_index, batch.batch, cond, edge_attr)
        if self.chirality is None:
            scalars, vectors = self.backbone(h, pos, *graph)
        else:
            volumes, pushes = handedness(pos, read(batch, self.chirality, 4))
            h = h + self.volumes(volumes[:, None])
            # Backbones with `input_vectors` take the vectors as one more argument.
            scalars, vectors = self.backbone(h, pos, *graph, pushes[:, None])  # pyright: ignore[reportCallIssue]
        if near is not None:
            vectors = vectors[:, : len(self.vector_fields)] + self.vector_inputs.combine(near, scalars)
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
    def reads(self) -> list[str]:
        """Names of the attributes that the network reads in addition to the diffusing fields."""
        named = dict.fromkeys([*self.inputs, self.positions])
        return [name for name in named if name is not None and name not in self.fields]

    def _given(self, batch: Batch, num_nodes: int, num_graphs: int) -> dict[str, Tensor]:
        """Read the input vectors of each level that has some, ``[rows, V, D]``."""
        rows = {"node": num_nodes, "graph": num_graphs}
        if self.given["edge"]:
            rows["edge"] = read_edges(batch).shape[1]
        return {
            level: torch.stack([read(batch, name, rows[level], self.bias) for name in names], dim=1)
            for level, names in self.given.items()
            if names
        }

    def _edges(self, batch: Batch, pos: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Read the edges ``[2, E]``, and sum up their embedded attributes ``[E, edge_channels]``."""
        edge_index = read_edges(batch)
        num_edges = edge_index.shape[1]
        embedded = embed(self.edge_inputs, batch, num_edges) + embed(self.edge_scalars, batch, num_edges)
        if self.edge_vectors is not None and given is not None:
            direction = measure(pos, *edge_index)[1]
            embedded.append(self.edge_vectors(invariants(torch.cat([given, direction[:, None]], dim=1))))
        return edge_index, sum(embedded[1:], embedded[0]) if embedded else None

    def _known(self, batch: Batch) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Read the values of edges for their heads: those without a sign, and the antisymmetric fields."""
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
            fields: Level and number of columns (``None`` if not known) of each field, in the order of the process.

        Raises:
            ValueError: If their names, order, levels or widths differ: noise levels would be assigned to the wrong
                fields.
        """
        check_fields(self, fields)
