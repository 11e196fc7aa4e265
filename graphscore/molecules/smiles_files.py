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
from graphscore.data.readers import Record
from graphscore.data.text import Remarks, read_lines, remarks_until
from graphscore.molecules.graph import Chem, data_from_smiles, rdBase
from graphscore.molecules.rows import SEPARATORS, Columns, Line, cells_of, rows

if TYPE_CHECKING:
    from torch_geometric.data import Data

SMILES_COLUMNS = ("smiles", "isomericsmiles", "canonicalsmiles", "smi", "ism")
NAME_COLUMNS = (
    *("name", "title", "id", "compound", "molecule", "identifier"),
    *("compoundname", "moleculename", "compoundid", "moleculeid", "molid"),
)
_SAMPLE = 50  # lines that tell the columns where their names do not
_BETWEEN = re.compile(r"[\s,;]")  # a SMILES string holds none of these
_EXTENSION = re.compile(r"\|[^|]*\|(?=[\s,;]|$)")  # of CXSMILES, such as |&1:1|
_LIKE_SMILES = re.compile(r"(?=.*[A-Za-z])(?:Cl|Br|[BCNOPSFIHbcnops\d%.\-+()\[\]=#@/\\])+")


def read_list(path: Path) -> Iterator[Record]:
    """Read a list of SMILES strings, one per line, each with an optional name after a blank, tab, comma or semicolon.

    A CXSMILES extension between the two, such as ``|&1:1|``, belongs to the SMILES string. The name may also come
    first, and the first line may name the columns, as in a table (see :func:`read_table`). What follows the name after
    a tab becomes ``properties``, ``column 3`` and so on. Empty lines and those that start with ``#`` are skipped.
    """
    remarks = Remarks()
    lines = _begun(path, remarks)
    start = list(islice(lines, _SAMPLE))
    if start and (columns := _titled(start[0][1])) is not None:
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
    columns = _titled(start[0][1])
    if columns is None:
        columns = _recognised([line for _, line in start if not _is_skipped(line)], path)
    yield from _records(chain(start, lines), columns, remarks)


def _begun(path: Path, remarks: Remarks) -> Iterator[Line]:
    """Lines of a file from the first that is not empty, a hint for spreadsheets, or a comment that names nothing."""
    lines = ((number, line.rstrip("\n")) for number, line in enumerate(read_lines(path, remarks), start=1))
    return dropwhile(lambda line: _is_preface(line[1]), lines)


def _is_preface(line: str) -> bool:
    if not _is_skipped(line):
        return re.fullmatch(r"sep=.", line.strip()) is not None
    return re.match(r"#\w", line) is None or _titled(line, [True]) is None


def _is_skipped(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _records(lines: Iterator[Line], columns: Columns, remarks: Remarks) -> Iterator[Record]:
    titles = list[str]()
    if columns.titled:
        titles = _layout(next(lines)[1], columns.separator)
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


def _layout(line: str, separator: str) -> list[str]:
    cells = cells_of(line, Columns(separator, 0, None, len(line), False))
    return [] if isinstance(cells, csv.Error) else [cell.strip() for cell in cells]


def _titled(line: str, ways: Sequence[bool] = (True, False)) -> Columns | None:
    """Columns that a first line names; ``None`` if it names no column of SMILES strings."""
    for known in ways:  # a name of the list, or else another with the word
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
    known = SEPARATORS.replace("|", "")  # which may be of CXSMILES strings
    separator = next((one for one in known if len({len(_layout(line, one)) for line in lines} | {1}) == 2), ",")
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
