"""Lists of molecules for the recipes, and their split into training, validation and test."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdkit import RDConfig

from graphscore.data.split import part_of
from graphscore.molecules.graph import Chem, flat_smiles, rdBase
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.split import scaffold_smiles

ELEMENTS = frozenset({1, 6, 7, 8, 9, 15, 16, 17, 35, 53})
SEED = 0
COLUMNS = ("corrected_smiles", "smiles")
TEST_SCAFFOLDS, VALIDATION_MOLECULES = 0.05, 0.03


@dataclass(frozen=True)
class Source:
    """A list of molecules.

    Attributes:
        name: Kept with each ensemble.
        smiles: One SMILES per molecule.
        sizes: Smallest and largest number of heavy atoms.
        part: The part that all go to; by default it is decided by scaffold and molecule.
        only: Take only molecules that this part was decided for.
        limit: Most molecules that are taken, drawn by a hash.
    """

    name: str
    smiles: Sequence[str]
    sizes: tuple[int, int] = (1, 40)
    part: str | None = None
    only: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Reject:
    """A molecule or conformer that was left out: at which stage, and why."""

    smiles: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Job:
    """One molecule to compute."""

    source: str
    smiles: str
    part: str


def part_of_molecule(flat: str) -> str:
    """Test molecules have scaffolds that no other part has; validation molecules are drawn from the rest."""
    scaffold = scaffold_smiles(flat) or flat
    if part_of(scaffold, (1 - TEST_SCAFFOLDS, TEST_SCAFFOLDS), SEED):
        return "test"
    return "val" if part_of(flat, (1 - VALIDATION_MOLECULES, VALIDATION_MOLECULES), SEED + 1) else "train"


def choose(sources: Sequence[Source], exclude: Sequence[str], rejects: list[tuple[str, str, str]]) -> Iterator[Job]:
    """Yield the molecules of all sources in turn, each once.

    Args:
        sources: Lists of molecules; of a molecule in several, the first counts.
        exclude: SMILES of molecules that are only allowed in sources with a ``part`` of their own.
        rejects: Gets (source, SMILES, reason) of whatever is passed over, but for repetitions.
    """
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
            if flat in seen:
                continue
            seen.add(flat)
            excluded = source.part is None and flat in banned
            if (reason := "excluded" if excluded else _unwanted(mol, source.sizes)) is not None:
                rejects.append((source.name, smiles, reason))
                continue
            # The part may depend on nothing else, or a molecule could come into two.
            part = source.part or part_of_molecule(flat)
            if source.only in (None, part):
                number += 1
                yield Job(source.name, smiles, part)


def _unwanted(mol: Chem.Mol, sizes: tuple[int, int]) -> str | None:
    """The reason to pass a molecule over; None if there is none."""
    if not sizes[0] <= mol.GetNumHeavyAtoms() <= sizes[1]:
        return f"{mol.GetNumHeavyAtoms()} heavy atoms, not {sizes[0]} to {sizes[1]}"
    if len(Chem.GetMolFrags(mol)) > 1:
        return "several components"
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() not in ELEMENTS:
            return f"element {atom.GetSymbol()}"
        if atom.GetNumRadicalElectrons() or atom.GetIsotope():
            return "a radical or an isotope label"
    return None


def _order(smiles: str) -> bytes:
    return hashlib.sha256(f"{SEED}:{smiles}".encode()).digest()


def nci_file() -> Path:
    """The first 5,000 compounds of the NCI database, a file of RDKit."""
    return Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"


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


def pieces(mol: Chem.Mol) -> Iterator[Chem.Mol]:
    """Yield both sides of each acyclic single bond, cut one at a time and capped by hydrogen."""
    for bond in mol.GetBonds():
        if bond.IsInRing() or bond.GetBondType() != Chem.BondType.SINGLE:
            continue
        # Placeholders that become hydrogens, and not FragmentOnBonds' own capping, keep [nH] of aromatic
        # rings right.
        cut = Chem.FragmentOnBonds(mol, [bond.GetIdx()], dummyLabels=[(0, 0)])
        for atom in cut.GetAtoms():
            if atom.GetAtomicNum() == 0:
                atom.SetAtomicNum(1)
        with rdBase.BlockLogs():
            for piece in Chem.GetMolFrags(cut, asMols=True):
                yield Chem.RemoveHs(piece)


def read_smiles_file(path: Path, every_column: bool = False) -> list[str]:
    """Read a list of molecules.

    Args:
        path: ``*.csv`` with a column of :data:`COLUMNS`, or text whose lines begin with SMILES; also with ``.gz``.
        every_column: Of a table that has several of the columns, take all and not the first alone.

    Raises:
        ValueError: If it holds none.
    """
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = text.decode().splitlines()
    if path.name.removesuffix(".gz").endswith(".csv"):
        table = csv.DictReader(lines)
        columns = [name for name in COLUMNS if name in (table.fieldnames or ())]
        if not columns:
            raise ValueError(f"{path} needs a column {' or '.join(COLUMNS)}, but has {table.fieldnames}")
        found = [row[name] for row in table for name in (columns if every_column else columns[:1])]
    else:
        found = [line.split()[0] for line in lines if line.split()]
    if not found:
        raise ValueError(f"{path} holds no molecules")
    return found


def flat_key(smiles: str) -> str:
    """The SMILES without stereo marks, which identifies a molecule here."""
    return flat_smiles(mol_from_smiles(smiles))
