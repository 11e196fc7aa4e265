r"""Equivariant attention along edges, for scalars and vectors.

With the query :math:`q_i` of the target, the key :math:`k_j`, three values :math:`a_j, b_j, d_j` and the vectors
:math:`v_j` of the source, and with the direction :math:`u_{ij}` and the envelope :math:`c_{ij}` of the edge, node i
receives

.. math::
    x_i = \sum_j c_{ij}\, \mathrm{silu}(\varphi_{ij}\, q_i \cdot k_j)\, f^a_{ij} \circ a_j, \qquad
    m_i = \sum_j c_{ij} \big(f^b_{ij} \circ b_j \, u_{ij} + f^d_{ij} \circ d_j \circ v_j\big).

The inner product and its factor :math:`\varphi_{ij}`, linear in the features :math:`e_{ij}` of the edge, are those of
each head by itself. Filters are :math:`f_{ij} = \mathrm{silu}(W e_{ij})`, one for each value.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.checks import check_carried, check_width
from graphscore.nn.edges.geometry import EdgeGeometry
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.kernels.attention import attend_in_blocks
from graphscore.nn.kernels.blockwise import in_blocks
from graphscore.nn.kernels.complete import attend_in_graphs


class EquivariantAttention(nn.Module):
    r"""Equivariant attention without softmax: sums scalars and vectors along edges.

    On a CPU, values and first derivatives are computed block by block of edges, and no tensor with a row of channels
    for each edge is written to memory; derivatives compute the filters once more. Values without derivatives on
    complete graphs are computed by small dense products. In all other cases (few edges, other devices, a compiler,
    second derivatives, forward mode) the same formula is computed in plain PyTorch.

    Args:
        channels: Number F of scalars, and of vectors, per node.
        edge_channels: Width K of edge features.
        num_heads: Number H of heads, a divisor of F.
        carries: Whether nodes have vectors to send. Without, they still receive directions of edges.
    """

    def __init__(self, channels: int, edge_channels: int, num_heads: int, carries: bool = True) -> None:
        super().__init__()
        kinds = 3 if carries else 2
        self.carries = carries
        self.query = nn.Linear(channels, channels)
        # One after another, each of F channels: keys, and values for scalars, directions and vectors.
        self.source = nn.Linear(channels, (1 + kinds) * channels)
        self.factors = nn.Linear(edge_channels, num_heads, bias=False)
        self.filters = nn.Linear(edge_channels, kinds * channels, bias=False)

    def forward(self, h: Tensor, vectors: Tensor | None, geometry: EdgeGeometry) -> tuple[Tensor, Tensor]:
        """Compute the attention.

        Args:
            h: Node scalars, shape ``[N, F]``.
            vectors: Node vectors, shape ``[N, D, F]``, or ``None``.
            geometry: The edges.

        Returns:
            Sums at each node: scalars ``[N, F]`` and vectors ``[N, D, F]``.
        """
        check_carried(self, self.carries, vectors)
        features = geometry.features
        check_width(self, "features", features, self.filters.in_features)
        query, source = self.query(h), self.source(h)
        blocks = in_blocks(query, geometry.edges)
        if blocks and not torch.is_grad_enabled() and geometry.dense:
            return attend_in_graphs(geometry, query, source, vectors, self.filters.weight, self.factors.weight)
        inputs = (
            query, source, vectors, features, self.filters.weight, self.factors(features), geometry.envelope,
            geometry.direction,
        )  # fmt: skip
        if blocks:
            return attend_in_blocks(_attend, geometry, *inputs)
        return _attend(geometry.edges, *inputs)


def _attend(
    edges: Edges, query: Tensor, source: Tensor, vectors: Tensor | None, features: Tensor, weight: Tensor,
    factors: Tensor, envelope: Tensor, direction: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Compute the formula in plain PyTorch, for all devices and derivatives."""
    width, heads = query.shape[1], (factors.shape[1], -1)
    key, values = source.index_select(0, edges.source).tensor_split([width], dim=1)
    value, push, *carry = (values * F.silu(F.linear(features, weight))).split(width, dim=1)
    products = (query.index_select(0, edges.target) * key).unflatten(1, heads).sum(-1)
    attention = F.silu(products * factors) * envelope[:, None]
    scalars = value.unflatten(1, heads) * attention[:, :, None]
    moved = push[:, None] * direction[:, :, None]
    if vectors is not None:
        carried = (carry[0] * envelope[:, None])[:, None]
        moved = torch.addcmul(moved, carried, vectors.index_select(0, edges.source))
    received, turned = (ops.segment_sum(values, edges.target, edges.ptr) for values in (scalars.flatten(1), moved))
    return received, turned
