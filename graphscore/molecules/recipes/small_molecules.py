"""Recipe of the embedded data set of small molecules, from a file that comes with RDKit.

The conformers of a molecule depend on its SMILES and the seed alone, not on the number of processes or the order of
work.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit.Chem import rdMolAlign
from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, StereoEnumerationOptions

from graphscore.data.formats.npz import write_npz
from graphscore.data.split import PARTS, part_of, seed_of
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem, canonical_smiles, flat_smiles, rdBase
from graphscore.molecules.recipes.lists import Reject, heavy_smiles, nci_file, pieces
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.runtime.workers import map_in_workers

ELEMENTS = frozenset({1, 6, 7, 8, 9})
HEAVY_ATOMS = range(4, 10)
SEED = 0
FRACTIONS = (0.8, 0.1, 0.1)
NUM_EMBED = 20
MAX_CONFORMERS = {"train": 4, "val": 10, "test": 10}
ENERGY_WINDOW = 6.0  # kcal/mol above the lowest conformer found
MIN_RMSD = 0.1  # Angstrom, heavy atoms, symmetry-aware
UNIT = 1e-3  # Angstrom per stored integer


@dataclass(frozen=True)
class Entry:
    """One molecule of the data set, with its conformers.

    Attributes:
        smiles: SMILES with every stereo mark assigned; its atom order, added hydrogens last, is that of ``pos``.
        part: Index into ``PARTS``.
        pos: Integers ``[K, N, 3]`` in units of ``UNIT``, centered conformers by ascending energy.
    """

    smiles: str
    part: int
    pos: np.ndarray


def build(
    out: str | Path, num_workers: int = 0, progress: Callable[[int, int], None] | None = None
) -> tuple[Path, Path]:
    """Compute the data set of small molecules and write it.

    Args:
        out: Folder for ``small_molecules.npz`` and ``rejects.csv``.
        num_workers: Number of processes; 0 for one per CPU core.
        progress: Called with (molecules done, total) after each molecule.

    Returns:
        Paths of the data file and of the report of rejected molecules and conformers.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rejects: list[Reject] = []
    candidates = sorted(_candidates(nci_file(), rejects))
    entries: list[Entry] = []
    with closing(map_in_workers(make_entry, candidates, num_workers, chunk=8)) as made:
        for done, (entry, more) in enumerate(made, start=1):
            rejects += more
            if entry is not None:
                entries.append(entry)
            if progress is not None:
                progress(done, len(candidates))
    data, report = out / "small_molecules.npz", out / "rejects.csv"
    write_entries(entries, data)
    with report.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["smiles", "stage", "reason"])
        writer.writerows((r.smiles, r.stage, r.reason) for r in rejects)
    return data, report


def write_entries(entries: list[Entry], path: Path) -> None:
    """Write the data file: arrays with one row per molecule, in ``pos`` one per atom of each conformer.

    The version of RDKit is stored, since another one may number, embed and relax differently.
    """
    rows = [entry.pos.reshape(-1, 3) for entry in entries]
    arrays = {
        "smiles": np.array([entry.smiles.encode() for entry in entries]),
        "part": np.array([entry.part for entry in entries], dtype=np.uint8),
        "num_conformers": np.array([len(entry.pos) for entry in entries], dtype=np.uint8),
        "num_atoms": np.array([entry.pos.shape[1] for entry in entries], dtype=np.uint8),
        "rdkit": np.array(rdBase.rdkitVersion.encode()),
        "pos": np.concatenate(rows).astype(np.int16) if rows else np.zeros((0, 3), dtype=np.int16),
    }
    write_npz(path, arrays)


