"""Reading of parquet files with a column of SMILES strings, or of graphs, for which RDKit is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graphscore.data.formats.parquet import column_names, read_parquet
from graphscore.data.readers import Record
from graphscore.registry import resolve

ARRAYS = ("pos", "edge_index", "x")
"""Columns by which a file holds graphs, also beside SMILES strings."""


def read(path: Path) -> Iterator[Record]:
    """Read a parquet file: molecules from SMILES strings, in a column as of tables, or any graphs.

    Raises:
        ImportError: If pyarrow is not installed, or RDKit for molecules.
        ValueError: If it is no parquet file.
    """
    names = column_names(path)
    if any("smi" in name.lower() for name in names) and not set(names) & set(ARRAYS):
        return resolve("graphscore.molecules.smiles_files:read_rows")(path, names)
    return read_parquet(path)
