"""How the embedded GFN2-xTB ensembles are made; the card is ``datasets/gfn2_ensembles/README.md``.

Every ensemble depends on its own SMILES, its part and the seed alone, so it does not matter how many processes work, in
what order, or where a run was interrupted.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from graphscore.data import xtb
from graphscore.data.conformer_search import THOROUGH, Search, Settings, search
from graphscore.data.molecules import Chem, flat_smiles, mol_from_smiles, rdBase, scaffold_smiles
from graphscore.data.small_molecules_recipe import nci_file, pieces
from graphscore.data.split import PARTS, part_of

ELEMENTS = frozenset({1, 6, 7, 8, 9, 15, 16, 17, 35, 53})
SEED = 0
UNIT = 1e-3  # Angstrom per stored integer
TEST_SCAFFOLDS, VALIDATION_MOLECULES = 0.05, 0.03
LARGE = 14  # heavy atoms; beyond, optimisations cost seconds
LARGE_SETTINGS = Settings(num_knowledge=4, num_plain=4, max_optimizations=4)
WORK_FILE, DATA_FILE, REJECTS_FILE = "ensembles.jsonl", "gfn2_ensembles.npz", "rejects.csv"


@dataclass(frozen=True)
class Source:
    """A list of molecules.

    Attributes:
        name: Kept with each ensemble.
        smiles: One SMILES per molecule.
        sizes: Smallest and largest number of heavy atoms.
        part: The part that all go to; by default it is decided by scaffold and molecule.
        limit: Most molecules that are taken, drawn by a hash.
    """

    name: str
    smiles: Sequence[str]
    sizes: tuple[int, int] = (1, 40)
    part: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Job:
    """One molecule to compute."""

    source: str
    smiles: str
    part: str


def build(
    out: str | Path,
    sources: Sequence[Source],
    exclude: Sequence[str] = (),
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Compute ensembles, going on where an earlier run in the same folder stopped, and pack all that are there.

    Args:
        out: Folder; it gets the data file, the report of all that was left out, and the work file to resume from.
        sources: Lists of molecules; of a molecule in several, the first counts.
        exclude: SMILES of molecules that are only allowed in sources with a ``part`` of their own.
        num_workers: Processes; 0 takes one per CPU core.
        progress: Called with (molecules done, molecules in all) after each molecule.

    Returns:
        Paths of the data file and of the report.

    Raises:
        RuntimeError: If there is no program ``xtb``.
    """
    xtb.version()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rejects: list[tuple[str, str, str]] = []
    jobs = list(_jobs(sources, exclude, rejects))
    work = out / WORK_FILE
    done = {record["flat"] for record in read_records(work)}
    left = [job for job in jobs if flat_key(job.smiles) not in done]
    # Spawned, not forked: forking a process that runs threads, as torch does, may hang.
    with (
        work.open("a", encoding="utf-8") as file,
        ProcessPoolExecutor(num_workers or os.cpu_count(), mp_context=get_context("spawn")) as pool,
    ):
        for number, record in enumerate(pool.map(compute, left, chunksize=4), start=1):
            file.write(json.dumps(record) + "\n")
            file.flush()
            if progress is not None:
                progress(len(jobs) - len(left) + number, len(jobs))
    return pack(read_records(work), out, rejects)


def build_from_files(
    out: str | Path,
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    smiles: Sequence[Path] = (),
    test: Sequence[Path] = (),
    exclude: Sequence[Path] = (),
    limit: int | None = None,
) -> tuple[Path, Path]:
    """Compute ensembles of the molecules of files; see :func:`build`.

    Args:
        out: Folder to write to, and to resume from.
        num_workers: Processes; 0 takes one per CPU core.
        progress: Called with (molecules done, molecules in all) after each molecule.
        smiles: Lists of molecules, split by scaffold and molecule; by default RDKit's NCI list and its pieces.
        test: Lists of molecules that are all for testing.
        exclude: Lists of molecules to leave out, also from ``smiles``.
        limit: Most molecules of each list, drawn by a hash.

    Returns:
        Paths of the data file and of the report.

    Raises:
        RuntimeError: If there is no program ``xtb``.
        ValueError: If a list holds no molecules.
    """
    tests = [Source(_list_name(path), _read_list(path), part="test", limit=limit) for path in test]
    lists = [Source(_list_name(path), _read_list(path), limit=limit) for path in smiles]
    banned = [text for path in (*test, *exclude) for text in _read_list(path)]
    return build(out, tests + (lists or [Source("nci", nci_smiles(), limit=limit)]), banned, num_workers, progress)


def _list_name(path: Path) -> str:
    return path.name.split(".")[0]


def _read_list(path: Path) -> list[str]:
    found = read_smiles_file(path)
    if not found:
        raise ValueError(f"{path} holds no molecules")
    return found


def compute(job: Job) -> dict[str, Any]:
    """Compute one molecule's ensemble as a record of plain values."""
    size = mol_from_smiles(job.smiles).GetNumHeavyAtoms()
    settings = THOROUGH if job.part != "train" else LARGE_SETTINGS if size > LARGE else Settings()
    try:
        result = search(job.smiles, settings, SEED)
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


