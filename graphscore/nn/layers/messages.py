r"""Gated message passing along edges.

With ``T, S, W, U`` linear maps without activation, the message from node j to node i and what i receives are

.. math::
    m_{ij} = \mathrm{silu}(U\,\mathrm{silu}(T h_i + S h_j + W e_{ij})), \qquad
    r_i = \sum_j \mathrm{sigmoid}(g \cdot m_{ij} + b)\, m_{ij}.

The first map over the concatenation of ``h_i``, ``h_j`` and ``e_ij`` is a sum of maps, so the two large ones run once
per node instead of once per edge.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.checks import check_width
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.kernels.blockwise import in_blocks
from graphscore.nn.kernels.messages import send_in_blocks


class GatedMessages(nn.Module):
    r"""Gated message passing: computes messages of all edges, and sums them up at their targets.

    On a CPU, values and first derivatives are computed block by block of edges, so that of all temporaries only the
    activations that derivatives need are written to memory. In all other cases (few edges, other devices, a compiler,
    second derivatives, forward mode) the same formula is computed in plain PyTorch.

    Args:
        channels: Width F of node scalars and messages.
        edge_channels: Width C of edge features.
        num_heads: Number V of scalars to read off each message.
    """

    def __init__(self, channels: int, edge_channels: int, num_heads: int = 1) -> None:
        super().__init__()
        self.ends = nn.Linear(channels, 2 * channels)
        self.edge = nn.Linear(edge_channels, channels, bias=False)
        # No bias: the output of an activation has a nonzero mean, which serves as one.
        self.message = nn.Linear(channels, channels, bias=False)
        self.gate = nn.Linear(channels, 1)
        self.heads = nn.Linear(channels, num_heads, bias=False)

    def forward(self, h: Tensor, features: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """Compute the messages and their sums.

        Args:
            h: Node scalars, shape ``[N, F]``.
            features: Features of each edge, in the order of ``edges``, shape ``[E, C]``.
            edges: The edges.

        Returns:
            The gated sum ``r`` [N, F], and the heads of each message, linear in it, ``[E, V]``.
        """
        check_width(self, "features", features, self.edge.in_features)
        ends = self.ends(h)
        inputs = (
            ends, features.to(ends.dtype), self.edge.weight, self.message.weight,
            torch.cat([self.gate.weight, self.heads.weight]), self.gate.bias,
        )  # fmt: skip
        if in_blocks(h, edges):
            return send_in_blocks(_messages, edges, *inputs)
        return _messages(edges, *inputs)


def _messages(
    edges: Edges, ends: Tensor, features: Tensor, edge: Tensor, message: Tensor, heads: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the formula in plain PyTorch, for all devices; ``ends`` [N, 2 F] holds ``T h`` and ``S h``."""
    target, source = ends.chunk(2, dim=1)
    pair = target.index_select(0, edges.target) + source.index_select(0, edges.source)
    m = F.silu(F.linear(F.silu(pair + F.linear(features, edge)), message))
    scalars = F.linear(m, heads)
    gate = (scalars[:, :1] + bias).sigmoid()
    return ops.segment_sum(gate * m, edges.target, edges.ptr), scalars[:, 1:]
