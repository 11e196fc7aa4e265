"""Rectified flow: the straight path between data and noise."""

from __future__ import annotations

import torch
from torch import Tensor

from graphscore.sdes.base import FAINTEST, SDE


class RectifiedSDE(SDE):
    r"""Process with the marginals of flow matching and rectified flow, ``xt = (1 - t) x0 + t eps``.

    ``dx = -x / (1 - t) dt + sqrt(2 t / (1 - t)) dw``. At time 1, ``alpha = 0``: pure noise.

    References:
        Liu, Gong and Liu (2023), Flow straight and fast: learning to generate and transfer data with rectified flow.
        Lipman et al. (2023), Flow matching for generative modeling, section 4.1, with time reversed.
    """

    max_time = 0.999

    def alpha(self, t: Tensor) -> Tensor:  # noqa: D102 (documented on SDE)
        return (1 - t.double()).clamp(min=FAINTEST)

    def std(self, t: Tensor) -> Tensor:  # noqa: D102
        return t.double()

    def time(self, level: Tensor) -> Tensor:  # noqa: D102
        return level.double() / (1 + level.double())

    def alpha_rate(self, t: Tensor) -> Tensor:  # noqa: D102
        return torch.full_like(t, -1, dtype=torch.float64)

    def std_rate(self, t: Tensor) -> Tensor:  # noqa: D102
        return torch.ones_like(t, dtype=torch.float64)

    def diffusion(self, t: Tensor) -> Tensor:  # noqa: D102
        return (2 * t.double() / self.alpha(t)).sqrt()
