r"""Handedness of stereocentres as an E(3)-equivariant input."""

from __future__ import annotations

import torch
from torch import Tensor


def handedness(pos: Tensor, chiral_index: Tensor) -> tuple[Tensor, Tensor]:
    r"""Compute signed volumes at stereocentres, positive if the handedness is right, and their gradients.

    With the bounded arms :math:`u_a = (x_a - x) / (1 + |x_a - x|)` of a centre x to neighbors a, b, c that should have
    a positive determinant, the centre gets the scalar :math:`\det(u_a, u_b, u_c)`, and each neighbor the gradient of
    this by its arm, such as :math:`u_b \times u_c`; the centre gets minus their sum. All are summed over the triples.

    A reflection changes the sign of the determinant, and so does the order of neighbors that asks for the mirror image.
    If positions and required handedness are both mirrored, the scalars stay and the vectors are mirrored: an
    E(3)-equivariant network that reads them can generate the required stereoisomer, at each centre independently.

    Args:
        pos: Positions in three dimensions, shape ``[N, 3]``.
        chiral_index: Centre and neighbors a, b, c of each triple, shape ``[4, T]``.

    Returns:
        The determinants ``[N]``, zero where a node is no centre, and the vectors ``[N, 3]``.

    Raises:
        ValueError: If there are not three dimensions.
    """
    if pos.shape[1] != 3:
        raise ValueError(f"handedness: positions must have 3 dimensions, but have {pos.shape[1]}")
    center, *ends = chiral_index
    arms = [pos[end] - pos[center] for end in ends]
    # The small constant keeps the derivative finite where nodes meet.
    arms = [arm / (1 + (arm.square().sum(-1, keepdim=True) + 1e-12).sqrt()) for arm in arms]
    pushes = [torch.linalg.cross(arms[k - 2], arms[k - 1]) for k in range(3)]
    volume = (arms[0] * pushes[0]).sum(-1)
    scalars = pos.new_zeros(pos.shape[0]).index_add(0, center, volume)
    vectors = torch.zeros_like(pos)
    for end, push in zip(ends, pushes, strict=True):
        vectors = vectors.index_add(0, end, push).index_add(0, center, -push)
    return scalars, vectors
