"""Noise processes: linear stochastic differential equations with Gaussian kernels, and angles, one family per file."""

from graphscore.sdes.base import SDE
from graphscore.sdes.circle import CircleSDE, GeodesicSDE, WrappedSDE, on_circle
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
"""Noise processes by the name that configurations use."""

__all__ = [
    "EDMSDE",
    "SDE",
    "SDES",
    "VESDE",
    "VPSDE",
    "CircleSDE",
    "CosineVPSDE",
    "GeodesicSDE",
    "GeometricVESDE",
    "HarmonicSDE",
    "RectifiedSDE",
    "SubVPSDE",
    "WrappedSDE",
    "on_circle",
]
