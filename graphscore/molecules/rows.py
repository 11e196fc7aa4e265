"""Rows of tables of text: lines, cells in quotation marks, comments."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

SEPARATORS = "\t;, |"
_MAX_JOINED = 20  # lines of one row, with quotation marks around a cell of several lines

Line = tuple[int, str]
"""Number of a line, from 1, and the line without its end."""


class Columns(NamedTuple):
    """Layout of a table.

    Attributes:
        separator: One of :data:`SEPARATORS`; a blank stands for any number of blanks and tabs.
        smiles: Number of the column of SMILES strings, from 0.
        name: Number of the column of names, if there is one.
        num: Number of columns.
        titled: Whether the first line holds the names of the columns.
    """

    separator: str
    smiles: int
    name: int | None
    num: int
    titled: bool


class Row(NamedTuple):
    """Numbers of the first and last line of a row of a table, and its cells, or the error if it has none."""

    first: int
    last: int
    cells: list[str] | csv.Error


def rows(lines: Iterator[Line], columns: Columns) -> Iterator[Row]:
    """Rows of a table, without empty lines and comments.

    A line whose quotation is never closed is an error and a row of its own. A row of more cells than columns has a
    separator within a cell: for ``|``, which CXSMILES strings contain, that is an error.
    """
    waiting: deque[Line] = deque()
    while (first := waiting.popleft() if waiting else next(lines, None)) is not None:
        number, text = first
        if not text.strip() or _is_comment(text, columns):
            continue
        more: list[Line] = []
        row = cells_of(text, columns)
        while _is_open(row) and len(more) < _MAX_JOINED:
            if (line := waiting.popleft() if waiting else next(lines, None)) is None:
                break
            more.append(line)
            text += "\n" + line[1]
            row = cells_of(text, columns)
        if isinstance(row, csv.Error) or (more and len(row) != columns.num):  # the others are rows of their own
            waiting.extendleft(reversed(more))
            row = csv.Error("a quotation mark is not closed") if more or _is_open(row) else row
            more = []
        if columns.separator == "|" and not isinstance(row, csv.Error) and len(row) > columns.num:
            row = csv.Error(f"expected {columns.num} cells between |, but found {len(row)}")
        yield Row(number, more[-1][0] if more else number, row)


def _is_comment(text: str, columns: Columns) -> bool:
    """Tell whether a line begins with ``#`` and is not a row in whose first cell no SMILES string is expected."""
    if not text.startswith("#"):
        return False
    row = cells_of(text, columns)
    return columns.smiles == 0 or isinstance(row, csv.Error) or len(row) != columns.num


def _is_open(row: list[str] | csv.Error) -> bool:
    return isinstance(row, csv.Error) and "unexpected end" in str(row)


def cells_of(text: str, columns: Columns) -> list[str] | csv.Error:
    """Cells of a row; an error if a quotation mark is not closed, or a cell is too long."""
    if columns.separator == " ":
        words = re.findall(r"[^ \t]+(?:[ \t]+\|[^|]*\|(?=[ \t]|$))?", text)  # an extension belongs to its SMILES
        return [*words[: columns.num - 1], *filter(None, [" ".join(words[columns.num - 1 :])])]
    found: list[str] | csv.Error = []
    for strict in (True, False)[: 2 - ("\n" in text)]:  # in a single line, marks within a cell, as "a"b, are no error
        try:
            found = next(csv.reader(io.StringIO(text, newline=""), delimiter=columns.separator, strict=strict), [])
        except csv.Error as error:
            found = error
        if isinstance(found, list) or _is_open(found):
            break
    return found