def pack(
    records: Sequence[dict[str, Any]], out: Path, rejects: Sequence[tuple[str, str, str]] = ()
) -> tuple[Path, Path]:
    """Write arrays without pickles: one row per molecule, per conformer, or per atom of each conformer.

    The versions of the programs go along: others may find other conformers.
    """
    found = sorted((r for r in records if r["ensemble"] is not None), key=lambda r: r["flat"])
    ensembles = [record["ensemble"] for record in found]
    blocks = [np.frombuffer(base64.b64decode(e["pos"]), dtype=np.int16).reshape(-1, 3) for e in ensembles]
    sources = sorted({record["source"] for record in found})
    np.savez_compressed(
        out / DATA_FILE,
        smiles=np.array([e["smiles"].encode() for e in ensembles]),
        source=np.array([sources.index(record["source"]) for record in found], dtype=np.uint8),
        sources=np.array([name.encode() for name in sources]),
        part=np.array([PARTS.index(record["part"]) for record in found], dtype=np.uint8),
        num_conformers=np.array([e["shape"][0] for e in ensembles], dtype=np.uint16),
        num_atoms=np.array([e["shape"][1] for e in ensembles], dtype=np.uint16),
        energies=np.array([x for e in ensembles for x in e["energies"]], dtype=np.float16),
        mirrors=np.array([x for e in ensembles for x in e["mirrors"]], dtype=bool),
        pos=np.concatenate(blocks) if blocks else np.zeros((0, 3), dtype=np.int16),
        versions=np.array([f"rdkit {rdBase.rdkitVersion}".encode(), f"xtb {xtb.version()}".encode()]),
    )
    with (out / REJECTS_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["source", "smiles", "stage", "reason"])
        writer.writerows((source, smiles, "source", reason) for source, smiles, reason in rejects)
        for record in sorted(records, key=lambda r: r["flat"]):
            writer.writerows((record["source"], r["smiles"], r["stage"], r["reason"]) for r in record["rejects"])
    return out / DATA_FILE, out / REJECTS_FILE


def nci_smiles() -> list[str]:
    """The molecules of RDKit's NCI list, and both sides of each of their acyclic single bonds, capped by hydrogen."""
    found = []
    for smiles in read_smiles_file(nci_file()):
        try:
            mol = Chem.RemoveHs(mol_from_smiles(smiles))
        except ValueError:
            found.append(smiles)  # reported like any wrong SMILES
            continue
        found += [flat_smiles(mol), *(flat_smiles(piece) for piece in pieces(mol))]
    return found


def read_smiles_file(path: Path) -> list[str]:
    """First words of the lines, or the column ``smiles`` of a table; empty lines are skipped."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = text.decode().splitlines()
    if path.name.removesuffix(".gz").endswith(".csv"):
        rows = list(csv.DictReader(lines))
        columns = [name for name in ("smiles", "corrected_smiles") if rows and name in rows[0]]
        if not columns:
            raise ValueError(f"{path} needs a column smiles, but has {list(rows[0]) if rows else 'no rows'}")
        return [row[columns[-1]] for row in rows]
    return [line.split()[0] for line in lines if line.split()]


def flat_key(smiles: str) -> str:
    """The SMILES without stereo marks, by which molecules are told apart."""
    return flat_smiles(mol_from_smiles(smiles))


def part_of_molecule(flat: str) -> str:
    """Test molecules have scaffolds that no other part has; validation molecules are drawn from the rest."""
    scaffold = scaffold_smiles(flat) or flat
    if part_of(scaffold, (1 - TEST_SCAFFOLDS, TEST_SCAFFOLDS), SEED):
        return "test"
    return "val" if part_of(flat, (1 - VALIDATION_MOLECULES, VALIDATION_MOLECULES), SEED + 1) else "train"


def _jobs(sources: Sequence[Source], exclude: Sequence[str], rejects: list[tuple[str, str, str]]) -> Iterator[Job]:
    """The molecules of all sources in turn, each once."""
    banned, seen = set(), set()
    for smiles in exclude:
        try:
            banned.add(flat_key(smiles))
        except ValueError as error:
            rejects.append(("exclude", smiles, str(error)))
    for source in sources:
        number = 0
        for smiles in sorted(set(source.smiles), key=_order):
            if source.limit is not None and number == source.limit:
                break
            try:
                mol = mol_from_smiles(smiles)
            except ValueError as error:
                rejects.append((source.name, smiles, str(error)))
                continue
            flat = flat_smiles(mol)
            if flat in seen or (source.part is None and flat in banned) or not _is_wanted(mol, source.sizes):
                continue
            seen.add(flat)
            number += 1
            # The part may depend on nothing else, or a molecule could come into two.
            yield Job(source.name, smiles, source.part or part_of_molecule(flat))


def _is_wanted(mol: Chem.Mol, sizes: tuple[int, int]) -> bool:
    return (
        sizes[0] <= mol.GetNumHeavyAtoms() <= sizes[1]
        and len(Chem.GetMolFrags(mol)) == 1
        and all(atom.GetAtomicNum() in ELEMENTS for atom in mol.GetAtoms())
        and not any(atom.GetNumRadicalElectrons() or atom.GetIsotope() for atom in mol.GetAtoms())
    )


def _order(smiles: str) -> bytes:
    return hashlib.sha256(f"{SEED}:{smiles}".encode()).digest()
