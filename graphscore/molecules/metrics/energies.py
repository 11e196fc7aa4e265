r"""Energy metrics of conformers: strain, lowest energy found, and Boltzmann averages of properties.

For energies :math:`E_i` of relaxed conformers, a property :math:`A_i` is averaged as
:math:`\langle A \rangle = \sum_i A_i e^{-E_i / kT} / \sum_i e^{-E_i / kT}` at 298.15 K.

References:
    S. Axelrod, R. Gomez-Bombarelli (2022), GEOM, energy-annotated molecular conformations for property prediction and
    molecular generation. (ensemble properties)
    B. Jing et al. (2022), Torsional diffusion for molecular conformer generation, section 4. (the benchmark: errors of
    the average energy, dipole moment and HOMO-LUMO gap, and of the lowest energy, after relaxation)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphscore.experiment.evaluation.intervals import mean_and_median
from graphscore.molecules import xtb
from graphscore.molecules.forcefield import relax_conformers
from graphscore.molecules.graph import Chem, add_positions

UNITS = {"energy": "kcal/mol", "gap": "kcal/mol", "dipole": "debye"}
MAX_STEPS = 10_000  # of the force field's minimiser


class Energies(NamedTuple):
    """Energies of the conformers of one molecule.

    Attributes:
        start: Energy as given, in kcal/mol, ``[M]``; nan where it could not be computed.
        relaxed: Energy of the local minimum below, ``[M]``.
        properties: Further properties of the minimum by name, ``[M]`` each, in the unit of ``UNITS``.
        failures: One sentence for each conformer that failed.
    """

    start: NDArray[np.float64]
    relaxed: NDArray[np.float64]
    properties: Mapping[str, NDArray[np.float64]]
    failures: list[str]


def mmff_energies(mol: Chem.Mol, pos: NDArray[np.float64]) -> Energies:
    """Compute the energies of conformers in the MMFF94 force field, as given and relaxed.

    Args:
        mol: Molecule with explicit hydrogens.
        pos: Coordinates in Angstrom, ``[M, N, 3]``.

    Raises:
        ValueError: If MMFF94 has no parameters for the molecule.
    """
    if not len(pos):
        return Energies(np.empty(0), np.empty(0), {}, [])
    mol = Chem.Mol(mol)
    mol.RemoveAllConformers()
    for frame in pos:
        add_positions(mol, frame)
    start, _ = relax_conformers(mol, 0)
    relaxed, done = relax_conformers(mol, MAX_STEPS)
    failures = [f"conformer {i}: not relaxed in {MAX_STEPS} steps" for i in np.flatnonzero(~done)]
    energies = [start, relaxed]
    finite = np.isfinite(energies).all(axis=0)
    failures += [f"conformer {i}: its energy is not finite" for i in np.flatnonzero(~finite)]
    return Energies(*(np.where(finite, values, np.nan) for values in energies), properties={}, failures=failures)


def gfn2_energies(mol: Chem.Mol, pos: NDArray[np.float64]) -> Energies:
    """Compute energies, dipole moments and HOMO-LUMO gaps of conformers by GFN2-xTB with the program ``xtb``.

    Energies are computed as given and relaxed, properties relaxed, all in vacuum with closed shells.

    Args:
        mol: Molecule with explicit hydrogens.
        pos: Coordinates in Angstrom, ``[M, N, 3]``.

    Raises:
        RuntimeError: If there is no program ``xtb``.
    """
    symbols, charge = [atom.GetSymbol() for atom in mol.GetAtoms()], Chem.GetFormalCharge(mol)
    rows, failures = [], []
    for number, frame in enumerate(pos):
        try:
            start = xtb.single_point(symbols, frame, charge).energy
            relaxed = xtb.optimize(symbols, frame, charge)
            rows.append((start, *xtb.single_point(symbols, relaxed.pos, charge)))
        except ValueError as error:
            failures.append(f"conformer {number}: {error}")
            rows.append((np.nan,) * 4)
    start, relaxed, dipole, gap = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return Energies(start, relaxed, {"dipole": dipole, "gap": gap}, failures)


def compare_energies(references: Energies, generated: Energies) -> dict[str, Any]:
    """Compare the energies of one molecule's generated conformers with those of its references.

    Args:
        references: Energies of the references.
        generated: Energies of the generated conformers.

    Returns:
        ``strain`` and ``reference_strain``: the energy of each conformer above the local minimum below it;
        ``above_lowest``: above the lowest relaxed reference; ``errors``, generated minus reference: ``lowest`` relaxed
        energy, and Boltzmann average of ``energy`` and of further properties; ``failures``. Units are those of
        ``UNITS``. Conformers without energy are left out; errors without any value are None.
    """
    lowest = np.nanmin(references.relaxed) if np.isfinite(references.relaxed).any() else None
    known = [np.isfinite(side.relaxed) for side in (references, generated)]
    errors: dict[str, float | None] = {"lowest": None, "energy": None, **dict.fromkeys(generated.properties)}
    if lowest is not None and known[1].any():
        errors["lowest"] = float(np.nanmin(generated.relaxed) - lowest)
        for name in ("energy", *generated.properties):
            ours, theirs = (_boltzmann_mean(side, name) for side in (generated, references))
            errors[name] = ours - theirs
    return {
        "strain": _listed(generated.start - generated.relaxed),
        "reference_strain": _listed(references.start - references.relaxed),
        "above_lowest": [] if lowest is None else _listed(generated.start - lowest),
        "errors": errors,
        "failures": [*(f"reference {failure}" for failure in references.failures), *generated.failures],
    }


def summarize_energies(method: str, molecules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average the results of :func:`compare_energies` over molecules.

    Args:
        method: Key of ``METHODS``.
        molecules: Results of :func:`compare_energies`; a molecule without energies has only ``failures``.

    Returns:
        ``method``, ``units``; for ``strain``, ``reference_strain`` and ``above_lowest``, the mean and median over
        molecules of the median over a molecule's conformers (a mean would be dominated by clashes); ``errors``: by
        property, the mean and median over molecules of the absolute error; each with 95 % intervals;
        ``num_failures``.
    """
    names = dict.fromkeys(name for result in molecules for name in result.get("errors", {}))
    errors = {name: [result.get("errors", {}).get(name) for result in molecules] for name in names}
    return {
        "method": method,
        "units": dict(UNITS),
        **{
            key: mean_and_median([float(np.median(r[key])) if r.get(key) else None for r in molecules])
            for key in ("strain", "reference_strain", "above_lowest")
        },
        "errors": {
            name: mean_and_median([None if value is None else abs(value) for value in values])
            for name, values in errors.items()
        },
        "num_failures": sum(len(result["failures"]) for result in molecules),
    }


METHODS: dict[str, Callable[[Chem.Mol, NDArray[np.float64]], Energies]] = {
    "mmff": mmff_energies,
    "gfn2": gfn2_energies,
}


def _boltzmann_mean(energies: Energies, name: str) -> float:
    known = np.isfinite(energies.relaxed)
    relaxed = energies.relaxed[known]
    values = relaxed if name == "energy" else energies.properties[name][known]
    weights = np.exp(-(relaxed - relaxed.min()) / xtb.KT)
    return float(values @ weights / weights.sum())


def _listed(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in values if np.isfinite(value)]
