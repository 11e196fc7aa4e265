"""Objectives: one loss per graph and field."""

from graphscore.objectives.denoising import WEIGHTS, Weight, denoising_score_matching
from graphscore.objectives.explicit import explicit_score_matching
from graphscore.objectives.implicit import implicit_score_matching, score_divergence
from graphscore.objectives.reduction import Reduce

__all__ = [
    "WEIGHTS",
    "Reduce",
    "Weight",
    "denoising_score_matching",
    "explicit_score_matching",
    "implicit_score_matching",
    "score_divergence",
]
