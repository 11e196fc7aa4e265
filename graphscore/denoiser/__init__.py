r"""Denoisers: the one canonical output ``E[x0 | xt]``, from which everything else follows.

Samplers speak to any :class:`ScoreModel`; :class:`Denoiser` makes one from a network, and :class:`ScoreAdapter`,
:class:`NoiseAdapter`, :class:`DataAdapter` and :class:`VelocityAdapter` from a function or module of one's own that
outputs one of the four usual quantities. :class:`PlainScore` is a score without a process.
"""

from graphscore.denoiser.adapters import ADAPTERS, DataAdapter, NoiseAdapter, ScoreAdapter, VelocityAdapter
from graphscore.denoiser.base import PlainScore, Score, ScoreModel, velocity_coefficients
from graphscore.denoiser.outputs import BatchFunction
from graphscore.denoiser.preconditioned import Denoiser

__all__ = [
    "ADAPTERS",
    "BatchFunction",
    "DataAdapter",
    "Denoiser",
    "NoiseAdapter",
    "PlainScore",
    "Score",
    "ScoreAdapter",
    "ScoreModel",
    "VelocityAdapter",
    "velocity_coefficients",
]
