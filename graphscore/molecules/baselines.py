"""Baseline conformers by RDKit alone: ETKDG, with MMFF94 or clustering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit.SimDivFilters import rdSimDivPickers
from torch_geometric.data import Data

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem, data_from_mol
from graphscore.molecules.metrics.comparison import Attempt
from graphscore.molecules.metrics.rmsd import best_rmsd, matchings
from graphscore.molecules.smiles import mol_from_smiles, rdkit_errors

OVERSAMPLING = 10
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


BASELINES: dict[str, Callable[[str, int, int], list[Data]]] = {
    "etkdg": etkdg,
    "etkdg-mmff": etkdg_mmff,
    "etkdg-clustered": etkdg_clustered,
}


@dataclass(frozen=True)
class Baseline:
    """Baseline as a method of ``evaluate_methods``, with a fixed number of conformers per reference.

    Attributes:
        make: One of :data:`BASELINES`.
        per_reference: Number of conformers for each reference, of the same stereoisomer.
        seed: Seed of the distance geometry.
    """

    make: Callable[[str, int, int], list[Data]]
    per_reference: int
    seed: int

    def __call__(self, _: str, references: Sequence[Data]) -> list[Attempt]:
        """Generate conformers of a molecule; missing ones are failed attempts."""
        attempts: list[Attempt] = []
        for smiles, count in Counter(data.smiles for data in references).items():
            num = self.per_reference * count
            try:
                with rdkit_errors():
                    made, reason = self.make(smiles, num, self.seed), "it was not made"
            except ValueError as error:
                made, reason = [], str(error)
            attempts += [*made, *[reason] * (num - len(made))]
        return attempts


def _conformers(mol: Chem.Mol) -> list[Data]:
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]
