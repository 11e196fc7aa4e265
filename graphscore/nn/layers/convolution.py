r"""Continuous-filter convolution of scalars and vectors along edges, as in PaiNN.

Filters of an edge are linear in its features :math:`e_{ij}`. With what the source j sends, scalars :math:`a_j` and
:math:`b_j` and vectors :math:`v_j`, and the direction :math:`u_{ij}` of the edge, node i receives

.. math::
    s_i = \sum_j (W^a e_{ij}) \circ a_j, \qquad
    w_i = \sum_j (W^b e_{ij}) \circ b_j \, u_{ij} + (W^v e_{ij}) \circ v_j.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.checks import check_carried, check_width
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.kernels.blockwise import in_blocks
from graphscore.nn.kernels.convolution import convolve_in_blocks


class EquivariantConvolution(nn.Module):
    r"""Equivariant continuous-filter convolution: sums filtered scalars and vectors along edges.

    On a CPU, values and first derivatives are computed block by block of edges, and no tensor with channels of each
    edge is written to memory; derivatives compute the filters once more. In all other cases (few edges, other devices,
    a compiler, second derivatives, forward mode) the same formula is computed in plain PyTorch.

    Args:
        channels: Number F of scalars, and of vectors, that a node receives.
        edge_channels: Width K of edge features.
        carries: Whether nodes have vectors to send. Without, they still receive directions of edges.
    """

    def __init__(self, channels: int, edge_channels: int, carries: bool = True) -> None:
        super().__init__()
        self.carries = carries
        # One after another, each [F, K]: of scalars, of directions, and of vectors.
        self.filters = nn.Linear(edge_channels, (3 if carries else 2) * channels, bias=False)

    def forward(
        self, scalars: Tensor, vectors: Tensor | None, features: Tensor, direction: Tensor, edges: Edges
    ) -> tuple[Tensor, Tensor]:
        """Compute the convolution.

        Args:
            scalars: Values sent as scalars, then factors of directions, shape ``[N, 2 F]``.
            vectors: The vectors that they send, shape ``[N, D, F]``, or ``None``.
            features: Features of each edge, in the order of ``edges``, shape ``[E, K]``.
            direction: A vector along each edge, shape ``[E, D]``.
            edges: The edges.

        Returns:
            Sums at each node: scalars ``[N, F]`` and vectors ``[N, D, F]``.
        """
        check_carried(self, self.carries, vectors)
        check_width(self, "features", features, self.filters.in_features)
        scalar, push = scalars.chunk(2, dim=1)
        carried = scalar[:, None] if vectors is None else torch.cat([scalar[:, None], vectors], dim=1)
        inputs = (carried, push, features, direction, self.filters.weight)
        if in_blocks(carried, edges) and direction.shape[1] > 0:
            received = convolve_in_blocks(_convolve, edges, *inputs)
        else:
            received = _convolve(edges, *inputs)
        return received[:, 0], received[:, 1:]


def _convolve(
    edges: Edges, carried: Tensor, push: Tensor, features: Tensor, direction: Tensor, weight: Tensor
) -> Tensor:
    """Compute the formula in plain PyTorch, for all devices and derivatives.

    Scalars are component 0 and vectors the others, of ``carried`` ``[N, 1 or 1 + D, F]`` and of the result.
    """
    filters = F.linear(features, weight).unflatten(1, (-1, push.shape[1]))
    sent = carried.index_select(0, edges.source)
    vectors = direction[:, :, None] * (filters[:, 1] * push.index_select(0, edges.source))[:, None]
    if filters.shape[1] == 3:
        vectors = torch.addcmul(vectors, filters[:, 2:], sent[:, 1:])
    parts = (filters[:, :1] * sent[:, :1], vectors)
    return torch.cat([ops.segment_sum(part, edges.target, edges.ptr) for part in parts], dim=1)
