r"""Single layers of the backbones, as convolutions for graph networks of PyTorch Geometric.

Tensors in, tensors out; edges in any order, both directions listed; graphs of a batch side by side, without a ``batch``
vector, since messages come only along edges. Rotations and reflections of the positions do the same to the
vectors and positions that come out.

    >>> import torch, graphscore.nn as gnn
    >>> from torch_geometric.nn import Sequential
    >>> network = Sequential("h, pos, edge_index", [
    ...     (gnn.EGNNConv(4, 16), "h, pos, edge_index -> h, pos"),
    ...     (gnn.EGNNConv(16, 8), "h, pos, edge_index -> h, pos"),
    ... ])
    >>> h, pos = network(torch.randn(5, 4), torch.randn(5, 3), torch.randint(5, (2, 12)))
    >>> h.shape, pos.shape
    (torch.Size([5, 8]), torch.Size([5, 3]))
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphscore.nn.backbones.egnn import EGNNLayer
from graphscore.nn.backbones.equivariant_transformer import EquivariantTransformerLayer
from graphscore.nn.backbones.painn import PaiNNMessage, PaiNNUpdate, painn_features
from graphscore.nn.checks import Argument, check_tensors
from graphscore.nn.edges.geometry import EdgeGeometry
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.layers.heads import randomize_heads
from graphscore.nn.layers.radial import BesselBasis, CosineCutoff, ExpNormalBasis
from graphscore.nn.layers.vectors import VectorLinear


class _Conv(nn.Module):
    """Widths and edge attributes of a convolution."""

    def __init__(self, in_channels: int, out_channels: int, edge_dim: int) -> None:
        super().__init__()
        name = type(self).__name__
        if min(in_channels, out_channels) < 1 or edge_dim < 0:
            raise ValueError(
                f"{name}: needs in_channels and out_channels >= 1 and edge_dim >= 0, but got {in_channels}, "
                f"{out_channels} and {edge_dim}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.edge_dim = edge_dim
        self.lin = nn.Identity() if in_channels == out_channels else nn.Linear(in_channels, out_channels)

    def _check(self, h: Tensor, pos: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor | None:
        """Edge attributes as a matrix.

        Raises:
            ValueError: If an argument is no tensor, or has an unexpected shape or type.
        """
        name = type(self).__name__
        if not torch.compiler.is_compiling():
            rows = h.shape[0] if isinstance(h, Tensor) and h.dim() else None
            arguments: list[Argument] = [
                ("h", h, (None, self.in_channels), True),
                ("pos", pos, (rows, None), True),
                ("edge_index", edge_index, (2, None), False),
            ]
            check_tensors(name, arguments, next(self.parameters(), h))
        if edge_attr is not None and edge_attr.dim() == 1:
            edge_attr = edge_attr[:, None]
        got = None if edge_attr is None else [*edge_attr.shape]
        if got != ([edge_index.shape[1], self.edge_dim] if self.edge_dim else None):
            wanted = f"have shape [{edge_index.shape[1]}, {self.edge_dim}]" if self.edge_dim else "not be given"
            raise ValueError(f"{name} with edge_dim={self.edge_dim}: edge_attr must {wanted}, but has shape {got}")
        return edge_attr

    def extra_repr(self) -> str:
        """The widths."""
        return f"{self.in_channels}, {self.out_channels}, edge_dim={self.edge_dim}"


class EGNNConv(_Conv):
    r"""Layer of an E(n)-equivariant graph network (EGNN): updates node scalars and positions.

    One layer of :class:`~graphscore.nn.backbones.egnn.EGNN`, with its equations: residual updates, layer norm, and
    bounded directions.

    Args:
        in_channels: Width of node scalars that come in.
        out_channels: Width of those that go out; if it is another, a linear map comes first.
        edge_dim: Width of edge attributes, 0 for none.
        num_basis: Number of Gaussians that embed a distance.
        cutoff: Center of the last Gaussian, in units of the positions; edges beyond still count.
        zero_init: Whether to start with unchanged positions, as backbones do.

    Raises:
        ValueError: If a size is out of range; at a call, if an argument has the wrong shape.

    References:
        Satorras, Hoogeboom and Welling (2021), E(n) equivariant graph neural networks, equations 3 to 6.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_dim: int = 0,
        num_basis: int = 16,
        cutoff: float = 5.0,
        zero_init: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, edge_dim)
        self.layer = EGNNLayer(out_channels, edge_dim, 0, 1, num_basis, cutoff)
        if not zero_init:
            randomize_heads(self.layer)

    def forward(
        self, h: Tensor, pos: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Apply the layer.

        Args:
            h: Node scalars, shape ``[N, in_channels]``.
            pos: Positions, shape ``[N, D]``.
            edge_index: Source and target of each edge, shape ``[2, E]``.
            edge_attr: Edge attributes, shape ``[E, edge_dim]``.

        Returns:
            New scalars ``[N, out_channels]`` and positions ``[N, D]``.
        """
        edge_attr = self._check(h, pos, edge_index, edge_attr)
        edges = Edges.from_index(edge_index, h.shape[0])
        scale = edges.degree(h.dtype).clamp(min=1).rsqrt()[:, None]
        given = None if edge_attr is None else edges.sort(edge_attr)
        h, vectors = self.layer(self.lin(h), pos, edges, None, None, given, scale)
        return h, pos + vectors[:, 0]


class _VectorConv(_Conv):
    """A convolution of scalars and as many vectors on each node."""

    def __init__(self, in_channels: int, out_channels: int, edge_dim: int) -> None:
        super().__init__(in_channels, out_channels, edge_dim)
        self.mix = nn.Identity() if in_channels == out_channels else VectorLinear(in_channels, out_channels)

    def _inputs(self, h: Tensor, pos: Tensor, vectors: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scalars ``[N, out_channels]`` and vectors ``[N, D, out_channels]``, zeros if there are none."""
        if vectors is None:
            return self.lin(h), h.new_zeros(*pos.shape, self.out_channels)
        wanted = [h.shape[0], self.in_channels, pos.shape[1]]
        if [*vectors.shape] != wanted:
            raise ValueError(f"{type(self).__name__}: vectors must have shape {wanted}, but have {[*vectors.shape]}")
        return self.lin(h), self.mix(vectors.transpose(1, 2))


class PaiNNConv(_VectorConv):
    r"""Layer of the polarizable atom interaction network (PaiNN): messages, then an update within each node.

    One layer of :class:`~graphscore.nn.backbones.painn.PaiNN`, with its equations and residual updates. Nodes have as
    many vectors as scalars.

    Args:
        in_channels: Width of node scalars that come in, and number of vectors per node.
        out_channels: The same for those that go out; if it is another, linear maps come first.
        edge_dim: Width of edge attributes, 0 for none.
        num_basis: Number of radial functions that embed a distance.
        cutoff: Distance beyond which no messages are sent, in units of the positions; ``math.inf`` for none.

    Raises:
        ValueError: If a size is out of range; at a call, if an argument has the wrong shape.

    References:
        Schütt, Unke and Gastegger (2021), Equivariant message passing for the prediction of tensorial properties and
        molecular spectra.
    """

    def __init__(
        self, in_channels: int, out_channels: int, edge_dim: int = 0, num_basis: int = 20, cutoff: float = 5.0
    ) -> None:
        super().__init__(in_channels, out_channels, edge_dim)
        self.envelope = CosineCutoff(cutoff)
        self.basis = BesselBasis(num_basis, 5.0 if cutoff == math.inf else cutoff)
        self.basis_factors = nn.Linear(edge_dim, num_basis) if edge_dim else None
        self.message = PaiNNMessage(out_channels, num_basis + edge_dim + 1, 0, carries=True)
        self.update = PaiNNUpdate(out_channels, 0)

    def forward(
        self,
        h: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        vectors: Tensor | None = None,
        edge_attr: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Apply the layer.

        Args:
            h: Node scalars, shape ``[N, in_channels]``.
            pos: Positions, shape ``[N, D]``.
            edge_index: Source and target of each edge, shape ``[2, E]``.
            vectors: Node vectors, shape ``[N, in_channels, D]``; zeros if ``None``.
            edge_attr: Edge attributes, shape ``[E, edge_dim]``.

        Returns:
            New scalars ``[N, out_channels]`` and vectors ``[N, out_channels, D]``.
        """
        edge_attr = self._check(h, pos, edge_index, edge_attr)
        edges = Edges.from_index(edge_index, h.shape[0])
        distance, direction = edges.measure(pos)
        features = painn_features(distance, edges, edge_attr, self.basis, self.envelope, self.basis_factors)
        h, v = self._inputs(h, pos, vectors)
        scalars, moved = self.message(h, v, features, direction, edges, None, None)
        h, v = h + scalars, v + moved
        scalars, moved = self.update(h, v, None, None)
        return h + scalars, (v + moved).transpose(1, 2)


class EquivariantTransformerConv(_VectorConv):
    r"""Layer of the equivariant transformer: attention along edges, then an update within each node.

    One layer of :class:`~graphscore.nn.backbones.equivariant_transformer.EquivariantTransformer`, with its equations
    and residual updates. Nodes have as many vectors as scalars.

    Args:
        in_channels: Width of node scalars that come in, and number of vectors per node.
        out_channels: The same for those that go out; if it is another, linear maps come first.
        edge_dim: Width of edge attributes, 0 for none.
        num_heads: Number of attention heads, a divisor of ``out_channels``.
        num_basis: Number of radial functions that embed a distance.
        cutoff: Distance beyond which no messages are sent, in units of the positions; ``math.inf`` for none.

    Raises:
        ValueError: If a size is out of range, or heads do not divide the width; at a call, if an argument has the wrong
            shape.

    References:
        Thölke and De Fabritiis (2022), TorchMD-NET: equivariant transformers for neural network based molecular
        potentials.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_dim: int = 0,
        num_heads: int = 4,
        num_basis: int = 32,
        cutoff: float = 5.0,
    ) -> None:
        super().__init__(in_channels, out_channels, edge_dim)
        if num_heads < 1 or out_channels % num_heads:
            raise ValueError(
                f"EquivariantTransformerConv: out_channels must be a multiple of num_heads, but is {out_channels} with "
                f"{num_heads} heads"
            )
        self.envelope = CosineCutoff(cutoff)
        self.basis = ExpNormalBasis(num_basis, 5.0 if cutoff == math.inf else cutoff)
        self.layer = EquivariantTransformerLayer(out_channels, num_basis + 1 + edge_dim, 0, num_heads, carries=True)

    def forward(
        self,
        h: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        vectors: Tensor | None = None,
        edge_attr: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Apply the layer, with the arguments and results of :meth:`PaiNNConv.forward`."""
        edge_attr = self._check(h, pos, edge_index, edge_attr)
        geometry = EdgeGeometry.measure(pos, edge_index, edge_attr, self.basis, self.envelope)
        h, moved = self.layer(*self._inputs(h, pos, vectors), geometry, None, None)
        return h, moved.transpose(1, 2)
