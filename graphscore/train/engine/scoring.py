"""Scoring of samples between two steps of the training."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import distributed

from graphscore.train.process_state import no_tfloat32
from graphscore.train.sample_score import SampleScore


@torch.no_grad()
def score_samples(score: SampleScore, trainer: pl.Trainer, pl_module: Any) -> dict[str, float]:
    """Draw samples with the averaged weights on all ranks, and measure them on the first.

    The state of PyTorch's generators is restored: a sampler may use them, but the training must not depend on it.

    Returns:
        The score by its column.
    """
    devices = [pl_module.device] if pl_module.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), no_tfloat32():
        torch.manual_seed(pl_module.options.seed)
        drawn = score.draw(pl_module.averaged[0], trainer.global_rank, trainer.world_size)
    shares: list[Any] = [drawn]
    if trainer.world_size > 1:
        shares = [None] * trainer.world_size
        distributed.all_gather_object(shares, drawn)
    value = trainer.strategy.broadcast(score.measure(shares) if trainer.is_global_zero else 0.0)
    pl_module.speed.pause()
    return {score.column: value}
