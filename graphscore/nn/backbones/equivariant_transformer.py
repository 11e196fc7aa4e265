r"""The equivariant transformer: attention along edges that carries scalars and vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphscore.nn.backbones.base import Graph, SizedBackbone
from graphscore.nn.checks import check_carried
from graphscore.nn.edges.geometry import EdgeGeometry
from graphscore.nn.layers.attention import EquivariantAttention
from graphscore.nn.layers.heads import zero_head
from graphscore.nn.layers.norms import AdaptiveLayerNorm, EquivariantLayerNorm
from graphscore.nn.layers.radial import CosineCutoff, ExpNormalBasis
from graphscore.nn.layers.vectors import GatedEquivariantBlock, VectorLinear

SOFTNESS = 1e-2
"""Below a length of 0.1, normalised vectors shrink with their length: by symmetry vectors vanish, and noise must not
decide where they point."""


class EquivariantTransformerLayer(nn.Module):
    r"""One layer of :class:`EquivariantTransformer`: attention along edges, then an update within each node.

    With what node i receives, scalars :math:`x_i` and vectors :math:`m_i`, with two linear combinations U and V of its
    normalised vectors, and with :math:`\alpha, \beta, \gamma` from a perceptron of its own scalars and the received,

    .. math::
        v_i' = v_i + m_i, \qquad
        h_i \leftarrow h_i + \alpha + \beta \circ \langle U \bar v_i', V \bar v_i' \rangle, \qquad
        v_i \leftarrow v_i' + \gamma \circ U \bar v_i'.

    Args:
        channels: Number F of scalars, and of vectors, per node.
        edge_channels: Width K of edge features.
        cond_channels: Width C of the per-graph condition, 0 for none.
        num_heads: Number of heads.
        carries: Whether nodes have vectors already.
    """

    def __init__(self, channels: int, edge_channels: int, cond_channels: int, num_heads: int, carries: bool) -> None:
        super().__init__()
        self.norm = AdaptiveLayerNorm(channels, cond_channels)
        self.carried_norm = EquivariantLayerNorm(channels, SOFTNESS) if carries else None
        self.attention = EquivariantAttention(channels, edge_channels, num_heads, carries)
        self.update = nn.Sequential(nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 3 * channels))
        self.vector_norm = EquivariantLayerNorm(channels, SOFTNESS)
        self.mix = VectorLinear(channels, 2 * channels)

    def forward(
        self, h: Tensor, vectors: Tensor | None, geometry: EdgeGeometry, batch: Tensor | None, cond: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Apply the layer.

        Args:
            h: Node scalars, shape ``[N, F]``.
            vectors: Node vectors, shape ``[N, D, F]``; ``None`` if there are none.
            geometry: The edges.
            batch: Graph of each node, shape ``[N]``; ``None`` without conditions.
            cond: Condition of each graph, shape ``[B, C]``; ``None`` without.

        Returns:
            New scalars ``[N, F]`` and vectors ``[N, D, F]``.
        """
        check_carried(self, self.carried_norm is not None, vectors)
        normed = self.norm(h, cond, batch)
        if vectors is None or self.carried_norm is None:
            received, vectors = self.attention(normed, None, geometry)
        else:
            received, turned = self.attention(normed, self.carried_norm(vectors), geometry)
            vectors = vectors + turned
        u, v = self.mix(self.vector_norm(vectors)).chunk(2, dim=-1)
        shift, product, gate = self.update(torch.cat([normed, received], dim=-1)).chunk(3, dim=-1)
        return h + shift + product * (u * v).sum(1), vectors + gate[:, None] * u


