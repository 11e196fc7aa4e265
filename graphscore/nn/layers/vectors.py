r"""Layers for vectors ``[N, D, C]``, whose D components come before C channels so that maps are matrix products."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-8
"""Constant added to squared lengths: the length of a zero vector has derivatives."""


class VectorLinear(nn.Linear):
    r"""Linear combinations of vectors: mixes channels equally for all components, without bias.

    Args:
        in_channels: Number of vectors per node.
        out_channels: Number of combinations.

    Shapes:
        - input: ``[N, D, in_channels]``
        - output: ``[N, D, out_channels]``
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, bias=False)


class GatedEquivariantBlock(nn.Module):
    r"""Gated equivariant block: updates scalars from scalars and lengths, and multiplies vectors by gates.

    With linear combinations U and W of vectors,

    .. math::
        (h', g) = \mathrm{MLP}([h, |U v|]), \qquad v' = g \circ W v.

    Args:
        scalar_channels: Width F of node scalars, in and out.
        in_channels: Number of vectors per node that come in.
        out_channels: Number of vectors per node that go out.

    References:
        Weiler et al. (2018), 3D steerable CNNs: learning rotationally equivariant features in volumetric data.
        Schütt, Unke and Gastegger (2021), Equivariant message passing for the prediction of tensorial properties and
        molecular spectra.
    """

    def __init__(self, scalar_channels: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.split = [scalar_channels, out_channels]
        self.measured = VectorLinear(in_channels, scalar_channels)
        self.gated = VectorLinear(in_channels, out_channels)
        self.network = nn.Sequential(
            nn.Linear(2 * scalar_channels, scalar_channels), nn.SiLU(), nn.Linear(scalar_channels, sum(self.split))
        )

    def forward(self, h: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the block.

        Args:
            h: Node scalars, shape ``[N, F]``.
            vectors: Node vectors, shape ``[N, D, in_channels]``.

        Returns:
            Scalars ``[N, F]`` and vectors ``[N, D, out_channels]``.
        """
        lengths = length(self.measured(vectors))
        h, gates = self.network(torch.cat([h, lengths], dim=-1)).split(self.split, dim=-1)
        return h, gates[:, None] * self.gated(vectors)


def length(vectors: Tensor) -> Tensor:
    """Compute the lengths ``[N, C]`` of vectors ``[N, D, C]``, with finite derivatives at zero."""
    return (vectors.square().sum(1) + EPSILON).sqrt()
