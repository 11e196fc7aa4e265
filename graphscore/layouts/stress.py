"""Stress majorisation: node positions whose distances are close to given ones, many graphs at once."""

from __future__ import annotations

import torch
from torch import Tensor


def majorise(pos: Tensor, distances: Tensor, steps: int, held: Tensor | None = None, relaxation: float = 1.5) -> Tensor:
    r"""Move nodes to lessen the stress, by steps of majorisation.

    .. math::
        \sum_{i < j} \frac{(\lVert x_i - x_j \rVert - d_{ij})^2}{d_{ij}^2}

    Each step minimises a quadratic bound of the stress, exactly; it then goes on in the same direction by
    ``relaxation`` times the step, which converges sooner and, below 2, never ends at a higher stress.

    Args:
        pos: Start ``[B, n, D]``, or ``[B, K, n, D]`` for K drawings of each graph.
        distances: Wanted distances ``[B, n, n]``: infinite for places without a node, and for pairs that shall not
            count.
        steps: Number of steps.
        held: Nodes that stay where they are, bool ``[B, n]``.
        relaxation: Length of a step, 1 for the minimum of the bound.

    Returns:
        Positions in the shape of the start. Without held nodes, the centroid stays.

    References:
        Gansner, Koren and North (2005), Graph drawing by stress majorization.
        De Leeuw and Heiser (1980), Multidimensional scaling with restrictions on the configuration, section 3 (relaxed
        steps).
    """
    counted = distances.isfinite() & (distances > 0)
    weight = torch.where(counted, distances, 1.0).square().reciprocal() * counted
    pull = (torch.where(counted, distances, 0.0) * weight)[:, None]
    inverse, total = _inverse(weight, held), weight.sum(-1)[:, None, :, None]
    x, weight = pos.view(len(pos), -1, *pos.shape[-2:]), weight[:, None]
    for _ in range(steps):
        ratio = closeness(x.flatten(0, 1)).view(*x.shape[:-1], -1).mul_(pull)
        force = (ratio.sum(-1, keepdim=True) - total) * x - ratio.sub_(weight) @ x
        # One product for all drawings of a graph.
        move = (inverse @ force.transpose(1, 2).flatten(2)).view(len(x), x.shape[2], *x.shape[1::2])
        x = x + relaxation * move.transpose(1, 2)
    moved = x.reshape(pos.shape)
    if held is None:
        return moved
    return torch.where(held.view(len(pos), *[1] * (pos.dim() - 3), -1, 1), pos, moved)


def closeness(pos: Tensor) -> Tensor:
    """Inverse distances of all pairs of positions ``[B, n, D]``, ``[B, n, n]``; large numbers where nodes coincide."""
    square = torch.zeros((), dtype=pos.dtype, device=pos.device)
    for column in pos.unbind(-1):  # differences, not products: nodes may be close
        square = square + (column[:, :, None] - column[:, None, :]).square_()
    return square.clamp_(min=1e-12).rsqrt_()


def _inverse(weight: Tensor, held: Tensor | None) -> Tensor:
    """Inverse of the weighted Laplacian on the nodes that move, zero in rows and columns of the others."""
    still = weight.sum(-1) == 0 if held is None else held | (weight.sum(-1) == 0)
    moves = (~still).to(weight)
    laplacian = torch.diag_embed(weight.sum(-1)) - weight
    both = moves[:, :, None] * moves[:, None, :]
    laplacian = laplacian * both + torch.diag_embed(1 - moves)
    if held is None:  # translations have no stress: they are made stiff, and no force acts on them
        laplacian = laplacian + both / moves.sum(-1).clamp(min=1)[:, None, None]
    else:
        free = ~held.any(-1)
        laplacian = laplacian + both * (free / moves.sum(-1).clamp(min=1))[:, None, None]
    # One by one: in a batch, the result depends on the place of a matrix in memory, by rounding.
    return torch.stack([torch.linalg.inv(one) for one in laplacian]) * both if len(laplacian) else laplacian
