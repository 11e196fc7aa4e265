"""Options for generating conformers, and presets of them.

==================  ===========================================================================================
``fast``            conformers as drawn, without a force field
``representative``  four times as many are drawn, and distinct ones that represent all kept, without a force field
``ensemble``        the conformers of a molecule in vacuum: four times as many are drawn, relaxed by MMFF94, and the
                    lowest kept and distinct ones that represent all, with Boltzmann weights
``docking``         shapes that a molecule may take in a protein: those of crystals, if the model knows them, relaxed by
                    MMFF94 with weakened charges, many distinct conformers, however high in energy
``analogue``        conformers with a fragment held where it is in another molecule, such as a bound ligand; relaxed
                    with it held, distinct, by energy
==================  ===========================================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphscore.experiment.sampling.request import Request
from graphscore.molecules.ensemble import CHOICES, LOWEST, REPRESENTATIVE, ROOM
from graphscore.molecules.features import CRYSTAL, ENVIRONMENTS
from graphscore.molecules.forcefield import VACUUM, check_dielectric
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.isomers import STEREO
from graphscore.molecules.relaxation import BY_XTB, REFINEMENTS
from graphscore.registry import find, unknown

_RELAXED: dict[str, Any] = {"refine": "mmff", "energy_rank": True, "rmsd_cutoff": 0.5, "oversample": 4}
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {},
    "representative": {"num": 10, "oversample": 4, "rmsd_cutoff": 0.25, "select": REPRESENTATIVE},
    "ensemble": {**_RELAXED, "num": 10, "rmsd_cutoff": 0.25, "energy_window": 10.0, "select": REPRESENTATIVE},
    "docking": {**_RELAXED, "num": 50, "oversample": 2, "dielectric": 4.0, "environment": CRYSTAL},
    "analogue": {**_RELAXED, "num": 10},
}
"""Options by the name of the preset."""

_PLAIN: dict[str, Any] = {
    "num": 1,
    "refine": "none",
    "energy_rank": False,
    "oversample": 1,
    "select": LOWEST,
    "rmsd_cutoff": 0.0,
    "energy_window": math.inf,
    "max_energy": math.inf,
    "dielectric": VACUUM,
    "environment": None,
}
_FROM_PRESET: Any = None  # the value of an option that is not given


@dataclass(frozen=True)
class ConformerRequest(Request):
    """Options for generating conformers.

    Options that are not given, or ``None``, are those of the preset; those that are given win over it.

    Attributes:
        num: Number of conformers of each molecule, 1 without a preset; fewer come out if fewer pass the
            thresholds below.
        preset: A key of :data:`PRESETS`.
        refine: ``"mmff"`` relaxes all atoms in the MMFF94 force field, ``"gfnff"`` and ``"gfn2"`` by GFN-FF and
            GFN2-xTB with the program ``xtb``; ``"none"``.
        energy_rank: Whether to sort the conformers of a molecule by energy, that of the refinement or otherwise of
            MMFF94.
        oversample: Factor by which more conformers are drawn than asked for. Those of the lowest energies stay, unless
            ``select`` says otherwise; without energies, the first distinct ones.
        select: Which conformers stay of more than asked for: ``"lowest"``, those of the lowest energies, or
            ``"representative"``, the lowest and those that represent all that were drawn, see
            :mod:`graphscore.molecules.ensemble`.
        rmsd_cutoff: Smallest RMSD of the heavy atoms of two conformers in Angstrom, after refinement; of closer ones
            that of the lower energy stays. 0 keeps all. See :mod:`graphscore.molecules.ensemble`.
        energy_window: Largest energy of conformers above the lowest of their molecule, in kcal/mol.
        max_energy: Largest energy itself, in kcal/mol, as written to files. Energies of different molecules do not
            compare; those of ``"gfnff"`` and ``"gfn2"`` are total energies, far below 0.
        temperature: Temperature of Boltzmann weights in kelvin. By default refined conformers have weights if they are
            distinct (``rmsd_cutoff``), at 298.15 K.
        dielectric: Dielectric constant of MMFF94, see :class:`~graphscore.molecules.forcefield.ForceField`: 1 to
            compare with references in vacuum, 4 to 10 for ligands in proteins.
        environment: Where the molecules are, one of :data:`~graphscore.molecules.features.ENVIRONMENTS`: shapes differ
            between the gas phase and crystals (of proteins). For models that were trained to tell; by default that of
            the preset, then that of the molecule, then the gas phase.
        fragment: Atoms to fix at the coordinates of a template.
        torsions: Model of torsions that turns all rotatable bonds of each conformer that is drawn: a file, the folder
            of a run, or the name of weights that come with the package; see
            :class:`~graphscore.molecules.torsions.TurnedSampler`. By default they stay as they are drawn.
        stereo: What becomes of centres and double bonds without marks: ``"as-given"``, each conformer may have either
            handedness; ``"any"``, all conformers of an input are one stereoisomer, which a note names; ``"enumerate"``,
            each stereoisomer is an input of its own, see :func:`~graphscore.molecules.isomers.enumerate_isomers`.
        strict: Whether to leave out conformers that would be marked by a ``warning``; it is a failure if fewer than
            asked for stay.

    Raises:
        ValueError: If there is no such refinement or preset, a number is out of range, an option has no effect without
            another, or as for :class:`~graphscore.experiment.sampling.request.Request`.
    """

    num: int = _FROM_PRESET
    preset: str = "fast"
    refine: str = _FROM_PRESET
    energy_rank: bool = _FROM_PRESET
    oversample: int = _FROM_PRESET
    select: str = _FROM_PRESET
    rmsd_cutoff: float = _FROM_PRESET
    energy_window: float = _FROM_PRESET
    max_energy: float = _FROM_PRESET
    temperature: float | None = None
    dielectric: float = _FROM_PRESET
    environment: str | None = _FROM_PRESET
    fragment: Fragment | None = None
    torsions: str | Path | None = None
    stereo: str = STEREO[0]
    strict: bool = False

    def __post_init__(self) -> None:
        chosen = find(self.preset, PRESETS, "preset")
        for name, plain in _PLAIN.items():
            if getattr(self, name) is None:
                value = chosen.get(name, plain)
                if name == "dielectric" and self.refine in BY_XTB:  # which is that of the vacuum
                    value = plain
                object.__setattr__(self, name, value)
        super().__post_init__()
        if self.refine not in REFINEMENTS:
            raise unknown(self.refine, REFINEMENTS, "refinement")
        if self.select not in CHOICES:
            raise unknown(self.select, CHOICES, "choice")
        if self.stereo not in STEREO:
            raise unknown(self.stereo, STEREO, "choice of stereo")
        if self.environment not in (None, *ENVIRONMENTS):
            raise unknown(self.environment, ENVIRONMENTS, "environment")
        if self.preset == "analogue" and self.fragment is None:
            raise ValueError("The preset analogue needs the fragment to hold: --fix SMARTS --from FILE, in Python fix")
        if self.complete is not None:
            raise ValueError("Molecules are completed around a fragment, --fix SMARTS --from FILE, not by --complete")
        if self.noise is not None and self.stereo != STEREO[0]:
            raise ValueError(f"noise starts from conformers, whose stereo is known, but stereo is {self.stereo!r}")
        self._check_numbers()
        self._check_effects()

    def _check_numbers(self) -> None:
        check_dielectric(self.dielectric)
        if self.oversample < 1:
            raise ValueError(f"oversample must be at least 1, but is {self.oversample}")
        if not 0 <= self.rmsd_cutoff < math.inf:
            raise ValueError(f"rmsd_cutoff must be a length in Angstrom, 0 for none, but is {self.rmsd_cutoff}")
        if not self.energy_window >= 0:
            raise ValueError(f"energy_window must be 0 kcal/mol or more, but is {self.energy_window}")
        if math.isnan(self.max_energy) or self.max_energy == -math.inf:
            raise ValueError(f"max_energy must be an energy in kcal/mol, but is {self.max_energy}")
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be positive and finite, in kelvin, but is {self.temperature}")

    def _check_effects(self) -> None:
        """Check that no option is without effect, or means something else than it seems to."""
        excluded = {"noise": self.noise is not None, "fragment": self.fragment is not None, "diverse": self.diverse}
        if self.torsions is not None and (given := [name for name, is_given in excluded.items() if is_given]):
            raise ValueError(f"torsions turns all rotatable bonds anew, which {given[0]} excludes: give one of the two")
        for name in ("energy_window", "max_energy"):
            if math.isfinite(getattr(self, name)) and not self.has_energies:
                raise ValueError(f"{name} needs energies: give refine (mmff, gfnff or gfn2) or energy_rank too")
        if self.temperature is not None and self.refine == "none":
            raise ValueError(
                "temperature needs refine (mmff, gfnff or gfn2): conformers have Boltzmann weights at their minima only"
            )
        if self.oversample > 1 and not (self.has_energies or self.rmsd_cutoff or self.select != LOWEST):
            raise ValueError(
                "oversample needs something to choose by: give refine, energy_rank, rmsd_cutoff or select too"
            )
        if self.oversample == 1 and self.select not in (LOWEST, PRESETS[self.preset].get("select")):
            raise ValueError("select chooses among more conformers than asked for: give oversample too")
        if self.dielectric != VACUUM and not (self.has_energies and self.refine not in BY_XTB):
            raise ValueError(f"dielectric is for energies of MMFF94, but refine is {self.refine}: give refine mmff too")
        if self.refine in BY_XTB and 0 <= self.max_energy < math.inf:
            raise ValueError(
                f"max_energy is {self.max_energy:g}, but total energies of {self.refine} are all below 0: give "
                "energy_window, which counts from the lowest conformer"
            )

    @property
    def needs_environment(self) -> bool:
        """True if the model must know environments: the one asked for is not just that of the preset."""
        return self.environment not in (None, PRESETS[self.preset].get("environment"))

    def num_drawn(self, num: int) -> int:
        """Number of conformers to draw for so many that are asked for."""
        return num * self.oversample

    @property
    def has_energies(self) -> bool:
        """True if energies of the conformers are computed."""
        return self.refine != "none" or self.energy_rank

    @property
    def weight_temperature(self) -> float | None:
        """Temperature of the Boltzmann weights in kelvin; ``None`` for no weights."""
        return ROOM if self.temperature is None and self.refine != "none" and self.rmsd_cutoff else self.temperature

    @property
    def needs_molecules(self) -> bool:
        """True if an option applies to molecules alone."""
        chosen = self.has_energies or self.rmsd_cutoff > 0 or self.stereo != STEREO[0]
        return chosen or self.fragment is not None or self.strict

    def describe(self) -> dict[str, Any]:
        """Describe the options that other requests lack, in plain values; ``None`` for thresholds without effect."""
        names = ("preset", *_PLAIN.keys() - {"num"})
        held = self.fragment
        return {
            **{name: getattr(self, name) if getattr(self, name) != math.inf else None for name in sorted(names)},
            "temperature": self.weight_temperature,
            "stereo": self.stereo,
            "strict": self.strict,
            "torsions": None if self.torsions is None else str(self.torsions),
            "fix": None if held is None else {"smarts": held.smarts, "from": held.source},
        }
