r"""Chiral transformer: an equivariant transformer that distinguishes mirror images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphscore.nn.backbones.base import Graph, SizedBackbone
from graphscore.nn.backbones.equivariant_transformer import SOFTNESS, EquivariantTransformer
from graphscore.nn.edges.geometry import EdgeGeometry
from graphscore.nn.layers.norms import AdaptiveLayerNorm, EquivariantLayerNorm
from graphscore.nn.layers.vectors import VectorLinear


class CrossProductBlock(nn.Module):
    r"""Update scalars by triple products and vectors by cross products of each node's vectors.

    With linear combinations :math:`a, b, c` of the normalised vectors of a node, and a perceptron of its scalars and
    the triple products,

    .. math::
        (s, g) = \mathrm{MLP}([h, \langle a \times b, c \rangle]), \qquad h \leftarrow h + s, \qquad
        v \leftarrow v + g \circ (a \times b).

    Under rotations, both transform as scalars and vectors do. Reflections change the sign of triple products and do not
    reflect cross products as they do vectors, so that the layers after it can distinguish mirror images.

    Args:
        channels: Number F of scalars, and of vectors, per node.
        cond_channels: Width C of the per-graph condition, 0 for none.
    """

    def __init__(self, channels: int, cond_channels: int) -> None:
        super().__init__()
        self.norm = AdaptiveLayerNorm(channels, cond_channels)
        self.vector_norm = EquivariantLayerNorm(channels, SOFTNESS)
        self.mix = VectorLinear(channels, 3 * channels)
        self.update = nn.Sequential(nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 2 * channels))

    def forward(
        self, h: Tensor, vectors: Tensor, geometry: EdgeGeometry, batch: Tensor, cond: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Apply the block, with the arguments of :class:`EquivariantTransformerLayer`, in three dimensions."""
        first, second, third = self.mix(self.vector_norm(vectors)).chunk(3, dim=-1)
        cross = torch.linalg.cross(first, second, dim=1)
        triple = (cross * third).sum(1)
        shift, gate = self.update(torch.cat([self.norm(h, cond, batch), triple], dim=-1)).chunk(2, dim=-1)
        return h + shift, vectors + gate[:, None] * cross


class ChiralTransformer(SizedBackbone):
    r"""Equivariant transformer that distinguishes mirror images, for scalars and vectors on nodes in three dimensions.

    :class:`EquivariantTransformer` with a :class:`CrossProductBlock` after each layer. Rotations and permutations of
    the input do the same to the output, and translations do not change it. Reflections are no symmetry: enantiomers can
    have different energies, and samples the right handedness.

    Args:
        hidden_channels: Width F of node scalars, and number of vectors per node inside.
        num_layers: Number of layers.
        edge_channels: Width of edge attributes, 0 for none; ``None`` for as many as the network that contains it needs,
            see :class:`~graphscore.nn.backbones.base.SizedBackbone`.
        cond_channels: Width C of the per-graph condition; 0 and ``None`` as above.
        vector_channels: Number V of output vectors per node; ``None`` as above.
        num_heads: Number of attention heads, a divisor of the width.
        num_basis: Number of radial functions that embed a distance.
        cutoff: Distance beyond which no messages are sent, as in :class:`EquivariantTransformer`.

    Raises:
        ValueError: If there is no layer, channel, vector or head, or heads do not divide the width. At a call, if
            positions do not have three dimensions.
    """

    symmetry = "SE"

    def __init__(
        self,
        hidden_channels: int = 128,
        num_layers: int = 6,
        edge_channels: int | None = None,
        cond_channels: int | None = None,
        vector_channels: int | None = None,
        num_heads: int = 8,
        num_basis: int = 32,
        cutoff: float = 5.0,
    ) -> None:
        super().__init__(hidden_channels, num_layers, edge_channels, cond_channels, vector_channels, num_heads)
        self.num_basis = num_basis
        self.cutoff = cutoff
        self.transformer = EquivariantTransformer(
            hidden_channels, num_layers, self.edge_channels, self.cond_channels, self.vector_channels, num_heads,
            num_basis, cutoff,
        )  # fmt: skip
        self.transformer.layers = nn.ModuleList(
            block
            for layer in self.transformer.layers
            for block in (layer, CrossProductBlock(hidden_channels, self.cond_channels))
        )

    def forward(self, h: Tensor, pos: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Apply all layers, see :meth:`~graphscore.nn.backbones.base.CheckedBackbone.__call__`."""
        if pos.shape[1] != 3:
            raise ValueError(f"ChiralTransformer: positions must have 3 dimensions, but have {pos.shape[1]}")
        return self.transformer.forward(h, pos, graph)
