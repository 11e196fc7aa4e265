r"""Rigid superposition of all graphs of a batch by the Kabsch algorithm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphscore import ops
from graphscore.runtime.precision import double


def kabsch(x: Tensor, y: Tensor, index: Tensor, num_graphs: int, weights: Tensor | None = None) -> Tensor:
    r"""Compute the best rotation of each graph of x onto that of y: ``R = argmin sum_i w_i || R x_i - y_i ||^2``.

    Rows are taken relative to the weighted centroid of their graph. Where they determine no single best rotation (fewer
    than D rows, all rows on a line, a mirror image with equal extents), one of the best is returned, and the gradient
    is zero in the directions that are not determined: it is finite everywhere. Computed in float64. Differentiable
    once.

    Args:
        x: Rows to rotate, shape ``[N, D]``, for any width D.
        y: Rows to rotate them onto, shape ``[N, D]``.
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.
        weights: Weight of each row, not negative, shape ``[N]``; all equal by default.

    Returns:
        Proper rotations, of determinant +1, shape ``[B, D, D]``, in the type of ``x``.

    Raises:
        ValueError: If the shapes do not fit.

    References:
        Kabsch (1976), A solution for the best rotation to relate two sets of vectors.
        Umeyama (1991), Least-squares estimation of transformation parameters between two point patterns, lemma (for the
        sign that excludes reflections).
    """
    return _superpose(x, y, index, num_graphs, weights)[0].to(x)


def align(x: Tensor, y: Tensor, index: Tensor, num_graphs: int, weights: Tensor | None = None) -> Tensor:
    """Superpose each graph of x on that of y by the rotation of :func:`kabsch` and the shift of the centroids.

    Args:
        x: Rows to superpose, shape ``[N, D]``.
        y: Rows to superpose them on, shape ``[N, D]``.
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.
        weights: Weight of each row, not negative, shape ``[N]``; all equal by default.

    Returns:
        Superposed rows, shape ``[N, D]``, in the type of ``x``.

    Raises:
        ValueError: If the shapes do not fit.
    """
    rotation, centered, centroid = _superpose(x, y, index, num_graphs, weights)
    index = index.to(rotation.device)
    turned = torch.einsum("nij,nj->ni", ops.broadcast(rotation, index), centered)
    return (turned + ops.broadcast(centroid, index)).to(x)


def _superpose(
    x: Tensor, y: Tensor, index: Tensor, num_graphs: int, weights: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Best rotations ``[B, D, D]``, the rows of x relative to their centroids, and the centroids of y; in float64."""
    rows = index.shape[0]
    if x.dim() != 2 or x.shape != y.shape or x.shape[0] != rows or x.shape[1] == 0:
        raise ValueError(f"Both sets of rows must have shape [{rows}, D], but have {list(x.shape)} and {list(y.shape)}")
    if weights is not None and weights.shape != index.shape:
        raise ValueError(f"There must be one weight per row, shape [{rows}], but they have shape {list(weights.shape)}")
    precision, (x, y) = torch.finfo(x.dtype).eps, (double(values) for values in (x, y))
    index = index.to(x.device)
    w = torch.ones(rows, 1, dtype=torch.float64, device=x.device) if weights is None else double(weights)[:, None]
    total = ops.sum(w, index, num_graphs)
    total = torch.where(total > 0, total, 1.0)
    here, there = (ops.sum(w * values, index, num_graphs) / total for values in (x, y))
    x_centered, y_centered = x - ops.broadcast(here, index), y - ops.broadcast(there, index)
    covariance = ops.sum((w * y_centered)[:, :, None] * x_centered[:, None, :], index, num_graphs)
    return _Procrustes.apply(covariance, precision), x_centered, there


class _Procrustes(torch.autograd.Function):
    r"""Proper rotations R that maximise ``trace(R^T H)`` for matrices ``H = U S V^T``: ``R = U D V^T``.

    D is the identity apart from the sign of its last entry, which makes ``det R = 1``. With ``a = D S``,
    ``A = R^T H = V a V^T`` stays symmetric, so that ``dR = R Omega`` obeys ``A Omega + Omega A = R^T dH - dH^T R``. In
    the basis V the solution divides by ``a_i + a_j``; differences of singular values, by which derivatives of the
    decomposition itself divide, never occur.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, precision: float) -> Tensor:
        left, stretch, right = torch.linalg.svd(covariance)
        proper = torch.ones_like(stretch)
        proper[:, -1] = torch.where(torch.linalg.det(left @ right) < 0, -1.0, 1.0)
        rotation = (left * proper[:, None, :]) @ right
        ctx.save_for_backward(rotation, right, proper * stretch)
        ctx.precision = precision
        return rotation

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rotation, right, stretch = ctx.saved_tensors
        inside = right @ rotation.mT @ gradient @ right.mT
        sums = stretch[:, :, None] + stretch[:, None, :]
        determined = sums > ctx.precision * stretch.shape[1] * stretch[:, :1, None]
        solution = torch.where(determined, (inside - inside.mT) / torch.where(determined, sums, 1.0), 0.0)
        return rotation @ right.mT @ solution @ right, None
