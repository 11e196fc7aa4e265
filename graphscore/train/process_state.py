"""What a training changes of the whole process while it runs, and puts back."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_HINTS = (
    "does not have many workers",
    "exists and is not empty",  # and what it says next, that the log would be lost, is not so
    "in eval mode",
    "LeafSpec",
    "not resumable",
)


@contextmanager
def tfloat32(allowed: bool) -> Iterator[None]:
    """Let CUDA compute float32 products from 11 bits; other devices go on as they are."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed or before
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advertisements and hints for other settings while it runs, and nothing else."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for hint in _HINTS:
            warnings.filterwarnings("ignore", message=f".*{hint}.*")
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
