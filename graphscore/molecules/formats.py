"""Formats of files of molecules, recognised by their first lines; needs no PyTorch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphscore.molecules.columns import is_smiles, names_columns
from graphscore.molecules.frames import begins_frame

LISTS = (".smi", ".csv", ".tsv", ".smiles", ".ism", ".can", ".txt")
_COUNTS = re.compile(r"[ \d]{6}.*V[23]000\s*")  # the fourth line of a MOL block
_PDB = re.compile(r"(HETATM|ATOM  )[ \d]{5} |(HEADER|COMPND|REMARK|CRYST1|MODEL |AUTHOR|TITLE ) ")


def guess(lines: Sequence[str]) -> tuple[str, ...]:
    """Guess the format of a file of molecules by its first lines.

    Returns:
        Extensions that are read alike, the likeliest first; empty if it is none of these formats.
    """
    if any(line.startswith("@<TRIPOS>") for line in lines):
        return (".mol2",)
    if any(_COUNTS.fullmatch(line) or line.startswith(("M  END", "$$$$")) for line in lines):
        return (".sdf", ".mol")
    filled = [line for line in lines if line.strip()]
    if any(_PDB.match(line) for line in filled):
        return (".pdb", ".ent")
    if any(begins_frame(lines[place : place + 3]) for place in range(len(lines))):
        return (".xyz",)
    rows = [line for line in filled if not line.startswith("#")]
    if rows and names_columns(rows[0]):
        return (".csv", *LISTS)
    words = [re.split(r"[\s,;]+", line.strip()) for line in rows]
    found = sum(any(is_smiles(word.strip("\"'")) for word in row[:2]) for row in words)
    if 2 * found <= len(rows):
        return ()
    return LISTS if is_smiles(words[0][0].strip("\"'")) else (".csv", *LISTS)
