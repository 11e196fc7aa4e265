"""Readers of molecules from text: SMILES, CSV, SDF, MOL and XYZ, record by record."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from graphscore.data.readers import ReadResult, Record, collect, make_graphs, read_lines
from graphscore.molecules.files import XYZFrame, mol_from_molblock, mol_from_xyz, sdf_texts, xyz_frames
from graphscore.molecules.graph import data_from_mol, data_from_smiles

if TYPE_CHECKING:
    from torch_geometric.data import Data


def read_smiles(smiles: Iterable[str]) -> ReadResult:
    """Read SMILES strings; those that fail are located by their number, from 1."""
    return collect(make_graphs("input", ((f"SMILES {i}", _smiles(text)) for i, text in enumerate(smiles, start=1))))


def read_smi(path: Path) -> Iterator[Record]:
    """Read lines of a SMILES string and an optional name; empty ones and those that start with ``#`` are skipped."""
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            smiles, _, name = line.strip().replace("\t", " ").partition(" ")
            yield f"line {number}", _smiles(smiles, name.strip())


def read_csv(path: Path) -> Iterator[Record]:
    """Read the columns ``smiles`` and, if there is one, ``name`` of a table.

    Raises:
        ValueError: If there is no column ``smiles``.
    """
    rows = csv.reader(read_lines(path))
    header = [column.strip().lower() for column in next(rows, [])]
    if "smiles" not in header:
        raise ValueError(f"Expected a column 'smiles' in line 1 of {path}, but found the columns {header}")
    for row in rows:
        if any(cell.strip() for cell in row):
            values = dict(zip(header, (cell.strip() for cell in row), strict=False))
            yield f"line {rows.line_num}", _smiles(values.get("smiles", ""), values.get("name", ""))


def read_sdf(path: Path) -> Iterator[Record]:
    """Read the records of an SDF or MOL file; hydrogens are completed, and flat depictions give no coordinates."""
    for number, text in enumerate(sdf_texts(read_lines(path)), start=1):
        if text.strip():
            yield f"record {number}", _molblock(text)


def read_xyz(path: Path) -> Iterator[Record]:
    """Read the frames of an XYZ file; bonds are perceived for a neutral molecule.

    Raises:
        ValueError: If a frame does not begin with its number of atoms, or ends too early.
    """
    for number, frame in enumerate(xyz_frames(read_lines(path), str(path)), start=1):
        yield f"frame {number} (line {frame.line})", _frame(frame)


def _smiles(smiles: str, name: str = "") -> Callable[[], Data]:
    return lambda: data_from_smiles(smiles, name)


def _molblock(block: str) -> Callable[[], Data]:
    return lambda: data_from_mol(mol_from_molblock(block), name=block.split("\n", 1)[0].strip())


def _frame(frame: XYZFrame) -> Callable[[], Data]:
    text = "\n".join([str(len(frame.atoms)), frame.comment, *frame.atoms])
    return lambda: data_from_mol(mol_from_xyz(text), name=frame.comment.strip())