def make_entry(flat: str) -> tuple[Entry | None, list[Reject]]:
    """Draw a stereoisomer of a molecule, embed it, and select conformers.

    Args:
        flat: SMILES without stereo marks.

    Returns:
        The entry, or None if there are no conformers, and everything that was rejected.
    """
    seed = seed_of(flat, SEED)
    rejects: list[Reject] = []
    isomers = _stereoisomers(flat)
    random.Random(seed).shuffle(isomers)
    for smiles in isomers:
        mol = mol_from_smiles(smiles)
        try:
            pos = _conformers(embed(mol, NUM_EMBED, seed), smiles, rejects)
        except ValueError as error:
            rejects.append(Reject(smiles, "embedding", str(error)))
            continue
        if pos:
            part = part_of(flat, FRACTIONS, SEED)
            most = MAX_CONFORMERS[PARTS[part]]
            chosen = sorted(random.Random(seed).sample(range(len(pos)), min(most, len(pos))))
            return Entry(smiles, part, np.stack([pos[i] for i in chosen])), rejects
    rejects.append(Reject(flat, "molecule", f"none of its {len(isomers)} stereoisomers gave a conformer"))
    return None, rejects


def _candidates(source: Path, rejects: list[Reject]) -> set[str]:
    """Flat SMILES of all suitable molecules of the source and fragments of its molecules."""
    seen, wanted = set(), set()
    for line in source.read_text(encoding="utf-8").splitlines():
        smiles = line.split()[0] if line.split() else ""
        if not smiles or "." in smiles:
            continue
        try:
            mol = Chem.RemoveHs(mol_from_smiles(smiles))
        except ValueError as error:
            rejects.append(Reject(smiles, "source", str(error)))
            continue
        if (flat := flat_smiles(mol)) in seen:
            continue
        seen.add(flat)
        for candidate in (mol, *pieces(mol)):
            if _is_wanted(candidate):
                wanted.add(flat_smiles(candidate))
    return wanted


def _is_wanted(mol: Chem.Mol) -> bool:
    return (
        mol.GetNumAtoms() in HEAVY_ATOMS
        and Chem.GetFormalCharge(mol) == 0
        and all(atom.GetAtomicNum() in ELEMENTS for atom in mol.GetAtoms())
        and not any(atom.GetNumRadicalElectrons() or atom.GetIsotope() for atom in mol.GetAtoms())
    )


def _stereoisomers(flat: str) -> list[str]:
    """All stereoisomers, including those of small cages that cannot exist in space and fail to embed."""
    options = StereoEnumerationOptions(unique=True, onlyUnassigned=True)
    mol = Chem.RemoveHs(mol_from_smiles(flat))
    return sorted({canonical_smiles(isomer) for isomer in EnumerateStereoisomers(mol, options=options)})


def _conformers(mol: Chem.Mol, smiles: str, rejects: list[Reject]) -> list[np.ndarray]:
    """Distinct low-energy conformers with the right stereochemistry, by energy, as integers ``[N, 3]``."""
    heavy = Chem.RemoveHs(mol)
    chosen: list[int] = []
    by_energy = sorted(mol.GetConformers(), key=lambda conformer: conformer.GetDoubleProp("energy"))
    lowest = None
    for conformer in by_energy:
        index = conformer.GetId()
        if not conformer.GetBoolProp("converged"):
            rejects.append(Reject(smiles, "conformer", f"number {index}: MMFF94 did not converge"))
            continue
        if (got := _smiles_of(mol, index)) != smiles:
            rejects.append(Reject(smiles, "conformer", f"number {index}: its coordinates are those of {got}"))
            continue
        lowest = conformer.GetDoubleProp("energy") if lowest is None else lowest
        # All that follow are higher still. They and duplicates are not errors, so they are not listed.
        if conformer.GetDoubleProp("energy") > lowest + ENERGY_WINDOW or len(chosen) == max(MAX_CONFORMERS.values()):
            break
        if all(rdMolAlign.GetBestRMS(heavy, heavy, index, other) >= MIN_RMSD for other in chosen):
            chosen.append(index)
    positions = [mol.GetConformer(index).GetPositions() for index in chosen]
    return [np.rint((pos - pos.mean(axis=0)) / UNIT).astype(np.int16) for pos in positions]


def _smiles_of(mol: Chem.Mol, conformer: int) -> str:
    mol = Chem.Mol(mol)
    Chem.AssignStereochemistryFrom3D(mol, conformer)
    return heavy_smiles(mol)
