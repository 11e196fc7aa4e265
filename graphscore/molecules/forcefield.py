"""The force field MMFF94: energies, relaxation and ranking of conformers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit.Chem import rdForceFieldHelpers
from torch_geometric.data import Data

from graphscore.molecules.exact import exact_components, superposed
from graphscore.molecules.graph import Chem, bare_mol, rdBase, set_positions
from graphscore.molecules.polyhedra import rigid_pairs
from graphscore.molecules.smiles import rdkit_errors

Judge = Callable[[Data], float]
MAX_STEPS = 5000
NO_PARAMETERS = "MMFF94 lacks parameters for it"
# Starting coordinates are rounded to this grid, far finer than the changes by relaxation. Otherwise rounding errors,
# which depend on the rest of a batch, could grow from step to step and lead to another minimum.
START_GRID = 0.02  # Angstrom
MAX_SHIFT, STIFFNESS = 0.1, 100.0  # Angstrom, kcal/mol/Angstrom^2: restrained atoms, and how hard they are pulled back

STIFF = 1e4  # kcal/mol/Å^2, of distances that are held

_WHOLE: dict[str, Any] = {"ignoreInterfragInteractions": False}  # else components of a salt pass through each other


class Refined(NamedTuple):
    """Result of :func:`refine`.

    Attributes:
        samples: The samples with energies, in their order.
        notes: One sentence for each kind of problem, with the number of samples concerned.
    """

    samples: list[Data]
    notes: list[str]


class ForceField:
    """The force field MMFF94 of one molecule, in kcal/mol and Angstrom.

    Args:
        mol: Molecule with explicit hydrogens; it is not changed, and its coordinates are not used.
        or_uff: Whether to use the force field UFF where MMFF94 has no parameters.

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
        self._kind = "UFF" if properties is None else "MMFF"
        self._pairs = rigid_pairs(self.mol)
        self._exact = [part for part in exact_components(self.mol) if len(part[0]) > 1]

    @rdkit_errors()
    def energy(self, pos: NDArray[np.float64]) -> float:
        """Compute the energy of coordinates ``[N, 3]``."""
        return self._at(pos).CalcEnergy()

    def relax(
        self, pos: NDArray[np.float64], held: Sequence[int] = (), restrained: Sequence[int] = ()
    ) -> tuple[NDArray[np.float64], float, bool]:
        """Relax coordinates to the nearest minimum, without influence of rounding errors; see :meth:`minimize`.

        The start is rounded to a grid, so that starts that differ by rounding errors lead to the same minimum.
        """
        start = START_GRID * np.round(pos / START_GRID)
        start[list(held)] = pos[list(held)]
        rigid = sorted({atom for atoms in (*self._pairs, *(atoms for atoms, _ in self._exact)) for atom in atoms})
        start[rigid] = pos[rigid]
        return self.minimize(start, held, restrained=restrained)

    @rdkit_errors()
    def minimize(
        self,
        pos: NDArray[np.float64],
        held: Sequence[int] = (),
        max_steps: int = MAX_STEPS,
        force_tolerance: float = 1e-4,
        energy_tolerance: float = 1e-8,
        restrained: Sequence[int] = (),
    ) -> tuple[NDArray[np.float64], float, bool]:
        """Minimize the energy from given coordinates.

        Centres with five or more electron pairs keep the distances of their ligands, and components of one to three
        atoms get those of :mod:`~graphscore.molecules.exact`: the force field has no terms for them, or wrong ones.

        Args:
            pos: Coordinates ``[N, 3]``.
            held: Numbers of atoms that must not move.
            max_steps: Largest number of steps.
            force_tolerance: Force below which the minimum is reached, relative to the coordinates; see RDKit.
            energy_tolerance: Relative change of the energy below which the minimum is reached.
            restrained: Numbers of atoms that are pulled back if they move by more than 0.1 Angstrom.

        Returns:
            The minimum, its energy, and whether it was reached.
        """
        field = self._at(pos)
        for atom in held:
            field.AddFixedPoint(atom)
        for atom in restrained:
            getattr(field, f"{self._kind}AddPositionConstraint")(atom, MAX_SHIFT, STIFFNESS)
        pairs = [*self._pairs, *(pair for atoms, _ in self._exact for pair in combinations(atoms, 2))]
        for i, j in pairs:
            length = float(np.linalg.norm(pos[i] - pos[j]))
            getattr(field, f"{self._kind}AddDistanceConstraint")(i, j, False, length, length, STIFF)
        with rdBase.BlockLogs():  # an error is raised, too
            unfinished = field.Minimize(maxIts=max_steps, forceTol=force_tolerance, energyTol=energy_tolerance)
        found = self.mol.GetConformer().GetPositions()
        for atoms, exact in self._exact:
            if not set(atoms) & set(held):
                found[atoms] = superposed(exact, found[atoms])
        return found, self.energy(found) if pairs else field.CalcEnergy(), not unfinished

    def _at(self, pos: NDArray[np.float64]):  # RDKit's class has no importable name
        set_positions(self.mol, pos)
        with rdBase.BlockLogs():  # UFF warns of each centre with more than four neighbors
            field = self._make(self.mol)
        field.Initialize()
        return field


