"""Tables of graphs as ``.csv``: one line each, with the columns that any of them has."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:  # a wrong path is reported before PyTorch is loaded
    from torch_geometric.data import Data

Row = Mapping[str, str]
INPUT, NAME, FAILURE = "input", "name", "failure"
_MAX_CELL = 2**31 - 1  # the largest that Python's reader takes; its default is 131,072


def plain_row(item: Data) -> dict[str, str]:
    """Describe a graph as a row: its name and its numbers."""
    numbers = {
        key: f"{value:.10g}" if isinstance(value, float) else str(value)
        for key, value in item.to_dict().items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return {NAME: str(item.get("name") or ""), **numbers}


def of_input(row: Row, number: int, failure: str = "") -> dict[str, str]:
    """Add to a row the number of its input, from 1, and the reason of a failure, beside the name."""
    return {INPUT: str(number), NAME: row.get(NAME, ""), FAILURE: failure} | {
        key: value for key, value in row.items() if key != NAME
    }


def table_text(rows: Iterable[Row]) -> str:
    """Format rows as a table with a line of column names; empty without rows. Line breaks become line feeds."""
    rows, stream = [{re.sub(r"\r\n?", "\n", key): cell for key, cell in row.items()} for row in rows], io.StringIO()
    _write(stream, [rows], list(dict.fromkeys(key for row in rows for key in row)))
    return stream.getvalue()


def merge_tables(tables: Callable[[], Iterable[str]], stream: TextIO) -> None:
    """Write several tables as one, with the columns that any of them has, in the order in which they come.

    Args:
        tables: Returns the texts of the tables; called twice.
        stream: File to write.
    """
    limit = csv.field_size_limit(_MAX_CELL)
    try:
        columns: dict[str, None] = {}
        for text in tables():
            columns.update(dict.fromkeys(next(csv.reader(io.StringIO(text, newline="")), [])))
        _write(stream, map(_rows, tables()), list(columns))
    finally:
        csv.field_size_limit(limit)


def _rows(text: str) -> Iterator[Row]:
    return csv.DictReader(io.StringIO(text, newline=""))


def _write(stream: TextIO, tables: Iterable[Iterable[Row]], columns: list[str]) -> None:
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    if columns:
        writer.writeheader()
    for rows in tables:  # Python before 3.13 puts no quotation marks around a carriage return
        writer.writerows({key: re.sub(r"\r\n?", "\n", cell) for key, cell in row.items()} for row in rows)
