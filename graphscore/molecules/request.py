"""Requests: options of generating conformers."""

from __future__ import annotations

from dataclasses import dataclass

from graphscore.experiment.request import Request
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.isomers import STEREO

REFINEMENTS = ("none", "mmff")


@dataclass(frozen=True)
class ConformerRequest(Request):
    """Options for generating conformers.

    Attributes:
        refine: ``"mmff"`` relaxes all atoms in the MMFF94 force field; ``"none"``.
        energy_rank: Whether to compute the MMFF94 energy of conformers, and sort those of a molecule by it.
        fragment: Atoms to fix at the coordinates of a template.
        stereo: What becomes of centres and double bonds without marks: ``"as-given"``, each conformer may have either
            handedness; ``"any"``, all conformers of an input are one stereoisomer, which a note names; ``"enumerate"``,
            each stereoisomer is an input of its own, see :func:`~graphscore.molecules.isomers.enumerate_isomers`.
        strict: Whether to leave out conformers that would be marked by a ``warning``; they are a failure then.

    Raises:
        ValueError: If there is no such refinement or choice, or as for :class:`~graphscore.experiment.request.Request`.
    """

    refine: str = "none"
    energy_rank: bool = False
    fragment: Fragment | None = None
    stereo: str = STEREO[0]
    strict: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refine not in REFINEMENTS:
            raise ValueError(f"Unknown refinement {self.refine!r}; expected one of {list(REFINEMENTS)}")
        if self.stereo not in STEREO:
            raise ValueError(f"Unknown choice of stereo {self.stereo!r}; expected one of {list(STEREO)}")

    @property
    def needs_molecules(self) -> bool:
        """True if an option applies to molecules alone."""
        relaxed = self.refine != "none" or self.energy_rank
        return relaxed or self.fragment is not None or self.stereo != STEREO[0] or self.strict
