"""The network inside a denoiser: attributes in, a backbone, one head per field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore.nn.embeddings import SinusoidalEmbedding


class Backbone(Protocol):
    """What a backbone is: tensors in, scalars and vectors out."""

    hidden_channels: int
    edge_channels: int
    cond_channels: int

    def __call__(
        self,
        h: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        batch: Tensor,
        cond: Tensor,
        edge_attr: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Map scalars ``h`` [N, F] and positions [N, D] to scalars [N, F] and vectors [N, V, D].

        ``edge_index`` [2, E], ``batch`` [N] (graph of each node), ``cond`` [B, C] and ``edge_attr`` [E, edge_channels]
        as in :class:`~graphscore.nn.EGNN`.
        """
        ...


class ScoreNetwork(nn.Module):
    r"""Embed a batch and its noise levels, run a backbone, and read each field off it.

    One node field may be the positions: it comes out as equivariant vectors, independent of translation. All other node
    fields are scalars. Graphs bring their own edges; see :class:`graphscore.data.CompleteGraph` for all pairs.

    Args:
        backbone: The backbone; its channel numbers are read from it.
        fields: Diffusing fields by name with their number of columns, in the order of the process.
        positions: Attribute of the positions ``[N, D]``, diffusing or given; ``None`` for graphs without.
        node_inputs: For each further node attribute a module that maps it to ``[N, F]``: ``nn.Embedding`` for integers,
            ``nn.Linear`` for ``[N, *]`` features.
        edge_inputs: The same for edge attributes, to ``[E, edge_channels]``.
        oriented: Whether to read and write the positions as plain numbers too. That gives up equivariance under
            rotation and reflection, for data with a right way up, such as handwriting.

    Raises:
        ValueError: If edge inputs are given but the backbone has no edge channels, or the reverse.
    """

    def __init__(
        self,
        backbone: Backbone,
        fields: Mapping[str, int],
        positions: str | None = "pos",
        node_inputs: Mapping[str, nn.Module] | None = None,
        edge_inputs: Mapping[str, nn.Module] | None = None,
        oriented: bool = False,
    ) -> None:
        super().__init__()
        if bool(edge_inputs) != bool(backbone.edge_channels):
            raise ValueError(
                f"ScoreNetwork: the backbone has edge_channels={backbone.edge_channels}, "
                f"but edge_inputs are {sorted(edge_inputs or {})}"
            )
        if not backbone.cond_channels:
            raise ValueError("ScoreNetwork: the backbone needs cond_channels > 0 to be told the noise level")
        hidden = backbone.hidden_channels
        self.backbone = backbone
        self.fields = dict(fields)
        self.positions = positions
        self.node_inputs = nn.ModuleDict(node_inputs or {})
        self.edge_inputs = nn.ModuleDict(edge_inputs or {})
        self.bias = nn.Parameter(torch.zeros(hidden))
        scalars = {name: width for name, width in fields.items() if oriented or name != positions}
        self.scalar_inputs = nn.ModuleDict({name: nn.Linear(width, hidden) for name, width in scalars.items()})
        self.scalar_heads = nn.ModuleDict({name: nn.Linear(hidden, width) for name, width in scalars.items()})
        for head in self.scalar_heads.parameters():
            nn.init.zeros_(head)
        self.level_embedding = SinusoidalEmbedding(32)
        self.condition = nn.Sequential(
            nn.Linear(32 * len(fields), backbone.cond_channels), nn.SiLU(),
            nn.Linear(backbone.cond_channels, backbone.cond_channels), nn.SiLU(),
        )  # fmt: skip

    def forward(self, batch: Batch, levels: Tensor) -> dict[str, Tensor]:
        """Compute the raw outputs of the network.

        Args:
            batch: A batch whose fields have unit variance.
            levels: Noise level of each graph and field, shape ``[B, number of fields]``.

        Returns:
            For each field ``[N, width]``.
        """
        cond = self.condition(self.level_embedding(levels).flatten(1))
        h = self.bias.expand(batch.batch.shape[0], -1)
        for name, embed in (*self.node_inputs.items(), *self.scalar_inputs.items()):
            h = h + embed(batch[name])
        edge_attr = None
        for name, embed in self.edge_inputs.items():
            embedded = embed(batch[name])
            edge_attr = embedded if edge_attr is None else edge_attr + embedded
        pos = h.new_zeros(h.shape[0], 0) if self.positions is None else batch[self.positions]
        scalars, vectors = self.backbone(h, pos, batch.edge_index, batch.batch, cond, edge_attr)
        outputs = {name: head(scalars) for name, head in self.scalar_heads.items()}
        if self.positions in self.fields:
            outputs[self.positions] = outputs.get(self.positions, 0) + vectors[:, 0]
        return outputs
