"""Columns of SMILES strings and of names in lists and tables; needs no PyTorch."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from graphscore.molecules.rows import SEPARATORS, Columns, cells_of
from graphscore.molecules.smiles import Chem, rdBase

SMILES_COLUMNS = ("smiles", "isomericsmiles", "canonicalsmiles", "smi", "ism")
NAME_COLUMNS = (
    *("name", "title", "id", "compound", "molecule", "identifier"),
    *("compoundname", "moleculename", "compoundid", "moleculeid", "molid"),
)
BETWEEN = re.compile(r"[\s,;]")  # a SMILES string holds none of these
LIKE_SMILES = re.compile(r"(?=.*[A-Za-z])(?:Cl|Br|[BCNOPSFIHbcnops\d%.\-+()\[\]=#@/\\])+")


def layout(line: str, separator: str) -> list[str]:
    """Split a line into its cells; none if it is no line of a table."""
    cells = cells_of(line, Columns(separator, 0, None, len(line), False))
    return [] if isinstance(cells, csv.Error) else [cell.strip() for cell in cells]


def titled(line: str, ways: Sequence[bool] = (True, False)) -> Columns | None:
    """Find the columns that a first line names; ``None`` if it names no column of SMILES strings."""
    for known in ways:  # a name of the list, or else another with the word
        for separator in sorted(SEPARATORS, key=lambda one: len(layout(line, one)) == 1):
            cells = layout(line, separator)
            names = [re.sub(r"[\W_]", "", cell.lower()) for cell in cells]
            places = [names.index(name) for name in SMILES_COLUMNS if name in names]
            if not known:
                places = [place for place, name in enumerate(names) if "smiles" in name]
            if not places or (not known and len(places) > 1):
                continue
            if (known and separator != " ") or not any(is_smiles(cell) for cell in cells):
                return Columns(separator, places[0], _name_column(names, places[0]), len(cells), True)
    return None


def named_columns(titles: Sequence[str]) -> tuple[int, int | None] | None:
    """Find the columns of SMILES strings and of names by their titles; ``None`` without SMILES strings."""
    names = [re.sub(r"[\W_]", "", title.lower()) for title in titles]
    smiles = next((names.index(name) for name in SMILES_COLUMNS if name in names), None)
    return None if smiles is None else (smiles, _name_column(names, smiles))


def names_columns(line: str) -> bool:
    """Tell whether a line names the columns of a table, one of which holds SMILES strings."""
    return titled(line) is not None


def _name_column(names: Sequence[str], smiles: int) -> int | None:
    return next((names.index(name) for name in NAME_COLUMNS if name in names and names.index(name) != smiles), None)


def recognised(lines: Sequence[str], path: Path) -> Columns:
    """Find the columns of a table that names none of SMILES strings: the only one that holds some.

    Raises:
        ValueError: If there is none, or several.
    """
    known = SEPARATORS.replace("|", "")  # which may be of CXSMILES strings
    separator = next((one for one in known if len({len(layout(line, one)) for line in lines} | {1}) == 2), ",")
    rows = [layout(line, separator) for line in lines]
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
    if is_smiles(head) or LIKE_SMILES.fullmatch(head):
        return Columns(separator, smiles, next((place for place in range(num) if place != smiles), None), num, False)
    return Columns(separator, smiles, _name_column(names, smiles), num, True)


def is_smiles(text: str) -> bool:
    """Tell whether a word is a SMILES string, of a possible molecule or not."""
    if not text or BETWEEN.search(text):
        return False
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text, sanitize=False)
    return mol is not None and mol.GetNumAtoms() > 0
