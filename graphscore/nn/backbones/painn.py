r"""The polarizable atom interaction network (PaiNN), with scalars and vectors on nodes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.backbones.base import Graph, SizedBackbone
from graphscore.nn.checks import check_carried
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.layers.convolution import EquivariantConvolution
from graphscore.nn.layers.heads import zero_head
from graphscore.nn.layers.norms import AdaptiveLayerNorm, EquivariantLayerNorm
from graphscore.nn.layers.radial import BesselBasis, CosineCutoff
from graphscore.nn.layers.vectors import GatedEquivariantBlock, VectorLinear, length


class PaiNNMessage(nn.Module):
    r"""Message block of :class:`PaiNN`: sums scalars and vectors from neighbors.

    Args:
        channels: Width F of node scalars, and number of vectors per node.
        edge_channels: Width K of edge features.
        cond_channels: Width C of the per-graph condition, 0 for none.
        carries: Whether nodes have vectors already.
    """

    def __init__(self, channels: int, edge_channels: int, cond_channels: int, carries: bool) -> None:
        super().__init__()
        self.norm = AdaptiveLayerNorm(channels, cond_channels)
        self.vector_norm = EquivariantLayerNorm(channels) if carries else None
        self.network = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, (3 if carries else 2) * channels)
        )
        self.convolution = EquivariantConvolution(channels, edge_channels, carries)

    def forward(
        self,
        h: Tensor,
        vectors: Tensor | None,
        features: Tensor,
        direction: Tensor,
        edges: Edges,
        batch: Tensor | None,
        cond: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Compute the messages and sum them up at their targets.

        Args:
            h: Node scalars, shape ``[N, F]``.
            vectors: Node vectors, shape ``[N, D, F]``, or ``None``.
            features: Features of each edge, in the order of ``edges``, shape ``[E, K]``.
            direction: A vector along each edge, shape ``[E, D]``.
            edges: The edges.
            batch: Graph of each node, shape ``[N]``; ``None`` without conditions.
            cond: Condition of each graph, shape ``[B, C]``; ``None`` without.

        Returns:
            Sums over neighbors: scalars ``[N, F]`` and vectors ``[N, D, F]``.
        """
        check_carried(self, self.vector_norm is not None, vectors)
        sent = self.network(self.norm(h, cond, batch))
        if vectors is None or self.vector_norm is None:
            return self.convolution(sent, None, features, direction, edges)
        scalars, gates = sent.tensor_split([2 * h.shape[1]], dim=1)
        return self.convolution(scalars, gates[:, None] * self.vector_norm(vectors), features, direction, edges)


