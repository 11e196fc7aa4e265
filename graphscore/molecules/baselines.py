"""Baseline conformers: by RDKit alone, ETKDG with MMFF94, clustering or selection; and by the program openconf."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rdkit.SimDivFilters import rdSimDivPickers
from torch_geometric.data import Data

from graphscore.molecules.embedding import embed
from graphscore.molecules.ensemble import select
from graphscore.molecules.graph import Chem, data_from_mol, rdBase, remove_hydrogens
from graphscore.molecules.metrics.comparison import Attempt
from graphscore.molecules.metrics.rmsd import best_rmsd, matchings
from graphscore.molecules.relaxation import refine
from graphscore.molecules.smiles import mol_from_smiles, rdkit_errors
from graphscore.registry import find

Maker = Callable[[str, int, int], list[Data]]
"""Function ``(smiles, num, seed)`` that makes conformers."""
OVERSAMPLING = 10
DEEP, DISTINCT = 8, 0.5  # times as many conformers, of which distinct ones stay, and their distance in Angstrom
MAX_POOL = 500  # conformers to cluster, unless twice ``num`` is more: pairs grow with the square


def etkdg(smiles: str, num: int, seed: int) -> list[Data]:
    """Generate conformers by RDKit's ETKDGv3, without relaxation.

    Args:
        smiles: Molecule; stereo marks are kept.
        num: Number of conformers to try. Fewer may come back.
        seed: Seed, at least 0.

    Returns:
        Conformers.

    Raises:
        ValueError: If RDKit cannot embed the molecule.
    """
    return _conformers(embed(mol_from_smiles(smiles), num, seed, optimize=False))


def etkdg_mmff(smiles: str, num: int, seed: int) -> list[Data]:
    """Generate conformers by RDKit's ETKDGv3, relaxed by MMFF94; see :func:`etkdg`.

    Raises:
        ValueError: If RDKit cannot embed the molecule, or MMFF94 lacks parameters for it.
    """
    return _conformers(embed(mol_from_smiles(smiles), num, seed))


def etkdg_clustered(smiles: str, num: int, seed: int) -> list[Data]:
    """Generate many conformers by ETKDGv3, cluster them by heavy-atom RMSD, and return the ``num`` cluster centres.

    Ten times ``num`` conformers are drawn, but at most 500 or twice ``num``, whichever is more, and clustered by Ward's
    method; see :func:`etkdg`.

    References:
        G. Zhou et al. (2023), Do deep learning methods really perform better in molecular conformation generation?
        (that clustering alone raises recall)
    """
    mol = embed(mol_from_smiles(smiles), min(OVERSAMPLING * num, max(2 * num, MAX_POOL)), seed, optimize=False)
    num_drawn = mol.GetNumConformers()
    if num_drawn <= num:
        return _conformers(mol)
    pos = np.stack([conformer.GetPositions() for conformer in mol.GetConformers()])
    distances = best_rmsd(pos, pos, matchings(mol).atoms)
    picker = rdSimDivPickers.HierarchicalClusterPicker(rdSimDivPickers.ClusterMethod.WARD)
    chosen = set(picker.Pick(distances[np.tril_indices(num_drawn, -1)], num_drawn, num))
    for number, conformer in enumerate(list(mol.GetConformers())):
        if number not in chosen:
            mol.RemoveConformer(conformer.GetId())
    return _conformers(mol)


def etkdg_oversampled(smiles: str, num: int, seed: int) -> list[Data]:
    """Generate eight times as many conformers by ETKDGv3, relax them by MMFF94, and keep distinct ones of low energy.

    They are taken by energy, the lowest first, and differ from those before by 0.5 Angstrom or more; fewer than ``num``
    come back where there are no more. See :func:`etkdg`.

    Raises:
        ValueError: If RDKit cannot embed the molecule, or MMFF94 lacks parameters for it.
    """
    mol = embed(mol_from_smiles(smiles), DEEP * num, seed)
    made = _conformers(mol)
    for data, conformer in zip(made, mol.GetConformers(), strict=True):
        data.energy = conformer.GetDoubleProp("energy")
    return select(made, num, rmsd_cutoff=DISTINCT).samples


def etkdg_mmff_dielectric(smiles: str, num: int, seed: int, dielectric: float) -> list[Data]:
    """Generate conformers by ETKDGv3, relaxed by MMFF94 with weakened charges, as for ligands in proteins.

    Args:
        smiles: Molecule.
        num: Number of conformers to try.
        seed: Seed.
        dielectric: Dielectric constant, see :class:`~graphscore.molecules.forcefield.ForceField`.

    Raises:
        ValueError: If RDKit cannot embed the molecule, or MMFF94 lacks parameters for it.
    """
    refined = refine(etkdg(smiles, num, seed), "mmff", dielectric=dielectric)
    if not all("energy" in data for data in refined.samples):
        raise ValueError(f"MMFF94 cannot relax {smiles!r}: {'; '.join(refined.notes)}")
    return refined.samples


def openconf(smiles: str, num: int, seed: int, preset: str = "ensemble") -> list[Data]:
    """Generate conformers by the program openconf (Rowan Scientific; MIT), if it is installed.

    Args:
        smiles: Molecule.
        num: Largest number of conformers that are kept; fewer may come back.
        seed: Seed.
        preset: Its preset, ``"ensemble"`` or ``"docking"``.

    Raises:
        ImportError: If it is not installed; it needs Python 3.12.
        ValueError: If it cannot make conformers of the molecule.
    """
    program = _openconf()
    config = program.preset_config(preset)
    config.max_out, config.random_seed = num, seed
    try:
        with rdBase.BlockLogs():
            ensemble = program.generate_conformers(remove_hydrogens(mol_from_smiles(smiles)), config=config)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"openconf cannot make conformers of {smiles!r}: {error}") from error
    return [data_from_mol(ensemble.mol, number) for number in ensemble.conf_ids]


def openconf_docking(smiles: str, num: int, seed: int) -> list[Data]:
    """Generate conformers by the program openconf with its preset ``"docking"``; see :func:`openconf`."""
    return openconf(smiles, num, seed, "docking")


def _openconf() -> Any:
    try:
        return importlib.import_module("openconf")
    except (ImportError, SyntaxError) as error:  # on older Python
        raise ImportError("This baseline needs the program openconf: pip install openconf (Python 3.12)") from error


def check_baseline(name: str) -> Maker:
    """Find a baseline by its name.

    Raises:
        ValueError: If there is none.
        ImportError: If it needs a program that is not installed.
    """
    if name.startswith("openconf") and name in BASELINES:
        _openconf()
    return find(name, BASELINES, "baseline")


BASELINES: dict[str, Maker] = {
    "etkdg": etkdg,
    "etkdg-mmff": etkdg_mmff,
    "etkdg-mmff-4": partial(etkdg_mmff_dielectric, dielectric=4.0),
    "etkdg-mmff-10": partial(etkdg_mmff_dielectric, dielectric=10.0),
    "etkdg-clustered": etkdg_clustered,
    "etkdg-oversampled": etkdg_oversampled,
    "openconf": openconf,
    "openconf-docking": openconf_docking,
}
SELECTING: tuple[Maker, ...] = (etkdg_oversampled, openconf, openconf_docking)
"""Baselines that select distinct conformers, and may give fewer than asked for."""


def attempt(make: Maker, smiles: str, num: int, seed: int) -> list[Attempt]:
    """Generate conformers by a baseline, with the reason in place of each that is missing.

    Those that select distinct conformers miss none, unless there are none at all.
    """
    reason = "it was not made"
    try:
        with rdkit_errors():
            made = make(smiles, num, seed)
    except ValueError as error:
        made, reason = [], str(error)
    missing = 0 if made and make in SELECTING else num - len(made)
    return [*made, *[reason] * missing]


@dataclass(frozen=True)
class Baseline:
    """Baseline as a method of ``evaluate_methods``, with a fixed number of conformers per reference.

    Attributes:
        make: One of :data:`BASELINES`.
        per_reference: Number of conformers for each reference, of the same stereoisomer.
        seed: Seed of the distance geometry.
    """

    make: Maker
    per_reference: int
    seed: int

    def __call__(self, _: str, references: Sequence[Data]) -> list[Attempt]:
        """Generate conformers of a molecule; missing ones are failed attempts."""
        attempts: list[Attempt] = []
        for smiles, count in Counter(data.smiles for data in references).items():
            attempts += attempt(self.make, smiles, self.per_reference * count, self.seed)
        return attempts


def _conformers(mol: Chem.Mol) -> list[Data]:
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]
