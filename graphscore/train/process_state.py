"""Process-wide settings that hold during training and are restored afterwards."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_HINTS = (
    "does not have many workers",
    "exists and is not empty",  # it goes on to say that the log will be lost, which is wrong here
    "in eval mode",
    "LeafSpec",
    "not resumable",
    "across ranks is zero",
)


@contextmanager
def tfloat32(allowed: bool) -> Iterator[None]:
    """Let CUDA compute float32 products in TF32 (11 significant bits) inside the ``with`` block."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed or before
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def no_tfloat32() -> Iterator[None]:
    """Let CUDA compute float32 products in full inside the ``with`` block, in a run that rounds them to TF32, too."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's hints and notices inside the ``with`` block; its other warnings still show."""
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
