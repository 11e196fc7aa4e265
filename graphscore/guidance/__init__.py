"""Guidance: score models around score models, for conditions, inpainting, energies and restraints."""

from graphscore.guidance.autoguidance import Autoguidance
from graphscore.guidance.base import Guidance, Posterior
from graphscore.guidance.classifier_free import ClassifierFreeGuidance, Condition, drop_conditions
from graphscore.guidance.energy import Energy, EnergyGuidance
from graphscore.guidance.inpainting import Inpainting
from graphscore.guidance.moment_matching import Restraint
from graphscore.guidance.particle import ParticleGuidance, Repulsion
from graphscore.guidance.restraints import DistanceRestraint, HarmonicRestraint
from graphscore.guidance.temperature import LowTemperature

GUIDANCE: dict[str, type[Guidance]] = {
    "classifier-free": ClassifierFreeGuidance,
    "inpainting": Inpainting,
    "energy": EnergyGuidance,
    "harmonic-restraint": HarmonicRestraint,
    "distance-restraint": DistanceRestraint,
    "particle": ParticleGuidance,
    "low-temperature": LowTemperature,
}
"""Guidance by the name that configurations use; :class:`Autoguidance` needs a second model and is for Python alone."""

__all__ = [
    "GUIDANCE",
    "Autoguidance",
    "ClassifierFreeGuidance",
    "Condition",
    "DistanceRestraint",
    "Energy",
    "EnergyGuidance",
    "Guidance",
    "HarmonicRestraint",
    "Inpainting",
    "LowTemperature",
    "ParticleGuidance",
    "Posterior",
    "Repulsion",
    "Restraint",
    "drop_conditions",
]
