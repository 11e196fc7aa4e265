"""Relaxation and energies of sampled conformers, by MMFF94, GFN-FF or GFN2-xTB.

===========  ===========================================================================================
``none``     no relaxation; energies, if wanted, are those of MMFF94 for the coordinates as they are
``mmff``     the force field MMFF94 of RDKit: milliseconds for a drug-like conformer
``gfnff``    the force field GFN-FF by the program ``xtb``: about ten times as long; all elements, one component
``gfn2``     the tight-binding method GFN2-xTB by the program ``xtb``: seconds
===========  ===========================================================================================

GFN-FF takes bonds, and charges of components, from the coordinates at the start. Its energies of one and the same salt
differ by hundreds of kcal/mol, so that salts are not relaxed by it; and a conformer counts as failed if GFN-FF has
another energy for its minimum when it starts there.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.molecules import xtb
from graphscore.molecules.forcefield import MAX_STEPS, VACUUM, ForceField, check_dielectric, on_grid
from graphscore.molecules.graph import Chem, bare_mol
from graphscore.registry import unknown

Judge = Callable[[Data], float]
NAMES = {"none": "MMFF94", "mmff": "MMFF94", "gfnff": "GFN-FF", "gfn2": "GFN2-xTB"}
"""Names of the energies by refinement."""
REFINEMENTS = list(NAMES)
SAME_ENERGY = 0.1  # kcal/mol, far more than by rounding and far less than by a bond
BY_XTB: list[xtb.Method] = ["gfnff", "gfn2"]


class Refined(NamedTuple):
    """Result of :func:`refine`.

    Attributes:
        samples: The samples in their order, those that could be refined as copies with ``energy`` in kcal/mol, and if
            relaxed with ``pos`` of the minimum; the others as they were, without an energy.
        notes: One sentence for each kind of problem, with the number of samples concerned.
    """

    samples: list[Data]
    notes: list[str]


class XTB:
    """GFN-FF or GFN2-xTB energies of one molecule in vacuum, by the program ``xtb``.

    Args:
        mol: Molecule with explicit hydrogens; the charge is the sum of its formal charges, and the number of unpaired
            electrons that of its radical electrons.
        method: ``"gfnff"`` or ``"gfn2"``.

    Raises:
        ValueError: If GFN-FF is to be used for several components.
    """

    def __init__(self, mol: Chem.Mol, method: xtb.Method) -> None:
        if method == "gfnff" and (count := len(Chem.GetMolFrags(mol))) > 1:
            raise ValueError(f"GFN-FF cannot tell the charges of its {count} components; gfn2 and mmff can")
        self.method: xtb.Method = method
        self.symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
        self.charge = Chem.GetFormalCharge(mol)
        self.unpaired = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())

    def energy(self, pos: NDArray[np.float64]) -> float:
        """Compute the energy of coordinates ``[N, 3]`` in kcal/mol; raises as :meth:`relax` does."""
        return xtb.energy(self.symbols, pos, self.charge, self.method, self.unpaired)

    def relax(self, pos: NDArray[np.float64], held: Sequence[int] = ()) -> tuple[NDArray[np.float64], float, bool]:
        """Relax coordinates as :meth:`graphscore.molecules.forcefield.ForceField.relax` does.

        Raises:
            RuntimeError: If there is no program ``xtb``.
            ValueError: If it does not reach the minimum, or GFN-FF sees other bonds there than at the start.
        """
        start = on_grid(pos, held)
        if len(held) == len(pos):  # which the program refuses
            return pos, self.energy(pos), True
        found = xtb.optimize(self.symbols, start, self.charge, self.method, held, self.unpaired)
        if self.method == "gfnff" and not abs(self.energy(found.pos) - found.energy) < SAME_ENERGY:
            raise ValueError("GFN-FF sees other bonds at the minimum than at the start")
        return found.pos, found.energy, True


def check_program(method: str) -> None:
    """Check that there is the program ``xtb``, before any work.

    Raises:
        ValueError: If there is not.
    """
    try:
        xtb.version()
    except RuntimeError as error:
        raise ValueError(f"refine is {method}. {error}") from error


def refine(
    samples: Sequence[Data],
    method: str = "mmff",
    held: Sequence[int] = (),
    dielectric: float = VACUUM,
    judge: Judge | None = None,
) -> Refined:
    """Relax conformers of one molecule, and compute their energies.

    Args:
        samples: Conformers with all hydrogens.
        method: One of :data:`REFINEMENTS`.
        held: Numbers of atoms that must not move.
        dielectric: Dielectric constant of MMFF94, see :class:`~graphscore.molecules.forcefield.ForceField`.
        judge: Called as ``judge(conformer)``; returns how much is wrong with it. Conformers with which more is wrong
            after relaxing stay as they are.

    Returns:
        All samples. None has an energy if MMFF94 lacks parameters; those that fail have none, and stay as they are.

    Raises:
        ValueError: If there is no such method, or the dielectric constant is out of range.
        RuntimeError: If the method needs the program ``xtb``, and there is none.
    """
    if method not in REFINEMENTS:
        raise unknown(method, REFINEMENTS, "refinement")
    check_dielectric(dielectric)
    if not samples:
        return Refined([], [])
    relax, mol = method != "none", bare_mol(samples[0])
    try:
        potential = XTB(mol, method) if method in BY_XTB else ForceField(mol, dielectric=dielectric)
    except ValueError as error:
        what = "not relaxed, and have no energies" if relax else "without energies"
        return Refined(list(samples), [f"conformers are {what}: {error}"])
    refined, failed, unfinished, broken = [], [], 0, 0
    for sample in samples:
        item, done = sample, True
        try:
            if relax:
                item, done = _relaxed(potential, sample, held)
            if not relax or (judge is not None and judge(item) > judge(sample)):
                broken += relax
                item, done = _with_energy(potential, sample), True
        except ValueError as error:
            failed.append(str(error))
            item, done = sample, True
        unfinished += not done
        refined.append(item)
    told = {
        f"conformers were not relaxed to the end in {MAX_STEPS} steps": unfinished,
        f"conformers are not relaxed: {NAMES[method]} breaks their geometry or stereochemistry": broken,
        f"conformers {'could not be relaxed, and ' if relax else ''}have no energy: {''.join(failed[:1])}": len(failed),
    }
    return Refined(refined, [f"{count} {sentence}" for sentence, count in told.items() if count])


def _relaxed(potential: ForceField | XTB, sample: Data, held: Sequence[int]) -> tuple[Data, bool]:
    """A relaxed copy, and whether the minimum was reached."""
    pos, energy, done = potential.relax(sample["pos"].double().numpy(), held)
    item = copy.copy(sample)
    item.pos, item.energy = torch.from_numpy(pos).to(sample["pos"].dtype), _finite(energy)
    return item, done


def _with_energy(potential: ForceField | XTB, sample: Data) -> Data:
    item = copy.copy(sample)
    item.energy = _finite(potential.energy(sample["pos"].double().numpy()))
    return item


def _finite(energy: float) -> float:
    if not math.isfinite(energy):
        raise ValueError(f"the energy is {energy}")
    return energy
