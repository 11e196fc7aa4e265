"""What a backbone is, and what those of this library share."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

from torch import Tensor

from graphscore.nn.checks import CheckedBackbone


class Backbone(Protocol):
    """What a backbone is: tensors in, scalars and vectors out; any module with these attributes serves."""

    hidden_channels: int
    edge_channels: int
    cond_channels: int
    vector_channels: int

    def __call__(
        self,
        h: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        batch: Tensor,
        cond: Tensor,
        edge_attr: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Map scalars and positions of nodes to scalars and vectors.

        Args:
            h: Node scalars, shape ``[N, F]``.
            pos: Positions, shape ``[N, D]``.
            edge_index: Source and target of each edge, both directions listed, shape ``[2, E]``.
            batch: Graph of each node, shape ``[N]``.
            cond: Condition of each graph, shape ``[B, C]`` (``[B, 0]`` for none).
            edge_attr: Edge attributes, shape ``[E, edge_channels]``.

        Returns:
            Scalars ``[N, F]`` and vectors ``[N, V, D]``.
        """
        ...


class SizedBackbone(CheckedBackbone):
    """The sizes that all backbones here have, checked.

    Each argument of a backbone's constructor is an attribute of the same name: its class and these describe it.

    Args:
        hidden_channels: Width F of node scalars.
        num_layers: Number of layers.
        edge_channels: Width of edge attributes, 0 for none.
        cond_channels: Width C of the per-graph condition, 0 for none.
        vector_channels: Number V of output vectors per node.
        num_heads: Number of attention heads, a divisor of the width; 1 for networks without.

    Raises:
        ValueError: If a size is out of range, or heads do not divide the width.
    """

    symmetry: ClassVar[Literal["E", "SE", "none"]]
    """What the vectors follow beside translations: rotations and reflections, rotations alone, or nothing."""

    def __init__(
        self,
        hidden_channels: int,
        num_layers: int,
        edge_channels: int,
        cond_channels: int,
        vector_channels: int,
        num_heads: int = 1,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if min(hidden_channels, num_layers, vector_channels, num_heads) < 1:
            raise ValueError(
                f"{name}: hidden_channels, num_layers, vector_channels and num_heads must be at least 1, but are "
                f"{hidden_channels}, {num_layers}, {vector_channels}, {num_heads}"
            )
        if min(edge_channels, cond_channels) < 0:
            raise ValueError(
                f"{name}: edge_channels and cond_channels must be at least 0, but are {edge_channels}, {cond_channels}"
            )
        if hidden_channels % num_heads:
            raise ValueError(
                f"{name}: hidden_channels must be a multiple of num_heads, but is {hidden_channels} with "
                f"{num_heads} heads"
            )
        self.hidden_channels = hidden_channels
        self.num_layers = num_layers
        self.edge_channels = edge_channels
        self.cond_channels = cond_channels
        self.vector_channels = vector_channels
        self.num_heads = num_heads

    def extra_repr(self) -> str:
        """The sizes that tell networks apart."""
        return f"{self.hidden_channels}, num_layers={self.num_layers}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"
