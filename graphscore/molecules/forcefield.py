"""Conformers relaxed in a force field, and their energies."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit.Chem import rdForceFieldHelpers
from torch_geometric.data import Data

from graphscore.molecules.embedding import WHOLE
from graphscore.molecules.graph import bare_mol, rdBase, set_positions
from graphscore.molecules.metrics.stereo import keeps_stereo
from graphscore.molecules.smiles import rdkit_errors

MAX_STEPS = 5000
FORCE_TOLERANCE, ENERGY_TOLERANCE = 1e-4, 1e-8
# Far below what relaxing changes. It keeps rounding errors of the start, which depend on what else was sampled, from
# growing step by step until they lead to another minimum.
START_GRID = 0.02  # Angstrom


class Refined(NamedTuple):
    """What :func:`refine` returns.

    Attributes:
        samples: The samples with energies, in their order, without those that lost their stereochemistry.
        kept: Which of the given samples these are.
        notes: What is to be known of the others, one sentence each.
    """

    samples: list[Data]
    kept: list[int]
    notes: list[str]


class ForceField:
    """MMFF94 of one molecule, in kcal/mol and Angstrom.

    Args:
        template: Graph in the layout of :mod:`graphscore.molecules.graph`; coordinates are not used.

    Raises:
        ValueError: If the graph is no molecule, or MMFF94 has no parameters for it.

    References:
        T. A. Halgren (1996), Merck molecular force field I.
    """

    @rdkit_errors()
    def __init__(self, template: Data) -> None:
        self.mol = bare_mol(template)
        with rdBase.BlockLogs():
            self.properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(self.mol)
        if self.properties is None:
            raise ValueError("MMFF94 lacks parameters for it")

    @rdkit_errors()
    def energy(self, pos: NDArray[np.float64]) -> float:
        """Energy of coordinates ``[N, 3]``."""
        return self._at(pos).CalcEnergy()

    @rdkit_errors()
    def relax(self, pos: NDArray[np.float64], held: Sequence[int] = ()) -> tuple[NDArray[np.float64], float, bool]:
        """Go to the next minimum.

        Args:
            pos: Coordinates ``[N, 3]``.
            held: Atoms that stay exactly where they are.

        Returns:
            The minimum, its energy, and whether it was reached.
        """
        start = START_GRID * np.round(pos / START_GRID)
        start[list(held)] = pos[list(held)]
        field = self._at(start)
        for atom in held:
            field.AddFixedPoint(atom)
        unfinished = field.Minimize(maxIts=MAX_STEPS, forceTol=FORCE_TOLERANCE, energyTol=ENERGY_TOLERANCE)
        return self.mol.GetConformer().GetPositions(), field.CalcEnergy(), not unfinished

    def _at(self, pos: NDArray[np.float64]):  # RDKit's class has no importable name
        set_positions(self.mol, pos)
        make = rdForceFieldHelpers.MMFFGetMoleculeForceField
        field = make(self.mol, self.properties, **WHOLE)
        field.Initialize()
        return field


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
        field = ForceField(samples[0])
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
