"""Multidimensional scaling: positions by distances of all pairs of nodes, or of nodes and pivots."""

from __future__ import annotations

import torch
from torch import Tensor


def scale_classically(distances: Tensor, dim: int) -> Tensor:
    """Place nodes by their distances ``[n, n]``, by classical multidimensional scaling: ``[n, dim]``.

    Nodes with equal distances to all others lie on top of each other.

    References:
        Torgerson (1952), Multidimensional scaling: I. Theory and method.
    """
    values, vectors = torch.linalg.eigh(_centred(distances))
    return _widened(vectors[:, -dim:] * values[-dim:].clamp(min=0).sqrt(), dim)


def scale_by_pivots(table: Tensor, dim: int) -> Tensor:
    """Place nodes by their distances to pivots ``[P, n]``, in the unit of the distances: ``[n, dim]``.

    References:
        Brandes and Pich (2007), Eigensolver methods for progressive multidimensional scaling of large data.
    """
    centred = _centred(table)
    directions = torch.linalg.eigh(centred @ centred.t()).eigenvectors[:, -dim:].flip(1)
    pos = _widened(centred.t() @ directions, dim)
    drawn = torch.cdist(pos.double()[table.argmin(1)], pos.double())
    counted = (table > 0) & (drawn > 0)
    ratio = (drawn / table.double().clamp(min=1e-12))[counted]
    return (pos * (ratio.sum() / ratio.square().sum())).float()


def _centred(distances: Tensor) -> Tensor:
    """Inner products of positions around their centroids, float64."""
    square = distances.double().square()
    return -(square - square.mean(0) - square.mean(1, keepdim=True) + square.mean()) / 2


def _widened(pos: Tensor, dim: int) -> Tensor:
    """Positions with as many columns as the dimension, float32."""
    return torch.cat([pos, pos.new_zeros(len(pos), dim - pos.shape[1])], 1).float()