class PaiNNUpdate(nn.Module):
    r"""Update block of :class:`PaiNN`: mixes the scalars and vectors of each node.

    With linear combinations U and V of the vectors and with ``a``, ``b``, ``c`` by a perceptron of the scalars and the
    lengths :math:`|V v|`,

    .. math::
        \Delta h = a + b \circ \langle U v, V v \rangle, \qquad \Delta v = c \circ U v.

    Args:
        channels: Width F of node scalars, and number of vectors per node.
        cond_channels: Width C of the per-graph condition, 0 for none.
    """

    def __init__(self, channels: int, cond_channels: int) -> None:
        super().__init__()
        self.norm = AdaptiveLayerNorm(channels, cond_channels)
        self.vector_norm = EquivariantLayerNorm(channels)
        self.mix = VectorLinear(channels, 2 * channels)
        self.network = nn.Sequential(nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 3 * channels))

    def forward(self, h: Tensor, vectors: Tensor, batch: Tensor | None, cond: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute the updates.

        Args:
            h: Node scalars, shape ``[N, F]``.
            vectors: Node vectors, shape ``[N, D, F]``.
            batch: Graph of each node, shape ``[N]``; ``None`` without conditions.
            cond: Condition of each graph, shape ``[B, C]``; ``None`` without.

        Returns:
            The changes of ``h`` and ``vectors``.
        """
        u, v = self.mix(self.vector_norm(vectors)).chunk(2, dim=-1)
        a, b, c = self.network(torch.cat([self.norm(h, cond, batch), length(v)], dim=1)).chunk(3, dim=1)
        return a + b * (u * v).sum(1), c[:, None] * u


class PaiNN(SizedBackbone):
    r"""PaiNN: equivariant messages and updates of scalars and vectors on nodes.

    Nodes have as many vectors as scalars. Messages multiply what a neighbor sends by filters of the distance, and add
    directions to the vectors; updates let scalars and vectors of a node inform each other. Rotations, reflections and
    permutations of the input do the same to the output; translations leave it alone. Works in any dimension D, also
    D = 0, where it is a network for scalars.

    Changes to the published network, for stability at any graph size and noise level: layer norm, modulated by the
    graph's condition, and one of the vectors before messages and updates; sums divided by the root of one plus the sum
    of cutoffs; and bounded directions ``(x_i - x_j) / (1 + d_ij)``, which are smooth where nodes meet. Edge attributes
    enter the filters, as they are and as factors of the functions of the distance.

    Messages fade out at the cutoff, so that edges beyond count for nothing, and outputs change smoothly as edges of
    that length come and go. On complete graphs, whose nodes noise spreads far, let all edges count by
    ``cutoff=math.inf``.

    Args:
        hidden_channels: Width F of node scalars, and number of vectors per node.
        num_layers: Number of layers.
        edge_channels: Width of edge attributes, 0 for none; ``None`` for as many as the network that contains it needs,
            see :class:`~graphscore.nn.backbones.base.SizedBackbone`.
        cond_channels: Width C of the per-graph condition; 0 and ``None`` as above.
        vector_channels: Number V of output vectors per node; ``None`` as above.
        num_basis: Number of radial functions that embed a distance.
        cutoff: Distance beyond which no messages are sent, in units of the positions; ``math.inf`` for none, in which
            case the radial functions have their zeros at 5.

    Raises:
        ValueError: If there is no layer, channel or vector.

    References:
        Schütt, Unke and Gastegger (2021), Equivariant message passing for the prediction of tensorial properties and
        molecular spectra.
    """

    symmetry = "E"

    def __init__(
        self,
        hidden_channels: int = 128,
        num_layers: int = 3,
        edge_channels: int | None = None,
        cond_channels: int | None = None,
        vector_channels: int | None = None,
        num_basis: int = 20,
        cutoff: float = 5.0,
    ) -> None:
        super().__init__(hidden_channels, num_layers, edge_channels, cond_channels, vector_channels)
        self.num_basis = num_basis
        self.cutoff = cutoff
        self.envelope = CosineCutoff(cutoff)
        self.basis = BesselBasis(num_basis, 5.0 if cutoff == math.inf else cutoff)
        self.basis_factors = nn.Linear(self.edge_channels, num_basis) if self.edge_channels else None
        width = num_basis + self.edge_channels + 1
        self.messages = nn.ModuleList(
            PaiNNMessage(hidden_channels, width, self.cond_channels, carries=layer > 0) for layer in range(num_layers)
        )
        self.updates = nn.ModuleList(PaiNNUpdate(hidden_channels, self.cond_channels) for _ in range(num_layers))
        self.norm = AdaptiveLayerNorm(hidden_channels, self.cond_channels)
        self.readout = GatedEquivariantBlock(hidden_channels, hidden_channels, self.vector_channels)
        # Zero, so that positions do not move at the start of training.
        zero_head(self.readout.gated)

    def forward(self, h: Tensor, pos: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Apply all layers, see :meth:`~graphscore.nn.backbones.base.CheckedBackbone.__call__`."""
        edges, vectors = Edges.from_index(graph.edge_index, h.shape[0]), None
        batch, cond = graph.batch, graph.cond
        distance, direction = edges.measure(pos)
        features = painn_features(distance, edges, graph.edge_attr, self.basis, self.envelope, self.basis_factors)
        for message, update in zip(self.messages, self.updates, strict=True):
            scalars, moved = message(h, vectors, features, direction, edges, batch, cond)
            h, vectors = h + scalars, moved if vectors is None else vectors + moved
            scalars, moved = update(h, vectors, batch, cond)
            h, vectors = h + scalars, vectors + moved
        h, vectors = self.readout(self.norm(h, cond, batch), vectors)
        return h, vectors.transpose(1, 2)


def painn_features(
    distance: Tensor,
    edges: Edges,
    edge_attr: Tensor | None,
    basis: nn.Module,
    envelope: nn.Module,
    factors: nn.Module | None,
) -> Tensor:
    """Compute the edge features of :class:`PaiNN`: invariants scaled by the envelope, which filters are linear in.

    Args:
        distance: Length of each edge, shape ``[E, 1]``.
        edges: The edges.
        edge_attr: Edge attributes in the order of ``edge_index``, shape ``[E, *]``.
        basis: Maps distances to features.
        envelope: Maps distances to factors from 1 to 0.
        factors: Maps edge attributes to factors of the basis.

    Returns:
        The basis, a constant in place of a bias, and the attributes, times the envelope over the root of one plus the
        sum of envelopes into the same node, shape ``[E, K]``.
    """
    features, parts, weight = basis(distance), [torch.ones_like(distance)], envelope(distance)
    if edge_attr is not None and factors is not None:
        parts.append(edges.sort(edge_attr))
        features = features * (1 + factors(parts[-1]))
    # A smooth count of the neighbors within the cutoff.
    degree = ops.segment_sum(weight, edges.target, edges.ptr)
    return torch.cat([features, *parts], dim=-1) * weight * (1 + degree).rsqrt().index_select(0, edges.target)
