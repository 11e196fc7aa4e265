r"""A transformer that takes coordinates as plain numbers: the baseline without rotational symmetry."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.backbones.base import Graph, SizedBackbone
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.layers.heads import zero_head
from graphscore.nn.layers.norms import AdaptiveLayerNorm
from graphscore.nn.layers.radial import GaussianBasis


class _ZeroLinear(nn.Linear):
    """A linear map that starts at zero; without inputs it is its bias."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class SparseAttention(nn.Module):
    r"""Multi-head attention of each node to itself and to the sources of its edges.

    The softmax runs over a node's own logit and the biased logits of the edges into it. It is computed relative to
    their maximum, so that its sum is at least 1 and weights are finite, also for nodes without edges.

    Args:
        channels: Width F of node scalars.
        num_heads: Number H of heads, a divisor of the width.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.shape = (3, num_heads, channels // num_heads)
        self.project = nn.Linear(channels, 3 * channels)
        self.mix = nn.Linear(channels, channels)

    def forward(self, h: Tensor, edges: Edges, bias: Tensor) -> Tensor:
        """Compute the attention.

        Args:
            h: Node scalars, shape ``[N, F]``.
            edges: The edges.
            bias: Bias of each edge's logits, in the order of ``edges``, shape ``[E, H]``.

        Returns:
            Shape ``[N, F]``.
        """
        query, key, value = self.project(h).unflatten(-1, self.shape).unbind(1)
        query = query * self.shape[2] ** -0.5
        own = (query * key).sum(-1)
        logits = (query.index_select(0, edges.target) * key.index_select(0, edges.source)).sum(-1) + bias
        with torch.no_grad():
            place = edges.target[:, None].expand_as(logits)
            peak = own.scatter_reduce(0, place, logits, "amax")
        weight = (logits - peak.index_select(0, edges.target)).exp()
        own = (own - peak).exp()
        total = own + ops.segment_sum(weight, edges.target, edges.ptr)
        values = weight[:, :, None] * value.index_select(0, edges.source)
        mixed = own[:, :, None] * value + ops.segment_sum(values, edges.target, edges.ptr)
        return self.mix((mixed / total[:, :, None]).flatten(1))


class PlainTransformerBlock(nn.Module):
    r"""Transformer block: attention and a perceptron, each after an adaptive norm and with a gate that starts at zero.

    Args:
        channels: Width F of node scalars.
        num_heads: Number H of heads.
        cond_channels: Width C of the per-graph condition, 0 for none.
    """

    def __init__(self, channels: int, num_heads: int, cond_channels: int) -> None:
        super().__init__()
        self.attention_norm = AdaptiveLayerNorm(channels, cond_channels)
        self.attention = SparseAttention(channels, num_heads)
        self.update_norm = AdaptiveLayerNorm(channels, cond_channels)
        self.update = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(approximate="tanh"), nn.Linear(4 * channels, channels)
        )
        # Blocks start as the identity, so that deep stacks train from the first step.
        self.gates = _ZeroLinear(cond_channels, 2 * channels)

    def forward(self, h: Tensor, edges: Edges, bias: Tensor, cond: Tensor, batch: Tensor) -> Tensor:
        """Apply the block to ``h`` ``[N, F]``; ``bias`` ``[E, H]``, ``cond`` ``[B, C]``, ``batch`` ``[N]``."""
        attention_gate, update_gate = ops.broadcast(self.gates(cond), batch).chunk(2, dim=-1)
        h = h + attention_gate * self.attention(self.attention_norm(h, cond, batch), edges, bias)
        return h + update_gate * self.update(self.update_norm(h, cond, batch))


class PlainTransformer(SizedBackbone):
    r"""Transformer over the edges of ragged graphs that reads and writes coordinates as plain numbers.

    Nodes attend to themselves and along the given edges, mostly those of the complete graph; distances and edge
    attributes bias the attention, by one linear map for each block. Coordinates are taken relative to the graph's
    centroid and enter the node scalars by a linear map; vectors are read from them by another. Translations leave the
    output alone, but rotations are no symmetry: train with
    :class:`~graphscore.train.augmentation.RandomRotation`.

    Args:
        hidden_channels: Width F of node scalars.
        num_layers: Number of blocks.
        edge_channels: Width of edge attributes, 0 for none; ``None`` for as many as the network that contains it needs,
            see :class:`~graphscore.nn.backbones.base.SizedBackbone`.
        cond_channels: Width C of the per-graph condition; 0 and ``None`` as above.
        vector_channels: Number V of output vectors per node; ``None`` as above.
        num_heads: Number of attention heads, a divisor of the width.
        dim: Dimension D of the positions, 0 for none.

    Raises:
        ValueError: If there is no layer, channel, vector or head, or heads do not divide the width.

    References:
        Vaswani et al. (2017), Attention is all you need.
        Ying et al. (2021), Do transformers really perform bad for graph representation? (edges and distances as bias).
        Peebles and Xie (2023), Scalable diffusion models with transformers (adaptive norms, gates that start at zero).
    """

    symmetry = "none"

    def __init__(
        self,
        hidden_channels: int = 128,
        num_layers: int = 6,
        edge_channels: int | None = None,
        cond_channels: int | None = None,
        vector_channels: int | None = None,
        num_heads: int = 8,
        dim: int = 3,
    ) -> None:
        super().__init__(hidden_channels, num_layers, edge_channels, cond_channels, vector_channels, num_heads)
        if dim < 0:
            raise ValueError(f"PlainTransformer: dim must be at least 0, but is {dim}")
        self.dim = dim
        self.basis = GaussianBasis()
        self.position = nn.Linear(dim, hidden_channels, bias=False) if dim else None
        self.bias = nn.Linear(self.edge_channels + self.basis.channels, num_layers * num_heads, bias=False)
        self.layers = nn.ModuleList(
            PlainTransformerBlock(hidden_channels, num_heads, self.cond_channels) for _ in range(num_layers)
        )
        self.norm = AdaptiveLayerNorm(hidden_channels, self.cond_channels)
        # Zero, so that positions do not move at the start of training.
        self.vector = zero_head(_ZeroLinear(hidden_channels, self.vector_channels * dim))

    def extra_repr(self) -> str:  # noqa: D102
        return f"{super().extra_repr()}, dim={self.dim}"

    def forward(self, h: Tensor, pos: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Apply all layers, see :meth:`~graphscore.nn.backbones.base.CheckedBackbone.__call__`."""
        if pos.shape[1] != self.dim:
            raise ValueError(f"PlainTransformer(dim={self.dim}) got positions of {pos.shape[1]} dimensions")
        batch, cond = graph.batch, graph.cond
        if self.position is not None:
            h = h + self.position(ops.center(pos, batch, cond.shape[0]))
        edges = Edges.from_index(graph.edge_index, h.shape[0])
        features = self.basis(edges.measure(pos)[0])
        if graph.edge_attr is not None:
            features = torch.cat([edges.sort(graph.edge_attr), features], dim=-1)
        for layer, bias in zip(self.layers, self.bias(features).chunk(len(self.layers), dim=-1), strict=True):
            h = layer(h, edges, bias, cond, batch)
        h = self.norm(h, cond, batch)
        return h, self.vector(h).unflatten(-1, (self.vector_channels, self.dim))
