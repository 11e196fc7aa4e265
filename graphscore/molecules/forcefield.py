"""The force field MMFF94: energies of conformers, and relaxing them. All that the library asks of it is here."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit.Chem import rdForceFieldHelpers
from torch_geometric.data import Data

from graphscore.molecules.graph import Chem, bare_mol, rdBase, set_positions
from graphscore.molecules.metrics.stereo import keeps_stereo
from graphscore.molecules.smiles import rdkit_errors

MAX_STEPS = 5000
NO_PARAMETERS = "MMFF94 lacks parameters for it"
# Far below what relaxing changes. It keeps rounding errors of the start, which depend on what else was sampled, from
# growing step by step until they lead to another minimum.
START_GRID = 0.02  # Angstrom

_WHOLE: dict[str, Any] = {"ignoreInterfragInteractions": False}  # else components of a salt pass through each other


class Refined(NamedTuple):
    """Result of :func:`refine`.

    Attributes:
        samples: The samples with energies, in their order, without those that lost their stereochemistry.
        kept: Their numbers among the given samples.
        notes: One sentence for each kind of problem, with the number of samples that have it.
    """

    samples: list[Data]
    kept: list[int]
    notes: list[str]


class ForceField:
    """The force field MMFF94 of one molecule, in kcal/mol and Angstrom.

    Args:
        mol: Molecule with explicit hydrogens; it stays as it is, and its coordinates are not used.
        or_uff: Whether the force field UFF may stand in where MMFF94 has no parameters.

    Raises:
        ValueError: If there are no parameters for the molecule.

    References:
        T. A. Halgren (1996), Merck molecular force field I. A. K. Rappe et al. (1992), UFF, a full periodic table force
        field for molecular mechanics and molecular dynamics simulations.
    """

    @rdkit_errors()
    def __init__(self, mol: Chem.Mol, or_uff: bool = False) -> None:
        self.mol = Chem.Mol(mol)
        with rdBase.BlockLogs():
            properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(self.mol)
            if properties is not None:
                make = partial(rdForceFieldHelpers.MMFFGetMoleculeForceField, pyMMFFMolProperties=properties)
            elif or_uff and rdForceFieldHelpers.UFFHasAllMoleculeParams(self.mol):
                make = rdForceFieldHelpers.UFFGetMoleculeForceField
            else:
                raise ValueError(NO_PARAMETERS)
        self._make = partial(make, **_WHOLE)

    @rdkit_errors()
    def energy(self, pos: NDArray[np.float64]) -> float:
        """Energy of coordinates ``[N, 3]``."""
        return self._at(pos).CalcEnergy()

    def relax(self, pos: NDArray[np.float64], held: Sequence[int] = ()) -> tuple[NDArray[np.float64], float, bool]:
        """Go to the next minimum, the same one from all starts within rounding errors; see :meth:`minimize`."""
        start = START_GRID * np.round(pos / START_GRID)
        start[list(held)] = pos[list(held)]
        return self.minimize(start, held)

    @rdkit_errors()
    def minimize(
        self,
        pos: NDArray[np.float64],
        held: Sequence[int] = (),
        max_steps: int = MAX_STEPS,
        force_tolerance: float = 1e-4,
        energy_tolerance: float = 1e-8,
    ) -> tuple[NDArray[np.float64], float, bool]:
        """Follow the forces from a start into a minimum.

        Args:
            pos: Coordinates ``[N, 3]``.
            held: Atoms that stay exactly where they are.
            max_steps: Steps at most.
            force_tolerance: Forces that count as none, relative to the coordinates; see RDKit.
            energy_tolerance: Relative change of the energy that counts as none.

        Returns:
            The minimum, its energy, and whether it was reached.
        """
        field = self._at(pos)
        for atom in held:
            field.AddFixedPoint(atom)
        unfinished = field.Minimize(maxIts=max_steps, forceTol=force_tolerance, energyTol=energy_tolerance)
        return self.mol.GetConformer().GetPositions(), field.CalcEnergy(), not unfinished

    def _at(self, pos: NDArray[np.float64]):  # RDKit's class has no importable name
        set_positions(self.mol, pos)
        field = self._make(self.mol)
        field.Initialize()
        return field


def relax_conformers(mol: Chem.Mol, max_steps: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Relax all conformers of a molecule where they are, by MMFF94.

    Args:
        mol: Molecule with explicit hydrogens and K conformers, which move.
        max_steps: Steps at most; 0 gives the energies alone.

    Returns:
        Energies in kcal/mol and whether each minimum was reached, ``[K]`` both.

    Raises:
        ValueError: If MMFF94 has no parameters for the molecule.
    """
    with rdBase.BlockLogs():
        if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            raise ValueError(NO_PARAMETERS)
        rows = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=max_steps, **_WHOLE)
    unfinished, energies = np.array(rows, dtype=np.float64).reshape(-1, 2).T
    return energies, unfinished == 0


