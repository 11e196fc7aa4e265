"""Readers of lists and tables of SMILES strings: ``.smi`` and its kin, ``.csv`` and ``.tsv``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, dropwhile, islice
from pathlib import Path
from typing import TYPE_CHECKING

from graphscore.attributes import add_notes
from graphscore.data.formats.parquet import rows as rows_of_parquet
from graphscore.data.formats.text import Remarks, read_lines, remarks_until
from graphscore.data.readers import Record
from graphscore.molecules.columns import BETWEEN, LIKE_SMILES, is_smiles, layout, named_columns, recognised, titled
from graphscore.molecules.graph import data_from_smiles
from graphscore.molecules.rows import Columns, Line, rows

if TYPE_CHECKING:
    from torch_geometric.data import Data

_SAMPLE = 50  # lines that tell the columns where their names do not
_EXTENSION = re.compile(r"\|[^|]*\|(?=[\s,;]|$)")  # of CXSMILES, such as |&1:1|


def read_list(path: Path) -> Iterator[Record]:
    """Read a list of SMILES strings, one per line, each with an optional name after a blank, tab, comma or semicolon.

    A CXSMILES extension between the two, such as ``|&1:1|``, belongs to the SMILES string. The name may also come
    first, and the first line may name the columns, as in a table (see :func:`read_table`). What follows the name after
    a tab becomes ``properties``, ``column 3`` and so on. Empty lines and those that start with ``#`` are skipped.
    """
    remarks = Remarks()
    lines = _begun(path, remarks)
    start = list(islice(lines, _SAMPLE))
    if start and (columns := titled(start[0][1])) is not None:
        if columns.num > 1:
            yield from _records(chain(start, lines), columns, remarks)
            return
        del start[0]
    split = _by_name if _is_name_first([line for _, line in start if not _is_skipped(line)]) else _by_smiles
    for number, line in chain(start, lines):
        if _is_skipped(line):
            continue
        smiles, name = split(line.strip())
        name, *more = (cell.strip() for cell in name.split("\t"))
        titles = [f"column {place}" for place in range(3, 3 + len(more))]
        fields = dict(zip(titles, more, strict=True))
        yield f"line {number}", partial(_graph, smiles, name, fields, remarks_until(remarks, number))


def read_table(path: Path) -> Iterator[Record]:
    """Read molecules from a table whose columns are separated by commas, semicolons, tabs, blanks or ``|``.

    The column of SMILES strings is the one named ``smiles``, or else ``isomeric_smiles``, ``canonical_smiles``, ``smi``
    or ``ism``, in any case, or else the only one that holds SMILES strings. Names are in the column ``name``, or else
    ``title``, ``id`` and the like. The other columns become ``properties``; of two of one name, the second becomes
    ``NAME (column 4)`` or so. A table without a line of column names is read as well. Empty lines and comments, which
    begin with ``#``, are skipped.

    Raises:
        ValueError: If no column holds SMILES strings, or several without one of these names do.
    """
    remarks = Remarks()
    lines = _begun(path, remarks)
    start = list(islice(lines, _SAMPLE))
    if not start:
        return
    columns = titled(start[0][1])
    if columns is None:
        columns = recognised([line for _, line in start if not _is_skipped(line)], path)
    yield from _records(chain(start, lines), columns, remarks)


def read_rows(path: Path, titles: Sequence[str]) -> Iterator[Record]:
    """Read molecules from the rows of a parquet file, with columns as of :func:`read_table`.

    Args:
        path: File.
        titles: Titles of its columns.

    Raises:
        ValueError: If no column is named as one of SMILES strings.
    """
    places = named_columns(titles)
    if places is None:
        raise ValueError(f"Expected a column 'smiles' in {path}, but found the columns {list(titles)}")
    smiles, name = places
    for number, row in enumerate(rows_of_parquet(path), start=1):
        cells = ["" if row[title] is None else str(row[title]) for title in titles]
        others = {title: cell for place, (title, cell) in enumerate(zip(titles, cells, strict=True))
                  if place not in places}  # fmt: skip
        yield f"row {number}", partial(_graph, cells[smiles], "" if name is None else cells[name], others)


def _begun(path: Path, remarks: Remarks) -> Iterator[Line]:
    """Lines of a file from the first that is not empty, a hint for spreadsheets, or a comment that names nothing."""
    lines = ((number, line.rstrip("\n")) for number, line in enumerate(read_lines(path, remarks), start=1))
    return dropwhile(lambda line: _is_preface(line[1]), lines)


def _is_preface(line: str) -> bool:
    if not _is_skipped(line):
        return re.fullmatch(r"sep=.", line.strip()) is not None
    return re.match(r"#\w", line) is None or titled(line, [True]) is None


def _is_skipped(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _records(lines: Iterator[Line], columns: Columns, remarks: Remarks) -> Iterator[Record]:
    titles = list[str]()
    if columns.titled:
        titles = layout(next(lines)[1], columns.separator)
    for number, last, row in rows(lines, columns):
        said = remarks_until(remarks, last)  # on the titles too: what is wrong there is in the first record
        if isinstance(row, csv.Error):
            yield f"line {number}", partial(_refuse, f"Not a line of a table: {row}")
        elif any(cells := [cell.strip() for cell in row]):
            if titles and any(cells[columns.num :]):
                said.append(f"line {number} has {len(cells)} cells, but there are names for {columns.num} columns")
            cells += [""] * (columns.num - len(cells))
            name = "" if columns.name is None else cells[columns.name].replace("\t", " ").replace("\n", " ")
            yield f"line {number}", partial(_graph, cells[columns.smiles], name, _others(cells, titles, columns), said)


def _others(cells: Sequence[str], titles: Sequence[str], columns: Columns) -> dict[str, str]:
    """Cells of a row beside the SMILES string and the name, by the titles of their columns."""
    others: dict[str, str] = {}
    for place, cell in enumerate(cells):
        title = titles[place] if place < len(titles) else ""
        if place not in (columns.smiles, columns.name) and (title or cell):
            title = title or f"column {place + 1}"
            while title in others:
                title += f" (column {place + 1})"
            others[title] = cell
    return others


def _graph(smiles: str, name: str, properties: dict[str, str], remarks: Sequence[str] = ()) -> Data:
    data = data_from_smiles(smiles, name)
    if properties:
        data.properties = properties
    return add_notes(data, *remarks)


def _refuse(reason: str) -> Data:
    raise ValueError(reason)


def _is_name_first(lines: Sequence[str]) -> bool:
    """Tell whether the lines of a list begin with names: no first word is a SMILES string, and most second ones are."""
    pairs = [_by_name(line.strip()) for line in lines]
    if not pairs or any(is_smiles(name) for _, name in pairs):
        return False
    share = sum(is_smiles(smiles.split(" ")[0]) for smiles, _ in pairs) / len(pairs)
    broken = any(LIKE_SMILES.fullmatch(name) for _, name in pairs)  # rather wrong SMILES strings with names
    return share > 0.5 and not broken


def _by_name(line: str) -> tuple[str, str]:
    """SMILES string and name of a line that begins with the name."""
    between = "\t" if "\t" in line else " "
    name, _, rest = line.partition("\t") if between == "\t" else _parted(line)
    smiles, more = _by_smiles(rest.strip())
    return smiles, f"{name.strip()}{between}{more}".strip()


def _by_smiles(line: str) -> tuple[str, str]:
    """SMILES string with its extension, and name of a line that begins with the SMILES string."""
    if (quoted := re.match(r'"([^"]*)"[\s,;]*', line)) is not None:
        smiles, rest = quoted[1], line[quoted.end() :].strip('"')
    else:
        smiles, _, rest = _parted(line)
    rest = rest.strip()
    if (extension := _EXTENSION.match(rest)) is not None:
        smiles, rest = f"{smiles} {extension[0]}", rest[extension.end() :].lstrip(",; \t")
    return smiles, rest.strip()


def _parted(line: str) -> tuple[str, str, str]:
    place = BETWEEN.search(line)
    return (line, "", "") if place is None else (line[: place.start()], place[0], line[place.end() :])
