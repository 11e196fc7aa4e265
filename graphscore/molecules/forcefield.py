"""The force field MMFF94: energies and relaxation of conformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdForceFieldHelpers
from rdkit.ForceField import rdForceField  # noqa: F401 (its classes, which RDKit 2025.3 leaves out)
from torch_geometric.data import Data

from graphscore.molecules.exact import exact_components, superposed
from graphscore.molecules.graph import Chem, rdBase, set_positions
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
VACUUM, WATER = 1.0, 80.0  # dielectric constants

_WHOLE: dict[str, Any] = {"ignoreInterfragInteractions": False}  # else components of a salt pass through each other


def check_dielectric(constant: float) -> None:
    """Check a dielectric constant.

    Raises:
        ValueError: If it is not between those of the vacuum, 1, and of water, about 80.
    """
    if not VACUUM <= constant <= WATER:
        raise ValueError(f"dielectric must lie between {VACUUM:g} (vacuum) and {WATER:g} (water), but is {constant}")


class ForceField:
    """The force field MMFF94 of one molecule, in kcal/mol and Angstrom.

    Args:
        mol: Molecule with explicit hydrogens; it is not changed, and its coordinates are not used.
        or_uff: Whether to use the force field UFF where MMFF94 has no parameters.
        dielectric: Dielectric constant by which MMFF94 divides the Coulomb energy of atoms, at all distances. 1, the
            vacuum, is right against references in vacuum, where charged and polar groups of a molecule attract each
            other and conformers fold up; in proteins and in water they do so less, and 4 to 10 suits ligands.

    Attributes:
        is_mmff: Whether it is MMFF94; UFF otherwise.

    Raises:
        ValueError: If there are no parameters for the molecule, or the constant is no number from 1 to 80.

    References:
        T. A. Halgren (1996), Merck molecular force field I. A. K. Rappe et al. (1992), UFF, a full periodic table force
        field for molecular mechanics and molecular dynamics simulations.
    """

    @rdkit_errors()
    def __init__(self, mol: Chem.Mol, or_uff: bool = False, dielectric: float = VACUUM) -> None:
        check_dielectric(dielectric)
        self.mol = Chem.Mol(mol)
        with rdBase.BlockLogs():
            properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(self.mol)
            if properties is not None:
                properties.SetMMFFDielectricConstant(dielectric)
                make = partial(rdForceFieldHelpers.MMFFGetMoleculeForceField, pyMMFFMolProperties=properties)
            elif or_uff and rdForceFieldHelpers.UFFHasAllMoleculeParams(self.mol):
                make = rdForceFieldHelpers.UFFGetMoleculeForceField
            else:
                raise ValueError(NO_PARAMETERS)
        self._make = partial(make, **_WHOLE)
        self.is_mmff = properties is not None
        self._kind = "MMFF" if self.is_mmff else "UFF"
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
        rigid = {atom for atoms in (*self._pairs, *(atoms for atoms, _ in self._exact)) for atom in atoms}
        return self.minimize(on_grid(pos, sorted(rigid.union(held))), held, restrained=restrained)

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
        with rdBase.BlockLogs():
            field = self._make(self.mol)
        field.Initialize()
        return field


def on_grid(pos: NDArray[np.float64], held: Sequence[int] = ()) -> NDArray[np.float64]:
    """Round coordinates to the grid ``START_GRID``, except those of the held atoms."""
    start = START_GRID * np.round(pos / START_GRID)
    start[list(held)] = pos[list(held)]
    return start


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
