r"""Handedness of stereocentres as an input that turns and mirrors with the positions."""

from __future__ import annotations

import torch
from torch import Tensor


def handedness(pos: Tensor, chiral_index: Tensor) -> tuple[Tensor, Tensor]:
    r"""Measure whether centres turn the way they should, and which way would make them.

    With the bounded arms :math:`u_a = (x_a - x) / (1 + |x_a - x|)` of a centre x to neighbors a, b, c that should have
    a positive determinant, the centre reads :math:`\det(u_a, u_b, u_c)`, and each neighbor gets the gradient of this
    by its arm, such as :math:`u_b \times u_c`; the centre gets what balances them. All are summed over the triples.

    Which way round a triple is written is a sign that a mirror changes, as it changes the determinant. So mirror the
    positions, ask for the mirror image, and the scalars stay while the vectors are mirrored: an E(3)-equivariant
    network that reads them makes the right stereoisomer, of every centre by itself.

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
