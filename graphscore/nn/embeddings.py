"""Embeddings of scalars: noise levels and distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SinusoidalEmbedding(nn.Module):
    r"""Sines and cosines of a scalar at geometrically spaced frequencies.

    Args:
        channels: Number of outputs, even.
        max_frequency: Largest angular frequency, in radians per unit of input; the smallest is 1.

    Shapes:
        - input: ``[*]``
        - output: ``[*, channels]``

    References:
        Vaswani et al. (2017), Attention is all you need, section 3.5.
    """

    def __init__(self, channels: int, max_frequency: float = 100.0) -> None:
        super().__init__()
        if channels < 2 or channels % 2:
            raise ValueError(f"SinusoidalEmbedding: channels must be even and at least 2, but is {channels}")
        frequencies = torch.logspace(0, math.log10(max_frequency), channels // 2)
        self.frequencies: Tensor
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        angle = x[..., None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class GaussianBasis(nn.Module):
    r"""Gaussians of a distance, centered evenly between 0 and ``stop``.

    Args:
        channels: Number of Gaussians, at least 2.
        stop: Center of the last one.

    Shapes:
        - input: ``[E, 1]``
        - output: ``[E, channels]``

    References:
        Schütt et al. (2017), SchNet: a continuous-filter convolutional neural network for modeling quantum
        interactions.
    """

    def __init__(self, channels: int = 16, stop: float = 5.0) -> None:
        super().__init__()
        if channels < 2 or stop <= 0:
            raise ValueError(f"GaussianBasis: needs channels >= 2 and stop > 0, but got {channels} and {stop}")
        self.centers: Tensor
        self.register_buffer("centers", torch.linspace(0, stop, channels), persistent=False)
        self.inverse_width = (channels - 1) / stop

    def forward(self, distance: Tensor) -> Tensor:  # noqa: D102
        return torch.exp(-0.5 * ((distance - self.centers) * self.inverse_width) ** 2)
