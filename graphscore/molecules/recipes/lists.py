"""Lists of molecules for the recipes, and their split into training, validation and test parts."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdkit import RDConfig

from graphscore.data.formats.text import read_lines
from graphscore.data.split import part_of
from graphscore.molecules.graph import Chem, flat_smiles, rdBase, remove_hydrogens
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.split import scaffold_smiles

ELEMENTS = frozenset({1, 6, 7, 8, 9, 15, 16, 17, 35, 53})
SEED = 0
COLUMNS = ("corrected_smiles", "smiles")
TEST_SCAFFOLDS, VALIDATION_MOLECULES = 0.05, 0.03


@dataclass(frozen=True)
class Source:
    """A list of molecules to compute, with limits.

    Attributes:
        name: Name that is stored with each ensemble.
        smiles: One SMILES per molecule.
        sizes: Smallest and largest number of heavy atoms.
        part: Part of all molecules; by default the part is chosen by scaffold and molecule.
        only: Part to which molecules are restricted; all parts by default.
        limit: Largest number of molecules, drawn by a hash.
        neutral: Whether to leave out molecules with a charge; zwitterions are none.
    """

    name: str
    smiles: Sequence[str]
    sizes: tuple[int, int] = (1, 40)
    part: str | None = None
    only: str | None = None
    limit: int | None = None
    neutral: bool = False


@dataclass(frozen=True)
class Reject:
    """A rejected molecule or conformer, with the stage and the reason."""

    smiles: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Job:
    """One molecule to compute, with its list and its part."""

    source: str
    smiles: str
    part: str


def part_of_molecule(flat: str) -> str:
    """Assign a molecule to a part: test by its scaffold, validation and training by the molecule.

    Scaffolds of test molecules occur in no other part.
    """
    scaffold = scaffold_smiles(flat) or flat
    if part_of(scaffold, (1 - TEST_SCAFFOLDS, TEST_SCAFFOLDS), SEED):
        return "test"
    return "val" if part_of(flat, (1 - VALIDATION_MOLECULES, VALIDATION_MOLECULES), SEED + 1) else "train"


def choose(sources: Sequence[Source], exclude: Sequence[str], rejects: list[tuple[str, str, str]]) -> Iterator[Job]:
    """Iterate over the molecules of all sources in turn, without repetitions.

    Args:
        sources: Lists of molecules; a molecule in several lists belongs to the first.
        exclude: SMILES of molecules that are allowed in sources with a fixed ``part`` alone.
        rejects: List to which (source, SMILES, reason) of each skipped molecule is added, except repetitions.
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
            if (reason := "excluded" if excluded else _unwanted(mol, source)) is not None:
                rejects.append((source.name, smiles, reason))
                continue
            # The part depends on the molecule alone, so that none can come into two parts.
            part = source.part or part_of_molecule(flat)
            if source.only in (None, part):
                number += 1
                yield Job(source.name, smiles, part)


def _unwanted(mol: Chem.Mol, source: Source) -> str | None:
    """The reason to skip a molecule; None if there is none."""
    fewest, most = source.sizes
    if not fewest <= mol.GetNumHeavyAtoms() <= most:
        return f"{mol.GetNumHeavyAtoms()} heavy atoms, not {fewest} to {most}"
    if source.neutral and (charge := Chem.GetFormalCharge(mol)):
        return f"charge {charge:+d}"
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
    """Return the path of RDKit's file with the first 5,000 compounds of the NCI database."""
    return Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"


def nci_smiles() -> list[str]:
    """List the molecules of RDKit's NCI list, and their fragments; see :func:`pieces`."""
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
    """Iterate over the fragments of a molecule: both sides of each acyclic single bond, capped by hydrogen."""
    for bond in mol.GetBonds():
        if bond.IsInRing() or bond.GetBondType() != Chem.BondType.SINGLE:
            continue
        # FragmentOnBonds' own capping loses [nH] in aromatic rings: placeholders are turned into hydrogens instead.
        cut = Chem.FragmentOnBonds(mol, [bond.GetIdx()], dummyLabels=[(0, 0)])
        for atom in cut.GetAtoms():
            if atom.GetAtomicNum() == 0:
                atom.SetAtomicNum(1)
        with rdBase.BlockLogs():
            for piece in Chem.GetMolFrags(cut, asMols=True):
                yield Chem.RemoveHs(piece)


def read_smiles_file(path: Path, every_column: bool = False) -> list[str]:
    """Read a list of SMILES from a text or CSV file.

    Args:
        path: ``*.csv`` with a column of :data:`COLUMNS`, or text whose lines begin with SMILES; also with ``.gz``.
        every_column: Whether to read all of :data:`COLUMNS` that a table has, rather than the first alone.

    Raises:
        ValueError: If it holds no molecules.
    """
    lines = list(read_lines(path))
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
    """Compute the SMILES without stereo marks, which identifies a molecule here."""
    return flat_smiles(mol_from_smiles(smiles))


def heavy_smiles(mol: Chem.Mol) -> str:
    """Compute the canonical SMILES with the stereo marks that heavy atoms define: N-H imines may have either form."""
    return Chem.MolToSmiles(remove_hydrogens(mol))


def marks_hydrogens(smiles: str) -> bool:
    """Tell whether a SMILES has stereo marks that hydrogens define, such as ``[H]/N=C/C``."""
    return re.search(r"\[H\][/\\]|[/\\]\[H\]", smiles) is not None
