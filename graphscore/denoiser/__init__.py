r"""Score models: denoisers and adapters, all with the posterior mean ``E[x0 | xt]`` as their output.

Samplers work with any :class:`ScoreModel`. :class:`Denoiser` makes one from a network, and :class:`ScoreAdapter`,
:class:`NoiseAdapter`, :class:`DataAdapter` and :class:`VelocityAdapter` from your own function or module that outputs
the score, the noise, the clean data or the velocity. :class:`PlainScore` is a score without a process.
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
