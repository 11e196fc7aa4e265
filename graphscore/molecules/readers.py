"""Readers of molecules from files: lists of SMILES, SDF, MOL and XYZ, record by record."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graphscore.data.readers import Failure, ReadResult, Record, collect, make_graphs, read_lines
from graphscore.molecules.files import mol_from_molblock, mol_from_xyz, sdf_texts, xyz_frames
from graphscore.molecules.graph import Chem, data_from_mol, data_from_smiles

if TYPE_CHECKING:
    from torch_geometric.data import Data

MolRecord = tuple[str, Callable[[], Chem.Mol]]
"""Place of a record in its file, such as ``"record 3"``, and the function that reads it."""


def read_smiles(smiles: Iterable[str]) -> ReadResult:
    """Read SMILES strings; those that fail are located by their number, from 1."""
    return collect(iterate_smiles(smiles))


def iterate_smiles(smiles: Iterable[str]) -> Iterator[Data | Failure]:
    """Read SMILES strings one by one, without keeping the molecules."""
    records = ((f"SMILES {i}", partial(data_from_smiles, text)) for i, text in enumerate(smiles, start=1))
    return make_graphs("input", records)


def read_smi(path: Path) -> Iterator[Record]:
    """Read lines of a SMILES string and an optional name; empty ones and those that start with ``#`` are skipped."""
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            smiles, _, name = line.strip().replace("\t", " ").partition(" ")
            yield f"line {number}", partial(data_from_smiles, smiles, name.strip())


def read_csv(path: Path) -> Iterator[Record]:
    """Read the columns ``smiles`` and, if there is one, ``name`` of a table.

    Raises:
        ValueError: If there is no column ``smiles``, or a row is no row of a table.
    """
    rows = csv.reader(read_lines(path))
    try:
        header = [column.strip().lower() for column in next(rows, [])]
        if "smiles" not in header:
            raise ValueError(f"Expected a column 'smiles' in line 1 of {path}, but found the columns {header}")
        for row in rows:
            if any(cell.strip() for cell in row):
                values = dict(zip(header, (cell.strip() for cell in row), strict=False))
                smiles, name = values.get("smiles", ""), values.get("name", "")
                yield f"line {rows.line_num}", partial(data_from_smiles, smiles, name)
    except csv.Error as error:
        raise ValueError(f"Cannot read line {rows.line_num} of {path} as that of a table: {error}") from error


def read_sdf(path: Path) -> Iterator[Record]:
    """Read the records of an SDF or MOL file; hydrogens are completed, and flat depictions give no coordinates."""
    return _graphs(sdf_mols(path))


def read_xyz(path: Path) -> Iterator[Record]:
    """Read the frames of an XYZ file; bonds are perceived for a neutral molecule.

    Raises:
        ValueError: If a frame does not begin with its number of atoms, or ends too early.
    """
    return _graphs(xyz_mols(path))


def sdf_mols(path: Path) -> Iterator[MolRecord]:
    """Read the molecules of an SDF or MOL file, with their titles, and data fields as properties."""
    for number, text in enumerate(sdf_texts(read_lines(path)), start=1):
        if text.strip():
            yield f"record {number}", partial(mol_from_molblock, text)


def xyz_mols(path: Path) -> Iterator[MolRecord]:
    """Read the molecules of an XYZ file, with comments as titles, and the numbers in them as properties.

    Raises:
        ValueError: If a frame does not begin with its number of atoms, or ends too early.
    """
    for number, frame in enumerate(xyz_frames(read_lines(path), str(path)), start=1):
        yield f"frame {number} (line {frame.line})", partial(mol_from_xyz, frame)


MOLS: dict[str, Callable[[Path], Iterator[MolRecord]]] = {".sdf": sdf_mols, ".mol": sdf_mols, ".xyz": xyz_mols}
"""Readers of molecules with coordinates, by extension."""


def _graphs(records: Iterable[MolRecord]) -> Iterator[Record]:
    for location, make in records:
        yield location, lambda make=make: graph_of(make())


def graph_of(mol: Chem.Mol) -> Data:
    """The graph of a molecule that was read, named as it is titled."""
    return data_from_mol(mol, name=mol.GetProp("_Name").strip() if mol.HasProp("_Name") else "")


def numbers_of(mol: Chem.Mol) -> dict[str, float]:
    """The properties of a molecule that was read which are finite numbers, by name."""
    numbers = {}
    for name, content in mol.GetPropsAsDict(autoConvertStrings=False).items():
        try:
            number = float(content)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            numbers[name.strip()] = number
    return numbers
