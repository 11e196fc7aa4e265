"""Checks of the geometry and the stereo marks of conformers."""

from __future__ import annotations

from graphscore.molecules.check.faults import Fault
from graphscore.molecules.check.geometry import GeometryCheck

__all__ = ["Fault", "GeometryCheck"]
