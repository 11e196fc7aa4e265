"""Noise processes: linear stochastic differential equations with Gaussian kernels, one family per file."""

from graphscore.sdes.base import SDE
from graphscore.sdes.harmonic import HarmonicSDE
from graphscore.sdes.rectified import RectifiedSDE
from graphscore.sdes.ve import EDMSDE, VESDE, GeometricVESDE
from graphscore.sdes.vp import VPSDE, CosineVPSDE, SubVPSDE

SDES: dict[str, type[SDE]] = {
    "ve": VESDE,
    "geometric-ve": GeometricVESDE,
    "edm": EDMSDE,
    "vp": VPSDE,
    "cosine-vp": CosineVPSDE,
    "sub-vp": SubVPSDE,
    "rectified": RectifiedSDE,
    "harmonic": HarmonicSDE,
}

__all__ = [
    "EDMSDE",
    "SDE",
    "SDES",
    "VESDE",
    "VPSDE",
    "CosineVPSDE",
    "GeometricVESDE",
    "HarmonicSDE",
    "RectifiedSDE",
    "SubVPSDE",
]
