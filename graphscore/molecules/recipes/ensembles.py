"""Recipes of the embedded ensembles; their cards are ``datasets/{gfn2_ensembles,wide_ensembles}/README.md``.

Every ensemble depends on its own SMILES, its part and the seed alone, not on the number of processes, the order of work
or interruptions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, get_args

from graphscore.data.split import PARTS
from graphscore.molecules import xtb
from graphscore.molecules.graph import rdBase
from graphscore.molecules.recipes import samples
from graphscore.molecules.recipes.lists import SEED, Job, Source, choose, flat_key, nci_smiles, read_smiles_file
from graphscore.molecules.recipes.records import compute_all, pack, packed
from graphscore.molecules.recipes.search import Search, search
from graphscore.molecules.recipes.settings import Level, choose_settings
from graphscore.molecules.smiles import mol_from_smiles

WIDE_SIZES = (10, 35)  # heavy atoms of drug-like molecules
WIDE_LEVELS: tuple[Level, ...] = ("gfn2//gfnff", "gfn2//mmff94")
_STEMS: dict[Level, str] = {"gfn2": "gfn2", "mmff94": "mmff94", "gfn2//gfnff": "wide", "gfn2//mmff94": "sampled"}


def data_file(level: Level) -> str:
    """Return the name of the data file."""
    return f"{_STEMS[level]}_ensembles.npz"


def work_file(level: Level) -> str:
    """Return the name of the work file, from which an interrupted run is resumed."""
    return f"{_STEMS[level]}_ensembles.jsonl"


def build(
    out: str | Path,
    sources: Sequence[Source],
    exclude: Sequence[str] = (),
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    level: Level = "gfn2",
) -> tuple[Path, Path]:
    """Compute conformer ensembles and write the data file, resuming an earlier run in the same folder.

    Args:
        out: Folder for the data file, the report of rejected molecules and conformers, and the work file.
        sources: Lists of molecules; a molecule in several lists belongs to the first.
        exclude: SMILES of molecules that are allowed in sources with a fixed ``part`` alone.
        num_workers: Number of processes; 0 for one per CPU core.
        progress: Called with (molecules done, total) after each molecule.
        level: Energy surface whose minima are the conformers.

    Returns:
        Paths of the data file and of the report.

    Raises:
        RuntimeError: If there is no program ``xtb`` and the level needs it.
        ValueError: If the folder holds ensembles of another level.
    """
    out = Path(out)
    for other in get_args(Level):
        if other != level and (out / work_file(other)).exists():
            raise ValueError(
                f"{out} holds ensembles of level {other}; give those of level {level} a folder of their own"
            )
    versions = _versions(level)
    out.mkdir(parents=True, exist_ok=True)
    rejects: list[tuple[str, str, str]] = []
    jobs = choose(sources, exclude, rejects)
    keyed = {flat_key(job.smiles): job for job in jobs}
    records = compute_all(partial(compute, level=level), keyed, out / work_file(level), num_workers, progress)
    return pack(records, out / data_file(level), versions, rejects, level)


def build_from_files(
    out: str | Path,
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    smiles: Sequence[Path] = (),
    test: Sequence[Path] = (),
    exclude: Sequence[Path] = (),
    limit: int | None = None,
    part: str | None = None,
    level: Level = "gfn2",
) -> tuple[Path, Path]:
    """Compute conformer ensembles of the molecules in files; see :func:`build`.

    Args:
        out: Folder to write to, and to resume from.
        num_workers: Number of processes; 0 for one per CPU core.
        progress: Called with (molecules done, total) after each molecule.
        smiles: Lists of molecules, split by scaffold and molecule.
        test: Lists of test molecules. Without ``smiles`` and ``test``, RDKit's NCI list and its fragments are used.
        exclude: Lists of molecules to leave out, also from ``smiles``.
        limit: Largest number of molecules of each list, drawn by a hash.
        part: Part to which molecules of split lists are restricted; all parts by default.
        level: Energy surface whose minima are the conformers.

    Returns:
        Paths of the data file and of the report.

    Raises:
        RuntimeError: If there is no program ``xtb`` and the level needs it.
        ValueError: If a list holds no molecules, there is no such part or level, or the folder holds another level.
    """
    _check_known("part", part, (None, *PARTS))
    _check_known("level", level, get_args(Level))
    sources = [Source(_name(path), read_smiles_file(path), part="test", limit=limit) for path in test]
    sources += [Source(_name(path), read_smiles_file(path), only=part, limit=limit) for path in smiles]
    banned = [text for path in (*test, *exclude) for text in read_smiles_file(path, every_column=True)]
    return build(
        out, sources or [Source("nci", nci_smiles(), only=part, limit=limit)], banned, num_workers, progress, level
    )


def build_wide(
    out: str | Path,
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    smiles: Sequence[Path] = (),
    exclude: Sequence[Path] = (),
    limit: int | None = None,
    part: str | None = None,
    level: Level = "gfn2//gfnff",
) -> tuple[Path, Path]:
    """Compute wide ensembles of the neutral drug-like molecules in files; see :func:`build`.

    Args:
        out: Folder for the data file, the report and the work file.
        num_workers: Number of processes; 0 for one per CPU core.
        progress: Called with (molecules done, total) after each molecule.
        smiles: Lists of molecules, split by scaffold and molecule; those of :data:`WIDE_SIZES` heavy atoms are taken.
        exclude: Lists of molecules to leave out.
        limit: Largest number of molecules of each list, drawn by a hash.
        part: Part to which molecules are restricted; all parts by default.
        level: ``"gfn2//gfnff"``, the default, or ``"gfn2//mmff94"`` for a search from samples of the shipped model.

    Returns:
        Paths of the data file and of the report.

    Raises:
        RuntimeError: If there is no program ``xtb``.
        ValueError: If there is no list, a list holds no molecules, there is no such part or level, or the folder holds
            another level.
    """
    _check_known("part", part, (None, *PARTS))
    _check_known("level", level, WIDE_LEVELS)
    if not smiles:
        raise ValueError("wide-ensembles needs lists of molecules: --smiles FILE")
    sources = [
        Source(_name(path), read_smiles_file(path), WIDE_SIZES, only=part, limit=limit, neutral=True) for path in smiles
    ]
    banned = [text for path in exclude for text in read_smiles_file(path, every_column=True)]
    return build(out, sources, banned, num_workers, progress, level)


def _check_known(what: str, name: str | None, known: Sequence[str | None]) -> None:
    if name not in known:
        raise ValueError(f"There is no {what} {name!r}; expected one of {[name for name in known if name]}")


def _name(path: Path) -> str:
    return path.name.split(".")[0]


def compute(job: Job, level: Level = "gfn2") -> dict[str, Any]:
    """Compute the ensemble of one molecule as a record of plain values."""
    size = mol_from_smiles(job.smiles).GetNumHeavyAtoms()
    try:
        result = search(job.smiles, choose_settings(level, size, job.part == "train"), SEED)
    except Exception as error:
        result = Search(None)
        failure = [{"smiles": job.smiles, "stage": "search", "reason": f"{type(error).__name__}: {error}"}]
    else:
        failure = []
    return asdict(job) | {
        "flat": flat_key(job.smiles),
        "counts": result.counts,
        "rejects": failure + [asdict(reject) for reject in result.rejects],
        "ensemble": None if result.ensemble is None else packed(result.ensemble),
    }


def _versions(level: Level) -> list[str]:
    """Versions of the programs and weights that make the ensembles, since others may find other conformers."""
    of_samples = samples.versions() if level == "gfn2//mmff94" else []
    return [f"rdkit {rdBase.rdkitVersion}", *([f"xtb {xtb.version()}"] if level != "mmff94" else []), *of_samples]
