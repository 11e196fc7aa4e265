"""Settings of the conformer search, by size and part of a molecule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Level = Literal["gfn2", "mmff94", "gfn2//gfnff", "gfn2//mmff94"]


@dataclass(frozen=True)
class Settings:
    """Effort and thresholds of a conformer search; the default is for small molecules in training.

    Attributes:
        level: Energy surface whose minima are the conformers: ``"gfn2"``, GFN2-xTB; ``"mmff94"``, the force field; or
            ``"gfn2//gfnff"`` and ``"gfn2//mmff94"``, minima of a force field with their energies in GFN2-xTB.
        num_knowledge: Number of starts by ETKDGv3.
        num_plain: Number of starts by distance geometry from random coordinates, without the torsion and ring
            preferences of ETKDGv3, so that the ensemble is not biased towards them.
        num_samples: Number of starts drawn from the shipped model, instead of those.
        max_optimizations: Largest number of starts by distance geometry to relax further, drawn from distinct minima in
            MMFF94.
        num_torsions: Number of further starts with random torsions.
        num_rounds: Number of times that the search goes on from the lowest conformers found.
        num_moves: Number of starts of each round that differ from a low conformer in up to three torsions.
        num_frames: Number of starts of each round from metadynamics of the lowest conformer.
        max_conformers: Largest number of conformers that are kept; no limit by default.
        window: Largest energy above the lowest conformer found, kcal/mol.
        start_window: The same for starts relaxed by MMFF94.
        middle_window: The same in the force field, for minima whose energy in GFN2-xTB is computed.
        min_rmsd: Largest RMSD in Angstrom of conformers that count as equal if their energies agree: symmetry-aware,
            over heavy atoms and hydrogens on other elements than carbon.
        min_energy: Largest difference of energies that agree, kcal/mol.
    """

    level: Level = "gfn2"
    num_knowledge: int = 12
    num_plain: int = 12
    num_samples: int = 0
    max_optimizations: int = 10
    num_torsions: int = 0
    num_rounds: int = 0
    num_moves: int = 0
    num_frames: int = 0
    max_conformers: int | None = None
    window: float = 6.0
    start_window: float = 15.0
    middle_window: float = 12.0
    min_rmsd: float = 0.125
    min_energy: float = 0.1


TRAINING = Settings()
THOROUGH = Settings(num_knowledge=40, num_plain=40, max_optimizations=60)
LARGE = 14  # heavy atoms; for larger molecules, an optimisation by GFN2-xTB takes seconds
LARGE_TRAINING = Settings(num_knowledge=4, num_plain=4, max_optimizations=4)
LARGE_THOROUGH = Settings(num_knowledge=16, num_plain=16, max_optimizations=16)
COARSE = Settings("mmff94", num_knowledge=2, num_plain=2)
WIDE = Settings(
    "gfn2//gfnff",
    num_knowledge=16,
    num_plain=24,
    max_optimizations=40,
    num_torsions=16,
    num_rounds=2,
    num_moves=24,
    num_frames=16,
    max_conformers=32,
    start_window=20.0,
    min_energy=0.5,
)
WIDE_THOROUGH = replace(WIDE, num_rounds=6, max_conformers=64)
SAMPLED = Settings(
    "gfn2//mmff94",
    num_samples=40,
    num_rounds=3,
    num_moves=16,
    max_conformers=20,
    window=5.0,
    start_window=12.0,
    min_rmsd=0.25,
    min_energy=0.5,
)
SAMPLED_THOROUGH = replace(SAMPLED, num_samples=80, num_rounds=6)


def choose_settings(level: Level, num_heavy_atoms: int, training: bool) -> Settings:
    """Choose search settings: more thorough for validation and test molecules than for training.

    Args:
        level: Energy surface whose minima are the conformers.
        num_heavy_atoms: Size of the molecule.
        training: Whether it is a training molecule.
    """
    if level == "mmff94":
        return COARSE
    if level == "gfn2//gfnff":
        return WIDE if training else WIDE_THOROUGH
    if level == "gfn2//mmff94":
        return SAMPLED if training else SAMPLED_THOROUGH
    if num_heavy_atoms > LARGE:
        return LARGE_TRAINING if training else LARGE_THOROUGH
    return TRAINING if training else THOROUGH
