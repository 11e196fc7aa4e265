"""Samplers of the reverse process and the probability flow, and log-densities."""

from graphscore.samplers.adaptive import AdaptiveSampler
from graphscore.samplers.base import Sampler
from graphscore.samplers.dpm_solver import DPMSolverSampler, StochasticDPMSolverSampler
from graphscore.samplers.flow import EDMHeunSampler, EulerSampler, HeunSampler, KarrasSampler
from graphscore.samplers.interpolation import interpolate
from graphscore.samplers.likelihood import LogDensity, log_density
from graphscore.samplers.predictor_corrector import AnnealedLangevinSampler, PredictorCorrectorSampler
from graphscore.samplers.resampling import ResamplingSampler
from graphscore.samplers.result import SamplerResult, drift
from graphscore.samplers.stochastic import (
    AncestralSampler,
    DDIMSampler,
    EulerMaruyamaSampler,
    ReverseDiffusionSampler,
)

SAMPLERS: dict[str, type[Sampler]] = {
    "euler-maruyama": EulerMaruyamaSampler,
    "reverse-diffusion": ReverseDiffusionSampler,
    "ancestral": AncestralSampler,
    "annealed-langevin": AnnealedLangevinSampler,
    "predictor-corrector": PredictorCorrectorSampler,
    "euler": EulerSampler,
    "ddim": DDIMSampler,
    "heun": HeunSampler,
    "karras": KarrasSampler,
    "edm-heun": EDMHeunSampler,
    "adaptive": AdaptiveSampler,
    "dpm-solver++": DPMSolverSampler,
    "sde-dpm-solver++": StochasticDPMSolverSampler,
    "resampling": ResamplingSampler,
}
"""Samplers by the name that configurations use."""

__all__ = [
    "SAMPLERS",
    "AdaptiveSampler",
    "AncestralSampler",
    "AnnealedLangevinSampler",
    "DDIMSampler",
    "DPMSolverSampler",
    "EDMHeunSampler",
    "EulerMaruyamaSampler",
    "EulerSampler",
    "HeunSampler",
    "KarrasSampler",
    "LogDensity",
    "PredictorCorrectorSampler",
    "ResamplingSampler",
    "ReverseDiffusionSampler",
    "Sampler",
    "SamplerResult",
    "StochasticDPMSolverSampler",
    "drift",
    "interpolate",
    "log_density",
]
