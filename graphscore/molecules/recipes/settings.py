"""Settings of the conformer search, by the size and the part of a molecule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["gfn2", "mmff94"]


@dataclass(frozen=True)
class Settings:
    """Effort and thresholds of a conformer search; the default is for small molecules in training.

    Attributes:
        level: What conformers are minima of: ``"gfn2"``, GFN2-xTB, or ``"mmff94"``, the force field.
        num_knowledge: Starts by ETKDGv3.
        num_plain: Starts by distance geometry without knowledge of torsions and rings, from random coordinates, so that
            the ensemble is not what ETKDG finds.
        max_optimizations: Most starts that are relaxed by GFN2-xTB, drawn from those that differ in MMFF94.
        window: Conformers up to here above the lowest found are kept, kcal/mol.
        start_window: The same for starts relaxed by MMFF94.
        min_rmsd: Conformers closer than this, in Angstrom, are the same if their energies agree: symmetry-aware, over
            heavy atoms and hydrogens on other elements than carbon.
        min_energy: Energies closer than this agree, kcal/mol.
    """

    level: Level = "gfn2"
    num_knowledge: int = 12
    num_plain: int = 12
    max_optimizations: int = 10
    window: float = 6.0
    start_window: float = 15.0
    min_rmsd: float = 0.125
    min_energy: float = 0.1


TRAINING = Settings()
THOROUGH = Settings(num_knowledge=40, num_plain=40, max_optimizations=60)
LARGE = 14  # heavy atoms; beyond, optimisations by GFN2-xTB cost seconds
LARGE_TRAINING = Settings(num_knowledge=4, num_plain=4, max_optimizations=4)
LARGE_THOROUGH = Settings(num_knowledge=16, num_plain=16, max_optimizations=16)
COARSE = Settings("mmff94", num_knowledge=2, num_plain=2)


def choose_settings(level: Level, num_heavy_atoms: int, training: bool) -> Settings:
    """Search harder for molecules that models are measured on, and little for those that they only learn from first.

    Args:
        level: What conformers are minima of.
        num_heavy_atoms: Size of the molecule.
        training: Whether it is for training.
    """
    if level == "mmff94":
        return COARSE
    if num_heavy_atoms > LARGE:
        return LARGE_TRAINING if training else LARGE_THOROUGH
    return TRAINING if training else THOROUGH
