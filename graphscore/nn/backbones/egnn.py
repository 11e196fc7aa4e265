r"""The E(n)-equivariant graph network (EGNN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.backbones.base import Graph, SizedBackbone
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.layers.heads import zero_head
from graphscore.nn.layers.messages import GatedMessages
from graphscore.nn.layers.norms import AdaptiveLayerNorm
from graphscore.nn.layers.radial import GaussianBasis


class EGNNLayer(nn.Module):
    r"""One layer of :class:`EGNN`: messages from invariants, then updates of scalars and positions.

    Args:
        hidden_channels: Width F of node scalars and messages.
        edge_channels: Width of edge attributes, 0 for none.
        cond_channels: Width C of the per-graph condition, 0 for none.
        vector_channels: Number V of output vectors per node.
        num_basis: Number of Gaussians that embed a distance.
        cutoff: Center of the last Gaussian.
    """

    def __init__(
        self,
        hidden_channels: int,
        edge_channels: int,
        cond_channels: int,
        vector_channels: int,
        num_basis: int,
        cutoff: float,
    ) -> None:
        super().__init__()
        self.basis = GaussianBasis(num_basis, cutoff)
        self.norm = AdaptiveLayerNorm(hidden_channels, cond_channels)
        self.messages = GatedMessages(hidden_channels, edge_channels + num_basis, vector_channels)
        # Zero, so that positions do not move at the start of training.
        zero_head(self.messages.heads)
        # The first map of the update over the concatenation of a node's scalars and its messages.
        self.own = nn.Linear(hidden_channels, hidden_channels)
        self.received = nn.Linear(hidden_channels, hidden_channels, bias=False)
        self.update = nn.Linear(hidden_channels, hidden_channels)

    def forward(
        self,
        h: Tensor,
        pos: Tensor,
        edges: Edges,
        batch: Tensor | None,
        cond: Tensor | None,
        edge_attr: Tensor | None,
        scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Apply the layer.

        Args:
            h: Node scalars, shape ``[N, F]``.
            pos: Positions, shape ``[N, D]``.
            edges: The edges.
            batch: Graph of each node, shape ``[N]``; ``None`` without conditions.
            cond: Condition of each graph, shape ``[B, C]``; ``None`` without.
            edge_attr: Edge attributes in the order of ``edges``, shape ``[E, edge_channels]``.
            scale: Factor of the sums over the edges into each node, shape ``[N, 1]``.

        Returns:
            New scalars ``[N, F]`` and the vectors ``[N, V, D]``.
        """
        normed = self.norm(h, cond, batch)
        distance, direction = edges.measure(pos)
        features = self.basis(distance)
        if edge_attr is not None:
            features = torch.cat([edge_attr, features], dim=-1)
        received, pulls = self.messages(normed, features, edges)
        h = h + self.update(F.silu(self.own(normed) + self.received(received) * scale.to(received.dtype)))
        # Bounded directions, averaged: displacements do not grow with the number of nodes.
        moves = pulls[:, :, None] * direction[:, None, :]
        return h, ops.segment_sum(moves, edges.target, edges.ptr) * scale[:, :, None]


class EGNN(SizedBackbone):
    r"""E(n)-equivariant graph network for scalars and vectors on nodes.

    Each layer sends messages made of invariants (scalars of both ends, distance, edge attributes), updates the scalars
    and shifts the positions along the edges. Rotations, reflections and permutations of the input do the same to the
    output; translations leave it alone. Works in any dimension D, also D = 0, where it is a plain message-passing
    network.

    Changes to the published network, for stability at any graph size: layer norm modulated by the graph's condition,
    sums divided by the root of the degree, and bounded directions ``(x_i - x_j) / (1 + d_ij)``.

    Args:
        hidden_channels: Width F of node scalars.
        num_layers: Number of layers.
        edge_channels: Width of edge attributes, 0 for none; ``None`` for as many as the network that contains it needs,
            see :class:`~graphscore.nn.backbones.base.SizedBackbone`.
        cond_channels: Width C of the per-graph condition; 0 and ``None`` as above.
        vector_channels: Number V of output vectors per node; ``None`` as above.
        num_basis: Number of Gaussians that embed a distance.
        cutoff: Center of the last Gaussian, in units of the positions; edges beyond still count.

    Raises:
        ValueError: If there is no layer, channel or vector.

    References:
        Satorras, Hoogeboom and Welling (2021), E(n) equivariant graph neural networks, equations 3 to 6.
    """

    symmetry = "E"

    def __init__(
        self,
        hidden_channels: int = 128,
        num_layers: int = 5,
        edge_channels: int | None = None,
        cond_channels: int | None = None,
        vector_channels: int | None = None,
        num_basis: int = 16,
        cutoff: float = 5.0,
    ) -> None:
        super().__init__(hidden_channels, num_layers, edge_channels, cond_channels, vector_channels)
        self.num_basis = num_basis
        self.cutoff = cutoff
        self.gain = nn.Linear(hidden_channels, self.vector_channels)
        nn.init.zeros_(self.gain.weight)
        nn.init.ones_(self.gain.bias)
        widths = [1] * (num_layers - 1) + [self.vector_channels]
        self.layers = nn.ModuleList(
            EGNNLayer(hidden_channels, self.edge_channels, self.cond_channels, width, num_basis, cutoff)
            for width in widths
        )

    def forward(self, h: Tensor, pos: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Apply all layers, see :meth:`~graphscore.nn.backbones.base.CheckedBackbone.__call__`.

        The vectors are the displacement of the positions by all layers but the last, plus the last layer's own vectors,
        each scaled by a function of the node's scalars.
        """
        edges = Edges.from_index(graph.edge_index, h.shape[0])
        edge_attr = None if graph.edge_attr is None else edges.sort(graph.edge_attr)
        scale = edges.degree(h.dtype).clamp(min=1).rsqrt()[:, None]
        current, vectors = pos, pos.new_zeros(pos.shape[0], 1, pos.shape[1])
        for layer in self.layers:
            current = current + vectors[:, 0]
            h, vectors = layer(h, current, edges, graph.batch, graph.cond, edge_attr, scale)
        return h, ((current - pos)[:, None] + vectors) * self.gain(h)[:, :, None]
