"""Samplers: from the prior to data, one method per file."""

from graphscore.samplers.base import Sampler
from graphscore.samplers.euler_maruyama import EulerMaruyamaSampler
from graphscore.samplers.heun import HeunSampler
from graphscore.samplers.predictor_corrector import PredictorCorrectorSampler

SAMPLERS: dict[str, type[Sampler]] = {
    "euler-maruyama": EulerMaruyamaSampler,
    "predictor-corrector": PredictorCorrectorSampler,
    "heun": HeunSampler,
}

__all__ = ["SAMPLERS", "EulerMaruyamaSampler", "HeunSampler", "PredictorCorrectorSampler", "Sampler"]
