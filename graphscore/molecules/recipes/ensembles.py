"""Recipe of the embedded GFN2-xTB ensembles; the card is ``datasets/gfn2_ensembles/README.md``.

Every ensemble depends on its own SMILES, its part and the seed alone, so it does not matter how many processes work, in
what order, or where a run was interrupted.
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


def data_file(level: Level) -> str:
    """Name of the file that is made."""
    return f"{level}_ensembles.npz"


def work_file(level: Level) -> str:
    """Name of the file to resume from."""
    return f"{level}_ensembles.jsonl"


def build(
    out: str | Path,
    sources: Sequence[Source],
    exclude: Sequence[str] = (),
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    level: Level = "gfn2",
) -> tuple[Path, Path]:
    """Compute ensembles, going on where an earlier run in the same folder stopped, and pack all that are there.

    Args:
        out: Folder; it gets the data file, the report of all that was left out, and the work file to resume from.
        sources: Lists of molecules; of a molecule in several, the first counts.
        exclude: SMILES of molecules that are only allowed in sources with a ``part`` of their own.
        num_workers: Processes; 0 takes one per CPU core.
        progress: Called with (molecules done, molecules in all) after each molecule.
        level: What conformers are minima of.

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
        closing(map_in_workers(partial(compute, level=level), left, num_workers, chunk=4)) as records,
    ):
        for number, record in enumerate(records, start=1):
            file.write(json.dumps(record) + "\n")
            file.flush()
            if progress is not None:
                progress(len(jobs) - len(left) + number, len(jobs))
    return pack(read_records(work), out / data_file(level), versions, rejects)


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
    """Compute ensembles of the molecules of files; see :func:`build`.

    Args:
        out: Folder to write to, and to resume from.
        num_workers: Processes; 0 takes one per CPU core.
        progress: Called with (molecules done, molecules in all) after each molecule.
        smiles: Lists of molecules, split by scaffold and molecule.
        test: Lists of molecules that are all for testing; without either, RDKit's NCI list and its pieces are taken.
        exclude: Lists of molecules to leave out, also from ``smiles``.
        limit: Most molecules of each list, drawn by a hash.
        part: Of lists that are split, take this part alone.
        level: What conformers are minima of.

    Returns:
        Paths of the data file and of the report.

    Raises:
        RuntimeError: If there is no program ``xtb`` and the level needs it.
        ValueError: If a list holds no molecules, there is no such part or level, or the folder holds another level.
    """
    for what, name, known in (("part", part, (None, *PARTS)), ("level", level, get_args(Level))):
        if name not in known:
            raise ValueError(f"There is no {what} {name!r}; expected one of {[name for name in known if name]}")
    sources = [Source(_name(path), read_smiles_file(path), part="test", limit=limit) for path in test]
    sources += [Source(_name(path), read_smiles_file(path), only=part, limit=limit) for path in smiles]
    banned = [text for path in (*test, *exclude) for text in read_smiles_file(path, every_column=True)]
    return build(
        out, sources or [Source("nci", nci_smiles(), only=part, limit=limit)], banned, num_workers, progress, level
    )


def _name(path: Path) -> str:
    return path.name.split(".")[0]


def compute(job: Job, level: Level = "gfn2") -> dict[str, Any]:
    """Compute one molecule's ensemble as a record of plain values."""
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
    """Read the work file; a last line that an interruption cut short does not count."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def _versions(level: Level) -> list[str]:
    """The programs behind the ensembles: others may find other conformers."""
    return [f"rdkit {rdBase.rdkitVersion}", *([f"xtb {xtb.version()}"] if level == "gfn2" else [])]


def pack(
    records: Sequence[dict[str, Any]], path: Path, versions: Sequence[str], rejects: Sequence[tuple[str, str, str]] = ()
) -> tuple[Path, Path]:
    """Write arrays without pickles: one row per molecule, per conformer, or per atom of each conformer."""
    found = sorted((r for r in records if r["ensemble"] is not None), key=lambda r: r["flat"])
    ensembles = [record["ensemble"] for record in found]
    blocks = [np.frombuffer(base64.b64decode(e["pos"]), dtype=np.int16).reshape(-1, 3) for e in ensembles]
    sources = sorted({record["source"] for record in found})
    np.savez_compressed(
        path,
        smiles=np.array([e["smiles"].encode() for e in ensembles]),
        source=np.array([sources.index(record["source"]) for record in found], dtype=np.uint8),
        sources=np.array([name.encode() for name in sources]),
        part=np.array([PARTS.index(record["part"]) for record in found], dtype=np.uint8),
        num_conformers=np.array([e["shape"][0] for e in ensembles], dtype=np.uint16),
        num_atoms=np.array([e["shape"][1] for e in ensembles], dtype=np.uint16),
        energies=np.array([x for e in ensembles for x in e["energies"]], dtype=np.float16),
        mirrors=np.array([x for e in ensembles for x in e["mirrors"]], dtype=bool),
        pos=np.concatenate(blocks) if blocks else np.zeros((0, 3), dtype=np.int16),
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
    """Molecules that earlier runs in the same folder passed over; the work file holds the rest of their reports."""
    if not report.is_file():
        return []
    with report.open(newline="", encoding="utf-8") as file:
        return [(r["source"], r["smiles"], r["reason"]) for r in csv.DictReader(file) if r["stage"] == "source"]
