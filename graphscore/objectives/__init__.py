"""Training objectives: denoising, explicit, implicit and sliced score matching, and flow matching."""

from graphscore.denoiser.reduction import Reduce
from graphscore.objectives.base import Objective
from graphscore.objectives.denoising import denoising_score_matching
from graphscore.objectives.explicit import explicit_score_matching
from graphscore.objectives.flow import flow_matching
from graphscore.objectives.implicit import implicit_score_matching, score_divergence
from graphscore.objectives.sliced import finite_difference_sliced_score_matching, sliced_score_matching
from graphscore.objectives.weights import WEIGHTS, Weight, min_snr_weight

OBJECTIVES: dict[str, Objective] = {
    "denoising": Objective(denoising_score_matching),
    "explicit": Objective(explicit_score_matching, takes_samples=True),
    "implicit": Objective(implicit_score_matching, takes_samples=True),
    "sliced": Objective(sliced_score_matching, takes_samples=True),
    "sliced-vr": Objective(sliced_score_matching, {"variance_reduction": True}, takes_samples=True),
    "finite-difference": Objective(finite_difference_sliced_score_matching, takes_samples=True),
    "flow-matching": Objective(flow_matching),
    "data": Objective(flow_matching, {"target": "data"}),
}
"""Objectives by the name that configurations use."""

__all__ = [
    "OBJECTIVES",
    "WEIGHTS",
    "Objective",
    "Reduce",
    "Weight",
    "denoising_score_matching",
    "explicit_score_matching",
    "finite_difference_sliced_score_matching",
    "flow_matching",
    "implicit_score_matching",
    "min_snr_weight",
    "score_divergence",
    "sliced_score_matching",
]
