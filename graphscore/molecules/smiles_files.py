"""Readers of lists and tables of SMILES strings: ``.smi`` and its kin, ``.csv`` and ``.tsv``."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from graphscore.attributes import add_notes
from graphscore.data.readers import Record
from graphscore.data.text import Remarks, read_lines, remarks_until
from graphscore.molecules.graph import Chem, data_from_smiles, rdBase

if TYPE_CHECKING:
    from torch_geometric.data import Data

SMILES_COLUMNS = ("smiles", "isomericsmiles", "canonicalsmiles", "smi", "ism")
NAME_COLUMNS = (
    *("name", "title", "id", "compound", "molecule", "identifier"),
    *("compoundname", "moleculename", "compoundid", "moleculeid", "molid"),
)
SEPARATORS = "\t;, "
_SAMPLE = 50  # lines that tell the columns where their names do not
_MAX_JOINED = 20  # lines of one row, with quotation marks around a cell of several lines
_BETWEEN = re.compile(r"[\s,;]")  # a SMILES string holds none of these
_EXTENSION = re.compile(r"\|[^|]*\|(?=[\s,;]|$)")  # of CXSMILES, such as |&1:1|
_LIKE_SMILES = re.compile(r"(?=.*[A-Za-z])(?:Cl|Br|[BCNOPSFIHbcnops\d%.\-+()\[\]=#@/\\])+")

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


def read_list(path: Path) -> Iterator[Record]:
    """Read a list of SMILES strings, one per line, each with an optional name after a blank, tab, comma or semicolon.

    A CXSMILES extension between the two, such as ``|&1:1|``, belongs to the SMILES string. The name may also come
    first, and the first line may name the columns, as in a table (see :func:`read_table`). What follows the name after
    a tab becomes ``properties``, ``column 3`` and so on. Empty lines and those that start with ``#`` are skipped.
    """
    remarks = Remarks()
    lines = ((number, line) for number, line in _filled(path, remarks) if not line.lstrip().startswith("#"))
    start = list(islice(lines, _SAMPLE))
    if start and (columns := _titled(start[0][1])) is not None:
        if columns.num > 1:
            yield from _records(chain(start, lines), columns, remarks)
            return
        del start[0]
    split = _by_name if _is_name_first([line for _, line in start]) else _by_smiles
    for number, line in chain(start, lines):
        smiles, name = split(line.strip())
        name, *more = (cell.strip() for cell in name.split("\t"))
        titles = [f"column {place}" for place in range(3, 3 + len(more))]
        fields = dict(zip(titles, more, strict=True))
        yield f"line {number}", partial(_graph, smiles, name, fields, remarks_until(remarks, number))


def read_table(path: Path) -> Iterator[Record]:
    """Read molecules from a table whose columns are separated by commas, semicolons, tabs or blanks.

    The column of SMILES strings is the one named ``smiles``, or else ``isomeric_smiles``, ``canonical_smiles``, ``smi``
    or ``ism``, in any case, or else the only one that holds SMILES strings. Names are in the column ``name``, or else
    ``title``, ``id`` and the like. The other columns become ``properties``. A table without a line of column names is
    read as well.

    Raises:
        ValueError: If no column holds SMILES strings, or several without one of these names do.
    """
    remarks = Remarks()
    lines = _filled(path, remarks)
    start = list(islice(lines, _SAMPLE))
    if start and re.fullmatch(r"sep=.", start[0][1].strip()):  # a hint for spreadsheets
        del start[0]
    if not start:
        return
    columns = _titled(start[0][1])
    if columns is None:
        columns = _recognised([line for _, line in start], path)
    yield from _records(chain(start, lines), columns, remarks)


def _filled(path: Path, remarks: Remarks) -> Iterator[Line]:
    """Lines of a file that are not empty."""
    numbered = ((number, line.rstrip("\n")) for number, line in enumerate(read_lines(path, remarks), start=1))
    return ((number, line) for number, line in numbered if line.strip())


def _records(lines: Iterator[Line], columns: Columns, remarks: Remarks) -> Iterator[Record]:
    rows, titles = _rows(lines, columns), list[str]()
    if columns.titled and not isinstance(first := next(rows).cells, csv.Error):
        titles = [cell.strip() for cell in first]
    for number, last, row in rows:
        said = remarks_until(remarks, last)  # on the titles too: what is wrong there is in the first record
        if isinstance(row, csv.Error):
            yield f"line {number}", partial(_refuse, f"Not a line of a table: {row}")
        elif any(cells := [cell.strip() for cell in row]):
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
            others[f"{title} (column {place + 1})" if title in others else title] = cell
    return others


def _graph(smiles: str, name: str, properties: dict[str, str], remarks: Sequence[str] = ()) -> Data:
    data = data_from_smiles(smiles, name)
    if properties:
        data.properties = properties
    return add_notes(data, *remarks)


def _refuse(reason: str) -> Data:
    raise ValueError(reason)


class _Row(NamedTuple):
    """Numbers of the first and last line of a row of a table, and its cells, or the error if it has none."""

    first: int
    last: int
    cells: list[str] | csv.Error


def _rows(lines: Iterator[Line], columns: Columns) -> Iterator[_Row]:
    """Rows of a table; a line whose quotation is never closed is an error and a row of its own."""
    waiting: deque[Line] = deque()
    while (first := waiting.popleft() if waiting else next(lines, None)) is not None:
        number, text = first
        more: list[Line] = []
        row = _cells(text, columns)
        while _is_open(row) and len(more) < _MAX_JOINED:
            if (line := waiting.popleft() if waiting else next(lines, None)) is None:
                break
            more.append(line)
            text += "\n" + line[1]
            row = _cells(text, columns)
        if isinstance(row, csv.Error) or (more and len(row) != columns.num):  # the others are rows of their own
            waiting.extendleft(reversed(more))
            row = csv.Error("a quotation mark is not closed") if more else row
            more = []
        yield _Row(number, more[-1][0] if more else number, row)


def _is_open(row: list[str] | csv.Error) -> bool:
    return isinstance(row, csv.Error) and "unexpected end" in str(row)


def _cells(text: str, columns: Columns) -> list[str] | csv.Error:
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


def _layout(line: str, separator: str) -> list[str]:
    cells = _cells(line, Columns(separator, 0, None, len(line), False))
    return [] if isinstance(cells, csv.Error) else [cell.strip() for cell in cells]


def _titled(line: str) -> Columns | None:
    """Columns that a first line names; ``None`` if it names no column of SMILES strings."""
    for known in (True, False):  # a name of the list, or else another with the word
        for separator in sorted(SEPARATORS, key=lambda one: len(_layout(line, one)) == 1):
            cells = _layout(line, separator)
            names = [re.sub(r"[\W_]", "", cell.lower()) for cell in cells]
            places = [names.index(name) for name in SMILES_COLUMNS if name in names]
            if not known:
                places = [place for place, name in enumerate(names) if "smiles" in name]
            if not places or (not known and len(places) > 1):
                continue
            if (known and separator != " ") or not any(is_smiles(cell) for cell in cells):
                return Columns(separator, places[0], _name_column(names, places[0]), len(cells), True)
    return None


def names_columns(line: str) -> bool:
    """Tell whether a line names the columns of a table, one of which holds SMILES strings."""
    return _titled(line) is not None


def _name_column(names: Sequence[str], smiles: int) -> int | None:
    return next((names.index(name) for name in NAME_COLUMNS if name in names and names.index(name) != smiles), None)


def _recognised(lines: Sequence[str], path: Path) -> Columns:
    """Columns of a table that names none of SMILES strings: the only one that holds some."""
    separator = next((one for one in SEPARATORS if len({len(_layout(line, one)) for line in lines} | {1}) == 2), ",")
    rows = [_layout(line, separator) for line in lines]
    first, num = rows[0], max(map(len, rows))
    found = []
    for place in range(num):
        cells = [row[place] for row in rows[1:] or rows if place < len(row) and row[place]]
        if 2 * sum(map(is_smiles, cells)) > len(cells):
            found.append(place)
    if len(found) != 1:
        several = ", of which several hold SMILES strings" if found else ""
        raise ValueError(f"Expected a column 'smiles' in line 1 of {path}, but found the columns {first}{several}")
    smiles, names = found[0], [re.sub(r"[\W_]", "", cell.lower()) for cell in first]
    head = first[smiles] if smiles < len(first) else ""
    if is_smiles(head) or _LIKE_SMILES.fullmatch(head):
        return Columns(separator, smiles, next((place for place in range(num) if place != smiles), None), num, False)
    return Columns(separator, smiles, _name_column(names, smiles), num, True)


def is_smiles(text: str) -> bool:
    """Tell whether a word is a SMILES string, of a possible molecule or not."""
    if not text or _BETWEEN.search(text):
        return False
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text, sanitize=False)
    return mol is not None and mol.GetNumAtoms() > 0


def _is_name_first(lines: Sequence[str]) -> bool:
    """Tell whether the lines of a list begin with names: no first word is a SMILES string, and most second ones are."""
    pairs = [_by_name(line.strip()) for line in lines]
    if not pairs or any(is_smiles(name) for _, name in pairs):
        return False
    share = sum(is_smiles(smiles.split(" ")[0]) for smiles, _ in pairs) / len(pairs)
    broken = any(_LIKE_SMILES.fullmatch(name) for _, name in pairs)  # rather wrong SMILES strings with names
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
    place = _BETWEEN.search(line)
    return (line, "", "") if place is None else (line[: place.start()], place[0], line[place.end() :])