class EquivariantTransformer(SizedBackbone):
    r"""Equivariant transformer for scalars and vectors on nodes.

    Layers of :class:`EquivariantTransformerLayer`: attention has a SiLU and a cutoff in place of a softmax, and filters
    that see the distance and the edge attributes. Rotations, reflections and permutations of the input do the same to
    the output; translations leave it alone. Works in any dimension D, also D = 0, where it is a network for scalars.

    Messages fade out at the cutoff, so that edges beyond count for nothing, and outputs change smoothly as edges of
    that length come and go. On complete graphs, whose nodes noise spreads far, let all edges count by
    ``cutoff=math.inf``.

    Changes to the published network, for stability at any graph size and noise level: layer norm modulated by the
    graph's condition, and one of the vectors; sums divided by the root of one plus the sum of cutoffs; and bounded
    directions ``(x_i - x_j) / (1 + d_ij)``, which are smooth where nodes meet. For speed, the distance filters of keys
    are one per head, and vectors have two linear combinations instead of three. The update of a node sees its own
    scalars, and nothing embeds the neighborhood before the first layer.

    Args:
        hidden_channels: Width F of node scalars, and number of vectors per node inside.
        num_layers: Number of layers.
        edge_channels: Width of edge attributes, 0 for none; ``None`` for as many as the network that contains it needs,
            see :class:`~graphscore.nn.backbones.base.SizedBackbone`.
        cond_channels: Width C of the per-graph condition; 0 and ``None`` as above.
        vector_channels: Number V of output vectors per node; ``None`` as above.
        num_heads: Number of attention heads, a divisor of the width.
        num_basis: Number of radial functions that embed a distance.
        cutoff: Distance beyond which no messages are sent, in units of the positions; ``None`` or ``math.inf`` for
            none, in which case the radial functions change up to a distance of 5.
        input_vectors: Number of vectors per node that are given at a call, 0 for none; ``None`` as above.

    Raises:
        ValueError: If there is no layer, channel, vector or head, or heads do not divide the width. At a call, if there
            are not as many input vectors as were announced.

    References:
        Thölke and De Fabritiis (2022), TorchMD-NET: equivariant transformers for neural network based molecular
        potentials.
    """

    symmetry = "E"

    def __init__(
        self,
        hidden_channels: int = 128,
        num_layers: int = 6,
        edge_channels: int | None = None,
        cond_channels: int | None = None,
        vector_channels: int | None = None,
        num_heads: int = 8,
        num_basis: int = 32,
        cutoff: float | None = 5.0,
        input_vectors: int | None = None,
    ) -> None:
        cutoff = math.inf if cutoff is None else cutoff
        super().__init__(hidden_channels, num_layers, edge_channels, cond_channels, vector_channels, num_heads)
        self.set_channels(
            edge_channels=edge_channels, cond_channels=cond_channels, vector_channels=vector_channels,
            input_vectors=input_vectors,
        )  # fmt: skip
        self.given = VectorLinear(self.input_vectors, hidden_channels) if self.input_vectors else None
        self.num_basis = num_basis
        self.cutoff = cutoff
        self.envelope = CosineCutoff(cutoff)
        self.basis = ExpNormalBasis(num_basis, 5.0 if cutoff == math.inf else cutoff)
        self.layers = nn.ModuleList(
            EquivariantTransformerLayer(
                hidden_channels,
                num_basis + 1 + self.edge_channels,
                self.cond_channels,
                num_heads,
                carries=number > 0 or self.input_vectors > 0,
            )
            for number in range(num_layers)
        )
        self.norm = AdaptiveLayerNorm(hidden_channels, self.cond_channels)
        self.head = GatedEquivariantBlock(hidden_channels, hidden_channels, self.vector_channels)
        # Zero, so that positions do not move at the start of training.
        zero_head(self.head.gated)

    def forward(self, h: Tensor, pos: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Apply all layers, see :meth:`~graphscore.nn.backbones.base.CheckedBackbone.__call__`."""
        geometry = EdgeGeometry.measure(pos, graph.edge_index, graph.edge_attr, self.basis, self.envelope)
        given = graph.vectors
        vectors = None if self.given is None or given is None else self.given(given.transpose(1, 2))
        for layer in self.layers:
            h, vectors = layer(h, vectors, geometry, graph.batch, graph.cond)
        h, vectors = self.head(self.norm(h, graph.cond, graph.batch), vectors)
        return h, vectors.transpose(1, 2)
