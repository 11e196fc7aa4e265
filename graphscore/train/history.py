"""The loss history of a run, ``metrics.csv``: what stays of it when a run is resumed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from graphscore.runtime.atomic import replacing


class History(NamedTuple):
    """A part of a history.

    Attributes:
        columns: Names of the columns, one of them ``step``, counted from 0.
        rows: Cells by column, as they are in the file.
    """

    columns: list[str]
    rows: list[dict[str, str]]


def read_history(path: Path, end: int) -> History:
    """Read the rows of the steps before ``end``: those that a run that goes on from there will not write again."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if int(row["step"]) < end]
        return History(list(reader.fieldnames or ()), rows)


def write_history(path: Path, history: History) -> None:
    """Write a history, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, history.columns)
        writer.writeheader()
        writer.writerows(history.rows)
