"""Noise processes: linear stochastic differential equations with Gaussian kernels, one family per file."""

from graphscore.sdes.base import SDE
from graphscore.sdes.ve import VESDE

SDES: dict[str, type[SDE]] = {"ve": VESDE}

__all__ = ["SDE", "SDES", "VESDE"]
