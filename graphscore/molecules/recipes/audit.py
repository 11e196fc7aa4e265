"""Audits of the embedded ensembles: a second search with another seed, and a comparison of their sizes with GEOM."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np

from graphscore.data.split import PARTS
from graphscore.molecules import xtb
from graphscore.molecules.datasets.ensembles import GFN2Ensembles
from graphscore.molecules.graph import Chem
from graphscore.molecules.recipes.lists import SEED, flat_key
from graphscore.molecules.recipes.search import Ensemble, of_others, search
from graphscore.molecules.recipes.settings import TRAINING, Level, choose_settings
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.runtime.workers import map_in_workers

LOW = 1.0  # kcal/mol; lower conformers dominate at room temperature
COUNT_COLUMN = "n_conformers"
LEVELS: tuple[Level, ...] = ("gfn2", "gfn2//gfnff", "gfn2//mmff94")


def audit_second_seed(
    path: str | Path | None = None,
    num_molecules: int = 100,
    sources: Sequence[str] | None = None,
    part: str = "train",
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Repeat the conformer search with another seed and equal effort, and count conformers missing from the data.

    Args:
        path: Data file; by default the embedded one.
        num_molecules: Number of molecules to draw.
        sources: Lists to draw from; all by default.
        part: Part to draw from.
        num_workers: Number of processes; 0 for one per CPU core.
        progress: Called with (molecules done, total).

    Returns:
        ``molecules`` and ``failed``, counts; ``new_lowest`` and ``new_low``, shares of molecules with a missing
        conformer below the lowest stored one, or at most :data:`LOW` kcal/mol above the lowest of all; ``known``, the
        share of conformers of the second search that are stored.

    Raises:
        RuntimeError: If there is no program ``xtb``.
        ValueError: If there is nothing to draw from, or the file is of another level than :data:`LEVELS`.
    """
    xtb.version()
    dataset = GFN2Ensembles(path, sources=sources)
    drawn = [i for i, source in enumerate(dataset.source) if source in dataset.sources and dataset.part[i] == part]
    if not drawn:
        raise ValueError(f"There are no molecules of {dataset.sources} in part {part!r}; parts are {list(PARTS)}")
    drawn = random.Random(SEED).sample(drawn, min(num_molecules, len(drawn)))
    if dataset.level not in LEVELS:
        raise ValueError(f"An audit needs ensembles of level {' or '.join(LEVELS)}, but theirs is {dataset.level!r}")
    level = cast(Level, dataset.level)
    jobs: list[tuple[Ensemble, Level, bool]] = [(dataset.ensemble(one), level, part == "train") for one in drawn]
    rows = []
    with closing(map_in_workers(_search_again, jobs, num_workers)) as searched:
        for number, row in enumerate(searched, start=1):
            rows.append(row)
            if progress is not None:
                progress(number, len(jobs))
    found = [row for row in rows if row is not None]
    missed = [energies[new] for energies, new in found]
    return {
        "molecules": len(rows),
        "failed": len(rows) - len(found),
        "new_lowest": _mean([bool((new < -TRAINING.min_energy).any()) for new in missed]),
        "new_low": _mean(
            [
                bool((new <= min(energies.min(), 0.0) + LOW).any())
                for (energies, _), new in zip(found, missed, strict=True)
            ]
        ),
        "known": _mean([not new for _, flags in found for new in flags]),
    }


def _search_again(job: tuple[Ensemble, Level, bool]) -> tuple[np.ndarray, np.ndarray] | None:
    """Energies of a second search above the lowest stored conformer, kcal/mol, and a flag for each that is missing."""
    stored, level, training = job
    mol = mol_from_smiles(stored.smiles)
    settings = choose_settings(level, mol.GetNumHeavyAtoms(), training)
    result = search(stored.smiles, settings, SEED + 1).ensemble
    if result is None or result.smiles != stored.smiles:
        return None
    symbols, charge = [atom.GetSymbol() for atom in mol.GetAtoms()], Chem.GetFormalCharge(mol)
    lowest = [xtb.single_point(symbols, ensemble.pos[0], charge).energy for ensemble in (stored, result)]
    energies = result.energies + lowest[1] - lowest[0]
    return energies, of_others(stored, result.pos, energies, settings)


def audit_counts(lists: Sequence[Path], path: str | Path | None = None) -> dict[str, Any]:
    """Compare the numbers of stored conformers with published numbers, such as GeoMol's lists of GEOM molecules.

    Args:
        lists: Tables with columns ``smiles`` and ``n_conformers``.
        path: Data file; by default the embedded one.

    Returns:
        ``molecules``, the number in both; ``impossible``, the number of rows without a valid molecule or number;
        ``stored`` and ``listed``, median numbers of conformers, mirror images included; ``rank_correlation``,
        Spearman's.

    Raises:
        ValueError: If a list lacks a column, or fewer than three molecules are in both.
    """
    listed: dict[str, int] = {}
    impossible = 0
    for file in lists:
        with file.open(newline="", encoding="utf-8") as stream:
            table = csv.DictReader(stream)
            if missing := {"smiles", COUNT_COLUMN} - set(table.fieldnames or ()):
                raise ValueError(f"{file} needs columns {sorted(missing)}, but has {table.fieldnames}")
            for row in table:
                try:
                    listed[flat_key(row.get("corrected_smiles") or row["smiles"])] = int(row[COUNT_COLUMN])
                except ValueError:
                    impossible += 1
    dataset = GFN2Ensembles(path)
    pairs = []
    for molecule, smiles in enumerate(dataset.smiles):
        if (count := listed.get(flat_key(smiles))) is not None:
            ensemble = dataset.ensemble(molecule)
            pairs.append((len(ensemble.pos) + int(ensemble.mirrors.sum()), count))
    if len(pairs) < 3:
        raise ValueError(f"Only {len(pairs)} molecules of {[str(file) for file in lists]} have ensembles")
    ours, theirs = np.array(pairs).T
    return {
        "molecules": len(pairs),
        "impossible": impossible,
        "stored": float(np.median(ours)),
        "listed": float(np.median(theirs)),
        "rank_correlation": float(np.corrcoef(_ranks(ours), _ranks(theirs))[0, 1]),
    }


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks in ascending order; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - 0.5 * (counts - 1))[place]


def _mean(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None
