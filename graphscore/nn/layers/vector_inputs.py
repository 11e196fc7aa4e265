"""Vectors on nodes as inputs of networks that take scalars."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class VectorInputs(nn.Module):
    r"""Read vectors into a network that takes scalars, and give multiples of them back.

    With vectors :math:`v_1, \dots, v_V` on a node, its scalars are told the norms :math:`|v_a|` and the dot products
    :math:`v_a \cdot v_b`; to output number c is added :math:`\sum_a f_{ca} v_a`, where the factors are linear in the
    scalars that come out of the network. Both are equivariant. The factors start at zero.

    Args:
        vector_channels: Number V of vectors that go in.
        hidden_channels: Width F of node scalars.
        num_outputs: Number C of vectors that come out.
    """

    def __init__(self, vector_channels: int, hidden_channels: int, num_outputs: int) -> None:
        super().__init__()
        self.invariants = nn.Linear(vector_channels * (vector_channels + 1) // 2, hidden_channels)
        self.factors = nn.Parameter(torch.zeros(num_outputs, vector_channels, hidden_channels))

    def forward(self, vectors: Tensor) -> Tensor:
        """Compute what scalars are told of the vectors.

        Args:
            vectors: Shape ``[N, V, D]``.

        Returns:
            Shape ``[N, F]``.
        """
        return self.invariants(invariants(vectors))

    def combine(self, vectors: Tensor, scalars: Tensor) -> Tensor:
        """Compute what is added to the vectors that come out.

        Args:
            vectors: Shape ``[N, V, D]``.
            scalars: Shape ``[N, F]``.

        Returns:
            Shape ``[N, C, D]``.
        """
        factors = F.linear(scalars, self.factors.flatten(0, 1)).unflatten(-1, self.factors.shape[:2])
        return factors @ vectors


def invariants(vectors: Tensor) -> Tensor:
    """Norms and dot products of the vectors of a row.

    Args:
        vectors: Shape ``[N, V, D]``.

    Returns:
        Shape ``[N, V (V + 1) / 2]``.
    """
    columns = vectors.unbind(1)
    # The small constant keeps the gradient of the root finite where a vector vanishes.
    norms = [(column.square().sum(-1) + 1e-12).sqrt() for column in columns]
    dots = [(one * other).sum(-1) for one, other in itertools.combinations(columns, 2)]
    return torch.stack(norms + dots, dim=-1)
