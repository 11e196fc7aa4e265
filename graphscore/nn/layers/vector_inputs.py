"""Vectors on nodes as equivariant inputs of networks that take scalars."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphscore import ops


class VectorInputs(nn.Module):
    r"""Equivariant inputs: add invariants of vectors to node scalars, and multiples of vectors to output vectors.

    With vectors :math:`v_1, \dots, v_V` on a node, its scalars read the norms :math:`|v_a|` and the dot products
    :math:`v_a \cdot v_b`; to output number c is added :math:`\sum_a f_{ca} v_a`, where the factors are linear in the
    output scalars of the network. Both are equivariant. The factors start at zero.

    Args:
        vector_channels: Number V of input vectors.
        hidden_channels: Width F of node scalars.
        num_outputs: Number C of output vectors.
    """

    def __init__(self, vector_channels: int, hidden_channels: int, num_outputs: int) -> None:
        super().__init__()
        self.invariants = nn.Linear(vector_channels * (vector_channels + 1) // 2, hidden_channels)
        self.factors = nn.Parameter(torch.zeros(num_outputs, vector_channels, hidden_channels))

    def forward(self, vectors: Tensor) -> Tensor:
        """Compute the contribution of the vectors to the node scalars.

        Args:
            vectors: Shape ``[N, V, D]``.

        Returns:
            Shape ``[N, F]``.
        """
        return self.invariants(invariants(vectors))

    def combine(self, vectors: Tensor, scalars: Tensor) -> Tensor:
        """Compute the contribution of the vectors to the output vectors.

        Args:
            vectors: Shape ``[N, V, D]``.
            scalars: Shape ``[N, F]``.

        Returns:
            Shape ``[N, C, D]``.
        """
        factors = F.linear(scalars, self.factors.flatten(0, 1)).unflatten(-1, self.factors.shape[:2])
        return factors @ vectors


def invariants(vectors: Tensor) -> Tensor:
    """Compute the norms and dot products of the vectors of each row.

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


def gather_vectors(
    given: Mapping[str, Tensor], pos: Tensor, batch: Tensor, target: Tensor | None, num_graphs: int
) -> Tensor:
    """Gather the input vectors of each node: its own, those of its graph, and normalised sums over the edges into it.

    Args:
        given: The vectors of each level that has some, ``[rows, V, D]``.
        pos: Positions, shape ``[N, D]``.
        batch: Graph of each node, shape ``[N]``.
        target: Target of each edge, shape ``[E]``, if edges have vectors.
        num_graphs: Number of graphs B.

    Returns:
        Shape ``[N, V, D]``. With vectors of the graph, the position relative to the centroid is one more vector.
    """
    vectors = [given["node"]] if "node" in given else []
    if "graph" in given:
        vectors += [ops.broadcast(given["graph"], batch), ops.center(pos, batch, num_graphs)[:, None]]
    if "edge" in given and target is not None:
        degree = ops.count(target, pos.shape[0], pos.dtype).clamp(min=1)
        vectors.append(ops.sum(given["edge"], target, pos.shape[0]) * degree.rsqrt()[:, None, None])
    return torch.cat(vectors, dim=1)