def relax_conformers(mol: Chem.Mol, max_steps: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Relax all conformers of a molecule in place by MMFF94.

    Args:
        mol: Molecule with explicit hydrogens and K conformers, which are changed.
        max_steps: Largest number of steps; 0 gives the energies alone.

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


def refine(samples: Sequence[Data], relax: bool, held: Sequence[int] = (), judge: Judge | None = None) -> Refined:
    """Compute the MMFF94 energies of conformers of one molecule, with or without relaxation.

    Args:
        samples: Conformers with all hydrogens.
        relax: Whether to relax them first.
        held: Numbers of atoms that must not move.
        judge: Called as ``judge(conformer)``; returns how much is wrong with it. Conformers with which more is wrong
            after relaxing stay as they are.

    Returns:
        Copies with ``energy`` in kcal/mol, and if relaxed ``pos`` of the minimum. If MMFF94 lacks parameters, the
        samples themselves. Samples that cannot be relaxed stay as they are; those that fail have no energy.
    """
    if not samples:
        return Refined([], [])
    try:
        field = ForceField(bare_mol(samples[0]))
    except ValueError as error:
        what = "not relaxed, and have no energies" if relax else "without energies"
        return Refined(list(samples), [f"conformers are {what}: {error}"])
    refined, failed, unfinished, broken = [], [], 0, 0
    for sample in samples:
        item, done = sample, True
        try:
            if relax:
                item, done = _relaxed(field, sample, held)
            if not relax or (judge is not None and judge(item) > judge(sample)):
                broken += relax
                item, done = _with_energy(field, sample), True
        except ValueError as error:
            failed.append(str(error))
            item = sample
        unfinished += not done
        refined.append(item)
    notes = [f"{unfinished} conformers were not relaxed to the end in {MAX_STEPS} steps"] if unfinished else []
    if broken:
        notes.append(f"{broken} conformers are not relaxed: MMFF94 breaks their geometry or stereochemistry")
    if failed:
        what = "could not be relaxed, and have no energy" if relax else "have no energy"
        notes.append(f"{len(failed)} conformers {what}: {failed[0]}")
    return Refined(refined, notes)


def _relaxed(field: ForceField, sample: Data, held: Sequence[int]) -> tuple[Data, bool]:
    """A relaxed copy, and whether the minimum was reached."""
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
    """Rank samples of one molecule by ``energy``, the lowest first; those without an energy last, in their order."""
    energies = [sample.get("energy") for sample in samples]
    return sorted(range(len(samples)), key=lambda i: float("inf") if energies[i] is None else energies[i])


def ranked(samples: Sequence[Data]) -> list[Data]:
    """Sort samples of one molecule by energy, and add the ``relative_energy`` above the lowest."""
    samples = [samples[place] for place in rank(samples)]
    for sample in samples:
        if "energy" in sample:
            sample.relative_energy = sample.energy - samples[0].energy
    return samples
