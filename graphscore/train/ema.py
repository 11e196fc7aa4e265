"""Exponential moving average of weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class EMA(nn.Module):
    r"""Exponential moving average of a module's parameters, kept in a copy of the module.

    Args:
        module: The module that is trained; buffers are copied at each update.
        decay: Share of the average that an update keeps, in [0, 1).
        warmup: Whether the decay warms up, ``min(decay, (1 + n) / (10 + n))`` after n updates, so that the average
            forgets the initial weights.

    Raises:
        ValueError: If ``decay`` is outside [0, 1).
    """

    def __init__(self, module: nn.Module, decay: float = 0.999, warmup: bool = True) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay must lie in [0, 1), but is {decay}")
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay, self.warmup = decay, warmup

    @torch.no_grad()
    def update(self, module: nn.Module, num_updates: int) -> None:
        """Move the average towards the module.

        Args:
            module: The module that is trained.
            num_updates: Number of updates before this one; a host number, so that nothing waits for the device.
        """
        decay = min(self.decay, (1 + num_updates) / (10 + num_updates)) if self.warmup else self.decay
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - decay)
        for average, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            average.copy_(buffer)
