"""Embeddings of scalars, such as noise levels."""

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


class AngleEmbedding(nn.Module):
    r"""Linear map of cosines and sines of angles and of their multiples: a periodic function of each.

    Args:
        width: Number of angles.
        channels: Number of outputs.
        harmonics: Number of multiples.

    Shapes:
        - input: ``[rows, width]``, in radians
        - output: ``[rows, channels]``
    """

    def __init__(self, width: int, channels: int, harmonics: int = 4) -> None:
        super().__init__()
        self.orders: Tensor
        self.register_buffer("orders", torch.arange(1.0, harmonics + 1), persistent=False)
        self.linear = nn.Linear(2 * harmonics * width, channels)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        angles = (x[..., None] * self.orders).flatten(-2)
        return self.linear(torch.cat([angles.cos(), angles.sin()], dim=-1))


class GaussianFourierEmbedding(nn.Module):
    r"""Sines and cosines of a scalar at random frequencies, drawn once and kept.

    With :math:`f_k \sim N(0, s^2)`, the outputs are :math:`\sin(2 \pi f_k x)` and then :math:`\cos(2 \pi f_k x)`. The
    frequencies are not trained, but are part of the state dict, since weights are only valid with them.

    Args:
        channels: Number of outputs, even.
        std: Standard deviation s of the frequencies, in periods per unit of input. Larger values resolve smaller
            differences of the input.

    Raises:
        ValueError: If ``channels`` is odd or less than 2, or ``std`` is not positive.

    Shapes:
        - input: ``[*]``
        - output: ``[*, channels]``

    References:
        Tancik et al. (2020), Fourier features let networks learn high frequency functions in low dimensional domains.
        Song et al. (2021), Score-based generative modeling through stochastic differential equations (``std=16``).
    """

    def __init__(self, channels: int, std: float = 16.0) -> None:
        super().__init__()
        if channels < 2 or channels % 2:
            raise ValueError(f"GaussianFourierEmbedding: channels must be even and at least 2, but is {channels}")
        if std <= 0:
            raise ValueError(f"GaussianFourierEmbedding: std must be positive, but is {std}")
        self.frequencies: Tensor
        self.register_buffer("frequencies", std * torch.randn(channels // 2))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        angle = 2 * math.pi * x[..., None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=-1)
