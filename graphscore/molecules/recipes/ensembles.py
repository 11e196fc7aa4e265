"""Recipes of the embedded ensembles; their cards are ``datasets/{gfn2_ensembles,wide_ensembles}/README.md``.

Every ensemble depends on its own SMILES, its part and the seed alone, not on the number of processes, the order of work
or interruptions.
"""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from graphscore.data.split import PARTS
from graphscore.molecules import xtb
from graphscore.molecules.graph import rdBase
from graphscore.molecules.recipes.lists import SEED, Job, Source, choose, flat_key, nci_smiles, read_smiles_file
from graphscore.molecules.recipes.search import Search, search
from graphscore.molecules.recipes.settings import Level, choose_settings
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.runtime.workers import map_in_workers

UNIT = 1e-3  # Angstrom per stored integer
REJECTS_FILE = "rejects.csv"
WIDE_SIZES = (10, 35)  # heavy atoms of drug-like molecules
_STEMS: dict[Level, str] = {"gfn2": "gfn2", "mmff94": "mmff94", "gfn2//gfnff": "wide"}


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
    jobs = list(choose(sources, exclude, rejects))
    work = out / work_file(level)
    done = {record["flat"] for record in read_records(work)}
    left = [job for job in jobs if flat_key(job.smiles) not in done]
    with (
        work.open("a", encoding="utf-8") as file,
        closing(map_in_workers(partial(compute, level=level), left, num_workers)) as records,
    ):
        for number, record in enumerate(records, start=1):
            file.write(json.dumps(record) + "\n")
            file.flush()
            if progress is not None:
                progress(len(jobs) - len(left) + number, len(jobs))
    return pack(read_records(work), out / data_file(level), versions, rejects, level)


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
) -> tuple[Path, Path]:
    """Compute wide ensembles of the neutral drug-like molecules in files: level ``gfn2//gfnff`` of :func:`build`.

    Args:
        out: Folder to write to, and to resume from.
        num_workers: Number of processes; 0 for one per CPU core.
        progress: Called with (molecules done, total) after each molecule.
        smiles: Lists of molecules, split by scaffold and molecule; those of :data:`WIDE_SIZES` heavy atoms are taken.
        exclude: Lists of molecules to leave out.
        limit: Largest number of molecules of each list, drawn by a hash.
        part: Part to which molecules are restricted; all parts by default.

    Returns:
        Paths of the data file and of the report.

    Raises:
        RuntimeError: If there is no program ``xtb``.
        ValueError: If there is no list, a list holds no molecules, there is no such part, or the folder holds another
            level.
    """
    _check_known("part", part, (None, *PARTS))
    if not smiles:
        raise ValueError("wide-ensembles needs lists of molecules: --smiles FILE")
    sources = [
        Source(_name(path), read_smiles_file(path), WIDE_SIZES, only=part, limit=limit, neutral=True) for path in smiles
    ]
    banned = [text for path in exclude for text in read_smiles_file(path, every_column=True)]
    return build(out, sources, banned, num_workers, progress, "gfn2//gfnff")


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
    record = asdict(job) | {
        "flat": flat_key(job.smiles),
        "counts": result.counts,
        "rejects": failure + [asdict(reject) for reject in result.rejects],
        "ensemble": None,
    }
    if (found := result.ensemble) is not None:
        pos = np.rint(found.pos / UNIT).astype(np.int16)
        record["ensemble"] = {
            "smiles": found.smiles,
            "shape": pos.shape,
            "pos": base64.b64encode(pos.tobytes()).decode(),
            "energies": found.energies.round(4).tolist(),
            "mirrors": found.mirrors.tolist(),
        }
    return record


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the work file, and remove an incomplete last line, which an interruption may leave."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def _versions(level: Level) -> list[str]:
    """Versions of the programs that make the ensembles, since other versions may find other conformers."""
    return [f"rdkit {rdBase.rdkitVersion}", *([f"xtb {xtb.version()}"] if level != "mmff94" else [])]


def pack(
    records: Sequence[dict[str, Any]],
    path: Path,
    versions: Sequence[str],
    rejects: Sequence[tuple[str, str, str]] = (),
    level: str = "gfn2",
    environment: str = "gas",
) -> tuple[Path, Path]:
    """Write the data file and the report from the records of all molecules.

    The arrays have one row per molecule, per conformer, or per atom of each conformer, and need no pickles.

    Args:
        records: Results of :func:`compute`.
        path: Data file.
        versions: Names and versions of the programs that made them.
        rejects: (source, SMILES, reason) of molecules that were passed over.
        level: Name of the level of theory.
        environment: Where the molecules of each source are: ``"gas"``, ``"crystal"`` or ``"solvent"``.

    Returns:
        Paths of the data file and of the report, which is in the same folder.
    """
    found = sorted((r for r in records if r["ensemble"] is not None), key=lambda r: r["flat"])
    ensembles = [record["ensemble"] for record in found]
    blocks = [np.frombuffer(base64.b64decode(e["pos"]), dtype=np.int16).reshape(-1, 3) for e in ensembles]
    sources = sorted({record["source"] for record in found})
    np.savez_compressed(
        path,
        smiles=np.array([e["smiles"].encode() for e in ensembles]),
        source=np.array([sources.index(record["source"]) for record in found], dtype=np.uint8),
        sources=np.array([name.encode() for name in sources]),
        environments=np.array([environment.encode() for _ in sources]),
        part=np.array([PARTS.index(record["part"]) for record in found], dtype=np.uint8),
        num_conformers=np.array([e["shape"][0] for e in ensembles], dtype=np.uint16),
        num_atoms=np.array([e["shape"][1] for e in ensembles], dtype=np.uint16),
        energies=np.array([x for e in ensembles for x in e["energies"]], dtype=np.float16),
        mirrors=np.array([x for e in ensembles for x in e["mirrors"]], dtype=bool),
        pos=np.concatenate(blocks) if blocks else np.zeros((0, 3), dtype=np.int16),
        level=np.array(level.encode()),
        versions=np.array([version.encode() for version in versions]),
    )
    report = path.with_name(REJECTS_FILE)
    passed_over = dict.fromkeys([*_passed_over(report), *rejects])
    with report.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["source", "smiles", "stage", "reason"])
        writer.writerows((source, smiles, "source", reason) for source, smiles, reason in passed_over)
        for record in sorted(records, key=lambda r: r["flat"]):
            writer.writerows((record["source"], r["smiles"], r["stage"], r["reason"]) for r in record["rejects"])
    return path, report


def _passed_over(report: Path) -> list[tuple[str, str, str]]:
    """Molecules that earlier runs in the same folder skipped; other rejects are in the work file."""
    if not report.is_file():
        return []
    with report.open(newline="", encoding="utf-8") as file:
        return [(r["source"], r["smiles"], r["reason"]) for r in csv.DictReader(file) if r["stage"] == "source"]
