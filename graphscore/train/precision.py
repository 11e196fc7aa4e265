"""Names of the precisions of training; importing this module does not load PyTorch."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "tfloat32", "bfloat16"]
"""Precision of matrix products in training: 24, 11 (on CUDA alone) or 8 significant bits."""
