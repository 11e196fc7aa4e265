r"""A transformer for large point clouds: nodes exchange what they know through a few latent tokens of each graph."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.backbones.base import Graph, SizedBackbone
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.layers.dense import Padding
from graphscore.nn.layers.embeddings import SinusoidalEmbedding
from graphscore.nn.layers.heads import zero_head
from graphscore.nn.layers.norms import AdaptiveLayerNorm
from graphscore.nn.layers.radial import GaussianBasis

MAX_FREQUENCY = 16.0
"""Largest angular frequency of the embedding of coordinates, in radians per unit of the positions."""
NEAR, NEAR_CHANNELS = 2.0, 32
"""Distance up to which those of neighbors are told apart, in units of the positions, and width of their sum."""


class CrossAttention(nn.Module):
    """Multi-head attention of the rows of one dense array to those of another.

    Args:
        channels: Width F.
        num_heads: Number H of heads, a divisor of the width.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(channels, channels)
        self.mix = nn.Linear(channels, channels)

    def forward(self, queries: Tensor, sources: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Compute the attention.

        Args:
            queries: What asks, shape ``[B, Q, F]``.
            sources: Keys and values, one after the other, shape ``[B, S, 2 F]``.
            hidden: Mask of sources that are not there, shape ``[B, S]``; ``None`` if all are.

        Returns:
            Shape ``[B, Q, F]``.
        """
        query, key, value = (
            rows.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for rows in (self.query(queries), *sources.chunk(2, dim=-1))
        )
        logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        if hidden is not None:
            logits = logits.masked_fill(hidden[:, None, None], -math.inf)
        return self.mix((logits.softmax(-1) @ value).transpose(1, 2).flatten(2))


class LatentBlock(nn.Module):
    """Block of :class:`LatentTransformer`: tokens read the nodes and each other, then nodes read the tokens.

    Args:
        channels: Width F of nodes and tokens.
        num_heads: Number of heads, a divisor of the width.
        cond_channels: Width C of the per-graph condition, 0 for none.
        pairwise: Whether nodes read each other, too.
    """

    def __init__(self, channels: int, num_heads: int, cond_channels: int, pairwise: bool = False) -> None:
        super().__init__()
        self.pairwise = pairwise
        self.token_norm = AdaptiveLayerNorm(channels, cond_channels)
        self.node_norm = nn.LayerNorm(channels)
        # Of nodes: keys and values for the tokens, and queries of their own.
        self.tell = nn.Linear(channels, 2 * channels)
        self.tell_tokens = nn.Linear(channels, 2 * channels)
        self.read = CrossAttention(channels, num_heads)
        self.token_update = _perceptron(channels)
        self.told_norm = nn.LayerNorm(channels)
        self.told = nn.Linear(channels, 2 * channels)
        self.write = CrossAttention(channels, num_heads)
        self.node_update = _perceptron(channels)

    def forward(self, h: Tensor, tokens: Tensor, padding: Padding, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the block.

        Args:
            h: Node scalars, shape ``[N, F]``.
            tokens: Tokens of each graph, shape ``[B, M, F]``.
            padding: Places of the nodes in a dense array.
            cond: Condition of each graph, shape ``[B, C]``.

        Returns:
            New scalars and tokens.
        """
        num_graphs, num_tokens, _ = tokens.shape
        owner = torch.arange(num_graphs, device=h.device).repeat_interleave(num_tokens)
        asking = self.token_norm(tokens.flatten(0, 1), cond, owner).view_as(tokens)
        normed = self.node_norm(h)
        # Tokens also see each other, so that those of a graph without nodes have something to read.
        sources = torch.cat([self.tell_tokens(asking), padding.pad(self.tell(normed))], dim=1)
        tokens = tokens + self.read(asking, sources, padding.hidden(num_tokens))
        tokens = tokens + self.token_update(tokens)
        told, hidden = self.told(self.told_norm(tokens)), None
        if self.pairwise:
            told, hidden = torch.cat([told, padding.pad(self.told(normed))], dim=1), padding.hidden(num_tokens)
        h = h + padding.unpad(self.write(padding.pad(normed), told, hidden))
        return h + self.node_update(h), tokens


class LatentTransformer(SizedBackbone):
    r"""Transformer through latent tokens, for point clouds of any size: time and memory grow linearly with the nodes.

    Every graph has a few tokens. In each block, these attend to all nodes of the graph and to each other, and every
    node attends to the tokens: nodes know of each other without edges. Where points are drawn independently from a
    shape, that is all there is to know. Edges, if there are some, enter once: each node starts with a sum over its
    neighbors, filtered by distance, direction and edge attributes, for local detail; let a network find them by
    :class:`~graphscore.nn.edges.search.NearestNeighbors`.

    Coordinates are taken relative to the graph's centroid, and enter as such and as sines and cosines. Translations
    leave the output alone, but rotations are no symmetry: use it for data with a right way up, or train with
    :class:`~graphscore.train.augmentation.RandomRotation`.

    Args:
        hidden_channels: Width F of nodes and tokens.
        num_layers: Number of blocks.
        edge_channels: Width of edge attributes, 0 for none; ``None`` for as many as the network that contains it needs,
            see :class:`~graphscore.nn.backbones.base.SizedBackbone`.
        cond_channels: Width C of the per-graph condition; 0 and ``None`` as above.
        vector_channels: Number V of output vectors per node; ``None`` as above.
        num_heads: Number of attention heads, a divisor of the width.
        num_tokens: Number of latent tokens of each graph.
        dim: Dimension D of the positions.
        pairwise: Whether nodes attend to all nodes of their graph, too: for small graphs, whose points depend on each
            other, at a cost that grows with the square of their size.

    Raises:
        ValueError: If there is no layer, channel, vector, head, token or dimension, or heads do not divide the width.

    References:
        Lee et al. (2019), Set transformer (attention through induced points, linear in the set).
        Jabri, Fleet and Chen (2023), Scalable adaptive computation for iterative generation (tokens read and write).
    """

    symmetry = "none"

    def __init__(
        self,
        hidden_channels: int = 96,
        num_layers: int = 4,
        edge_channels: int | None = None,
        cond_channels: int | None = None,
        vector_channels: int | None = None,
        num_heads: int = 4,
        num_tokens: int = 32,
        dim: int = 3,
        pairwise: bool = False,
    ) -> None:
        super().__init__(hidden_channels, num_layers, edge_channels, cond_channels, vector_channels, num_heads)
        if min(dim, num_tokens) < 1:
            raise ValueError(f"LatentTransformer: dim and num_tokens must be at least 1, but are {dim}, {num_tokens}")
        self.num_tokens = num_tokens
        self.dim = dim
        self.pairwise = pairwise
        self.basis = GaussianBasis(stop=NEAR)
        width = min(hidden_channels, NEAR_CHANNELS)
        self.near = nn.Linear(hidden_channels, width)
        self.filters = nn.Linear(self.basis.channels + dim + self.edge_channels, width)
        self.heard = nn.Linear(width, hidden_channels, bias=False)
        self.waves = SinusoidalEmbedding(12, MAX_FREQUENCY)
        self.position = nn.Linear(13 * dim, hidden_channels, bias=False)
        self.enter = nn.Sequential(
            nn.LayerNorm(hidden_channels), nn.Linear(hidden_channels, hidden_channels), nn.SiLU()
        )
        self.tokens = nn.Parameter(torch.randn(num_tokens, hidden_channels))
        self.layers = nn.ModuleList(
            LatentBlock(hidden_channels, num_heads, self.cond_channels, pairwise) for _ in range(num_layers)
        )
        self.norm = AdaptiveLayerNorm(hidden_channels, self.cond_channels)
        # Zero, so that positions do not move at the start of training.
        self.vector = zero_head(nn.Linear(hidden_channels, self.vector_channels * dim))

    def extra_repr(self) -> str:  # noqa: D102
        return f"{super().extra_repr()}, num_tokens={self.num_tokens}, dim={self.dim}"

    def forward(self, h: Tensor, pos: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Apply all layers, see :meth:`~graphscore.nn.backbones.base.CheckedBackbone.__call__`."""
        if pos.shape[1] != self.dim:
            raise ValueError(f"LatentTransformer(dim={self.dim}) got positions of {pos.shape[1]} dimensions")
        batch, cond = graph.batch, graph.cond
        num_graphs = cond.shape[0]
        centered = ops.center(pos, batch, num_graphs)
        h = h + self.position(torch.cat([centered, self.waves(centered).flatten(1)], dim=1))
        h = h + self.enter(h)
        h = h + self._near(h, pos, graph)
        padding = Padding.of(batch, num_graphs)
        tokens = self.tokens.expand(num_graphs, -1, -1)
        for layer in self.layers:
            h, tokens = layer(h, tokens, padding, cond)
        h = self.norm(h, cond, batch)
        return h, self.vector(h).unflatten(-1, (self.vector_channels, self.dim))

    def _near(self, h: Tensor, pos: Tensor, graph: Graph) -> Tensor:
        """Sum over the neighbors of each node, over the root of their number ``[N, F]``."""
        edges = Edges.from_index(graph.edge_index, h.shape[0])
        distance, direction = edges.measure(pos)
        features = [self.basis(distance), direction]
        if graph.edge_attr is not None:
            features.append(edges.sort(graph.edge_attr))
        sent = self.filters(torch.cat(features, dim=-1)) * self.near(h).index_select(0, edges.source)
        scale = edges.degree(h.dtype).clamp(min=1).rsqrt()[:, None]
        return self.heard(ops.segment_sum(sent, edges.target, edges.ptr) * scale)


def _perceptron(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(channels),
        nn.Linear(channels, 2 * channels),
        nn.SiLU(),
        nn.Linear(2 * channels, channels),
    )
