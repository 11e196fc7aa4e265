r"""Torsions of molecules: rotatable bonds, their angles as a field that diffuses, and scores of them by torques.

=============  ==========================================================================================
``bonds``      rotatable bonds and the atoms that they move, as attributes of a graph
``geometry``   dihedral angles, turns about bonds, torques, for whole batches
``model``      a score model of torsions around any network that gives a vector for each atom
``turned``     a sampler of positions whose bonds a sampler of torsions turns
=============  ==========================================================================================

A graph with torsions has, beside the attributes of :mod:`graphscore.molecules.graph`,

==================  ====================  ====================================================================
``torsion_index``   ``[4, T]`` int64      atoms a-b-c-d of the torsion about each rotatable bond b-c
``moved_index``     ``[M]`` int64         atoms that a turn about a bond moves: those beyond c, the smaller side
``moved_by``        ``[M]`` int64         number of the torsion within its graph that moves each of them
``torsion``         ``[T, 1]`` float32    dihedral angles in radians, from -pi to pi
==================  ====================  ====================================================================
"""

from graphscore.molecules.torsions.bonds import Torsions
from graphscore.molecules.torsions.geometry import TORSION, dihedrals, set_torsions, torques, turn
from graphscore.molecules.torsions.model import TorsionDenoiser
from graphscore.molecules.torsions.turned import TurnedSampler

__all__ = ["TORSION", "TorsionDenoiser", "Torsions", "TurnedSampler", "dihedrals", "set_torsions", "torques", "turn"]
