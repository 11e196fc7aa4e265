"""Reading and writing of a run's loss history, ``metrics.csv``, to keep its rows when the run is resumed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from graphscore.runtime.atomic import replacing


class History(NamedTuple):
    """Rows of a loss history.

    Attributes:
        columns: Names of the columns, one of them ``step``, counted from 0.
        rows: Text of each cell, by column.
    """

    columns: list[str]
    rows: list[dict[str, str]]


def read_history(path: Path, end: int) -> History:
    """Read the rows of the steps before ``end``, the step from which a run is resumed.

    A last row that a killed process has not written whole is left out.
    """
    lines = path.read_text().splitlines(keepends=True)
    reader = csv.DictReader(line for line in lines if line.endswith("\n"))
    rows = [row for row in reader if int(row["step"]) < end]
    return History(list(reader.fieldnames or ()), rows)


def write_history(path: Path, history: History) -> None:
    """Write a loss history, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, history.columns)
        writer.writeheader()
        writer.writerows(history.rows)
