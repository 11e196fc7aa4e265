"""Work files and data files of the recipes: computed ensembles as records, resumption, packing."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from graphscore.data.formats.npz import write_npz
from graphscore.data.split import PARTS
from graphscore.molecules.recipes.search import Ensemble
from graphscore.runtime.workers import map_in_workers

Item = TypeVar("Item")
UNIT = 1e-3  # Angstrom per stored integer
REJECTS_FILE = "rejects.csv"


def compute_all(
    function: Callable[[Item], dict[str, Any]],
    items: Mapping[str, Item],
    work: Path,
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    key: str = "flat",
) -> list[dict[str, Any]]:
    """Compute the records of molecules, and write each to the work file as soon as it is done.

    Args:
        function: Function that can be imported and computes the record of an item.
        items: What is to be computed, by the key of its record; what the work file has is not computed again.
        work: Work file, one JSON record per line; it is made or continued.
        num_workers: Number of processes; 0 for one per CPU core.
        progress: Called with (molecules done, total) after each molecule.
        key: Name of the entry of a record that identifies it.

    Returns:
        All records of the work file, also those of earlier runs.
    """
    done = {record[key] for record in read_records(work)}
    left = [item for name, item in items.items() if name not in done]
    with work.open("a", encoding="utf-8") as file, closing(map_in_workers(function, left, num_workers)) as records:
        for number, record in enumerate(records, start=1):
            file.write(json.dumps(record) + "\n")
            file.flush()
            if progress is not None:
                progress(len(items) - len(left) + number, len(items))
    return read_records(work)


def packed(ensemble: Ensemble) -> dict[str, Any]:
    """Convert an ensemble to plain values for a record."""
    pos = np.rint(ensemble.pos / UNIT).astype(np.int16)
    return {
        "smiles": ensemble.smiles,
        "shape": pos.shape,
        "pos": base64.b64encode(pos.tobytes()).decode(),
        "energies": ensemble.energies.round(4).tolist(),
        "mirrors": ensemble.mirrors.tolist(),
    }


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the work file, and remove an incomplete last line, which an interruption may leave."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


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
        records: Records of molecules, as in the work file.
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
    arrays = {
        "smiles": np.array([e["smiles"].encode() for e in ensembles]),
        "source": np.array([sources.index(record["source"]) for record in found], dtype=np.uint8),
        "sources": np.array([name.encode() for name in sources]),
        "environments": np.array([environment.encode() for _ in sources]),
        "part": np.array([PARTS.index(record["part"]) for record in found], dtype=np.uint8),
        "num_conformers": np.array([e["shape"][0] for e in ensembles], dtype=np.uint16),
        "num_atoms": np.array([e["shape"][1] for e in ensembles], dtype=np.uint16),
        "energies": np.array([x for e in ensembles for x in e["energies"]], dtype=np.float16),
        "mirrors": np.array([x for e in ensembles for x in e["mirrors"]], dtype=bool),
        "pos": np.concatenate(blocks) if blocks else np.zeros((0, 3), dtype=np.int16),
        "level": np.array(level.encode()),
        "versions": np.array([version.encode() for version in versions]),
    }
    write_npz(path, arrays)
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