def refine(samples: Sequence[Data], relax: bool, held: Sequence[int] = ()) -> Refined:
    """Give samples of one molecule their energy in MMFF94, relaxed or as they are.

    Args:
        samples: Conformers with all hydrogens.
        relax: Whether to relax them first. Those that then no longer have the stereochemistry of their ``smiles``,
            though they had it before, are left out.
        held: Atoms that do not move.

    Returns:
        Copies with ``energy`` in kcal/mol, and ``pos`` of the minimum. If MMFF94 lacks parameters, the samples
        themselves. What fails is left out if it was to be relaxed, and else has no energy.
    """
    if not samples:
        return Refined([], [], [])
    try:
        field = ForceField(bare_mol(samples[0]))
    except ValueError as error:
        what = "not relaxed, and have no energies" if relax else "without energies"
        return Refined(list(samples), list(range(len(samples))), [f"conformers are {what}: {error}"])
    refined, kept, failed, unfinished, lost = [], [], [], 0, 0
    for number, sample in enumerate(samples):
        try:
            item, done = _relaxed(field, sample, held) if relax else (_with_energy(field, sample), True)
            if relax and not keeps_stereo(item) and keeps_stereo(sample):
                lost += 1
                continue
        except ValueError as error:
            failed.append(str(error))
            if relax:
                continue
            item, done = sample, True
        unfinished += not done
        refined.append(item)
        kept.append(number)
    notes = [f"{unfinished} conformers were not relaxed to the end in {MAX_STEPS} steps"] if unfinished else []
    if lost:
        notes.append(f"{lost} conformers lost their stereochemistry when relaxed, and are left out")
    if failed:
        what = "could not be relaxed, and are left out" if relax else "have no energy"
        notes.append(f"{len(failed)} conformers {what}: {failed[0]}")
    return Refined(refined, kept, notes)


def _relaxed(field: ForceField, sample: Data, held: Sequence[int]) -> tuple[Data, bool]:
    """A copy in the next minimum, and whether that was reached."""
    pos, energy, done = field.relax(sample["pos"].double().numpy(), held)
    item = copy.copy(sample)
    item.pos, item.energy = torch.from_numpy(pos).to(sample["pos"].dtype), _finite(energy)
    return item, done


def _with_energy(field: ForceField, sample: Data) -> Data:
    item = copy.copy(sample)
    item.energy = _finite(field.energy(sample["pos"].double().numpy()))
    return item


def _finite(energy: float) -> float:
    if not math.isfinite(energy):
        raise ValueError(f"the energy is {energy}")
    return energy


def rank(samples: Sequence[Data]) -> list[int]:
    """Order samples of one molecule by ``energy``, the lowest first; those without one last, in their order."""
    energies = [sample.get("energy") for sample in samples]
    return sorted(range(len(samples)), key=lambda i: float("inf") if energies[i] is None else energies[i])
