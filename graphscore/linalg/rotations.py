"""Random rotations of the graphs of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from graphscore import ops
from graphscore.rng import Generator


def random_rotations(
    num_graphs: int,
    dim: int,
    *,
    reflections: bool = False,
    device: torch.device | None = None,
    generator: Generator = None,
) -> Tensor:
    r"""Draw random rotation matrices from the Haar measure, the uniform distribution of orientations.

    Args:
        num_graphs: Number B of matrices.
        dim: Dimension D.
        reflections: Whether to draw from O(D), where half of the matrices are reflections, rather than from SO(D).
        device: Device of the result.
        generator: Source of randomness; with a :class:`~graphscore.rng.GraphGenerator`, the matrix of a graph does not
            depend on the rest of the batch.

    Returns:
        Shape ``[B, D, D]``, float64.

    References:
        Mezzadri (2007), How to generate random matrices from the classical compact groups, "A correct and
        efficient algorithm".
    """
    graphs = torch.arange(num_graphs, device=device)
    normal = ops.randn(graphs, num_graphs, dim * dim, dtype=torch.float64, generator=generator)
    q, r = torch.linalg.qr(normal.view(num_graphs, dim, dim))
    # The decomposition is unique, and q uniform, only when the diagonal of r is positive.
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]
    if reflections:
        return q
    return torch.cat([q[..., :1] * torch.linalg.det(q).sign()[:, None, None], q[..., 1:]], dim=-1)
