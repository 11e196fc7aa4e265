"""Reading of parquet files: a graph in each row, with arrays in columns of lists."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from graphscore.data.consistency import check_graph
from graphscore.data.readers import Record

_ROWS = 1024  # that are in memory at once


def read_parquet(path: Path) -> Iterator[Record]:
    """Read graphs from a parquet file, whose columns are named like attributes.

    Columns of lists become arrays: ``pos`` a list of a list for each node, ``edge_index`` two lists. Missing values are
    left out. Floating-point arrays become float32, whole numbers int64.

    Raises:
        ImportError: If pyarrow is not installed.
        ValueError: If it is no parquet file.
    """
    for number, row in enumerate(rows(path), start=1):
        yield f"row {number}", partial(_graph, row)


def column_names(path: Path) -> list[str]:
    """List the columns of a parquet file; the errors are those of :func:`read_parquet`."""
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Iterate over the rows of a parquet file; the errors are those of :func:`read_parquet`."""
    with _opened(path) as file:
        try:
            for batch in file.iter_batches(_ROWS):
                yield from batch.to_pylist()
        except OSError as error:  # of a damaged page
            raise _unreadable(path, error) from error


def _opened(path: Path) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ImportError('Parquet files need pyarrow: pip install "graphscore[parquet]"', name="pyarrow") from error
    try:
        return ParquetFile(path)
    except ArrowException as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(f"Cannot read {path} as a parquet file: {' '.join(str(error).split())}")


def _graph(row: dict[str, Any]) -> Data:
    return check_graph({name: _value(name, value) for name, value in row.items() if value is not None})


def _value(name: str, value: Any) -> Any:
    if isinstance(value, str | bool | int | float | dict) or (isinstance(value, list) and _has_text(value)):
        return value
    if not isinstance(value, list):  # dates, decimals, bytes
        return str(value)
    try:
        return torch.tensor(value)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{name} is no array of numbers, with as many columns in each row: {error}") from error


def _has_text(value: list[Any]) -> bool:
    return any(isinstance(part, str) for part in value)
