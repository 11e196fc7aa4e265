"""The network inside a denoiser: attributes in, a backbone, one head per field."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore.nn.backbone import Backbone
from graphscore.nn.chirality import handedness
from graphscore.nn.embeddings import SinusoidalEmbedding
from graphscore.nn.neighbors import Neighbors
from graphscore.nn.vector_inputs import VectorInputs


class ScoreNetwork(nn.Module):
    r"""Embed a batch and its noise levels, run a backbone, and read each field off it.

    One node field may be the positions: it comes out as equivariant vectors, independent of translation. So do fields
    named in ``vectors``. All other node fields are scalars. Graphs bring their own edges, see
    :class:`graphscore.data.CompleteGraph` for all pairs, or ``neighbors`` finds them.

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
        vectors: Node attributes ``[N, D]``, diffusing or given, that turn with the positions and do not move with them,
            such as velocities and forces. Read are their norms and the dot products of those of one node, nothing of
            how they point in relation to the positions; see
            :class:`~graphscore.nn.vector_inputs.VectorInputs`.
        neighbors: Edges to find at each call from the positions as they are there, which a denoiser has scaled to unit
            variance at every noise level. They join those of the batch.
        chirality: Attribute ``[4, T]`` of triples of neighbors that should turn the same way round their centre, see
            :func:`~graphscore.nn.chirality.handedness`. The backbone needs an input vector for it.

    Raises:
        ValueError: If the backbone has too few channels for what is asked, or some for which there is nothing; or if
            vectors or neighbors are given without positions, or a fill value for something that is no edge input. At a
            call, if the batch lacks an attribute.
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
        self._check()
        hidden = backbone.hidden_channels
        self.bias = nn.Parameter(torch.zeros(hidden))
        scalars = {name: width for name, width in fields.items() if oriented or name not in equivariant}
        self.scalar_inputs = nn.ModuleDict({name: nn.Linear(width, hidden) for name, width in scalars.items()})
        self.scalar_heads = nn.ModuleDict({name: nn.Linear(hidden, width) for name, width in scalars.items()})
        for head in self.scalar_heads.parameters():
            nn.init.zeros_(head)
        self.level_embedding = SinusoidalEmbedding(32)
        self.condition = nn.Sequential(
            nn.Linear(32 * len(fields), backbone.cond_channels), nn.SiLU(),
            nn.Linear(backbone.cond_channels, backbone.cond_channels),
        )  # fmt: skip
        if vectors:
            self.vector_inputs = VectorInputs(len(vectors), hidden, len(self.vector_fields))
        if chirality is not None:
            self.volumes = nn.Linear(1, hidden, bias=False)

    def forward(self, batch: Batch, levels: Tensor) -> dict[str, Tensor]:
        """Compute the raw outputs of the network.

        Args:
            batch: A batch whose fields have unit variance.
            levels: Noise level of each graph and field, shape ``[B, number of fields]``.

        Returns:
            For each field ``[N, width]``.
        """
        level = self.condition(self.level_embedding(levels).flatten(1))
        cond = F.silu(sum(_embed(self.graph_inputs, batch), level))
        h = self.bias.expand(batch.batch.shape[0], -1)
        h = sum(_embed(self.node_inputs, batch) + _embed(self.scalar_inputs, batch), h)
        given = torch.stack([_read(batch, name) for name in self.vectors], dim=1) if self.vectors else None
        if given is not None:
            h = h + self.vector_inputs(given)
        pos = h.new_zeros(h.shape[0], 0) if self.positions is None else _read(batch, self.positions)
        edge_index, edge_attr = self._edges(batch, pos, levels.shape[0])
        if self.chirality is None:
            scalars, vectors = self.backbone(h, pos, edge_index, batch.batch, cond, edge_attr)
        else:
            volumes, pushes = handedness(pos, _read(batch, self.chirality))
            h = h + self.volumes(volumes[:, None])
            # Backbones that say that they have input vectors take them as one more argument.
            graph = (edge_index, batch.batch, cond, edge_attr)
            scalars, vectors = self.backbone(h, pos, *graph, pushes[:, None])  # pyright: ignore[reportCallIssue]
        if given is not None:
            vectors = vectors[:, : len(self.vector_fields)] + self.vector_inputs.combine(given, scalars)
        outputs = {name: head(scalars) for name, head in self.scalar_heads.items()}
        for channel, name in enumerate(self.vector_fields):
            outputs[name] = outputs.get(name, 0) + vectors[:, channel]
        return outputs

    @property
    def inputs(self) -> list[str]:
        """Names of the attributes that it reads beside the diffusing fields, each once."""
        embedded = [*self.node_inputs, *self.edge_inputs, *self.graph_inputs]
        named = [*embedded, *self.vectors, self.positions, self.chirality]
        return [name for name in dict.fromkeys(named) if name is not None and name not in self.fields]

    def _edges(self, batch: Batch, pos: Tensor, num_graphs: int) -> tuple[Tensor, Tensor | None]:
        """All edges ``[2, E]``, and the sum of their embedded attributes ``[E, edge_channels]``."""
        edge_index, attributes = batch.edge_index, {name: _read(batch, name) for name in self.edge_inputs}
        if self.neighbors is not None:
            edge_index, attributes = self.neighbors.extend(edge_index, attributes, pos, batch.batch, num_graphs)
        embedded = _embed(self.edge_inputs, attributes)
        return edge_index, sum(embedded[1:], embedded[0]) if embedded else None

    def _check(self) -> None:
        backbone, edge_inputs = self.backbone, sorted(self.edge_inputs)
        widths = {name: self.fields[name] for name in self.vector_fields}
        unfilled = sorted(set(self.neighbors.fill if self.neighbors else ()) - set(edge_inputs))
        problems = (
            (
                bool(edge_inputs) != bool(backbone.edge_channels),
                f"the backbone has edge_channels={backbone.edge_channels}, but edge_inputs are {edge_inputs}",
            ),
            (not backbone.cond_channels, "the backbone needs cond_channels > 0 to be told the noise level"),
            (
                len(widths) > backbone.vector_channels,
                f"the backbone has vector_channels={backbone.vector_channels}, but the vector fields are {[*widths]}",
            ),
            (len(set(widths.values())) > 1, f"vector fields need the same number of columns, but have {widths}"),
            (self.positions in self.vectors, f"{self.positions!r} are the positions: name other attributes as vectors"),
            (
                self.positions is None and bool(self.vectors or self.neighbors),
                "vectors and neighbors need positions, but positions=None",
            ),
            (
                self.chirality is not None and getattr(backbone, "input_vectors", 0) != 1,
                f"chirality is told by an input vector, but the backbone has {getattr(backbone, 'input_vectors', 0)}: "
                "take one that has them, with input_vectors=1",
            ),
            (
                self.positions is None and self.chirality is not None,
                "chirality needs positions, but positions=None",
            ),
            (bool(unfilled), f"neighbors have fill values for {unfilled}, but edge_inputs are {edge_inputs}"),
        )
        for found, problem in problems:
            if found:
                raise ValueError(f"ScoreNetwork: {problem}")


def _embed(inputs: nn.ModuleDict, values: Batch | Mapping[str, Tensor]) -> list[Tensor]:
    """Embed attributes, each ``[rows, channels]``; a floating attribute ``[rows]`` is one column."""
    embedded = []
    for name, embed in inputs.items():
        value = _read(values, name)
        embedded.append(embed(value[:, None] if value.dim() == 1 and value.is_floating_point() else value))
    return embedded


def _read(values: Batch | Mapping[str, Tensor], name: str) -> Tensor:
    value = values.get(name)
    if value is None:
        raise ValueError(
            f"The batch has no attribute {name!r}, which the network takes; it has {sorted(values.keys())}"
        )
    return value
