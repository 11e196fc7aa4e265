"""Records of SDF and XYZ files: splitting and reading SDF by RDKit, and writing both.

Files are split here and not by RDKit, so that files of gigabytes are read record by record, and errors name the record
or line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.molecules.fields import (
    TEXTS,
    numbers_and_texts,
    read_fields,
    sdf_fields,
    unended,
    with_input,
    xyz_pairs,
)
from graphscore.molecules.graph import BONDS, Chem, canonical_smiles, mol_from_data, rdBase
from graphscore.molecules.labels import field_name
from graphscore.molecules.notes import note
from graphscore.molecules.representable import check_bonds
from graphscore.molecules.smiles import rdkit_errors, rdkit_reason
from graphscore.molecules.wedges import read_wedges

_HEADER = 3  # lines of a MOL block before the counts line
_COUNTS = re.compile(r"[ \d]{6}[ \d]*.*V[23]000\s*")


def sdf_texts(lines: Iterable[str]) -> Iterator[str]:
    """Split the lines of an SDF into the texts of its records, without the separators ``$$$$``.

    Where a separator is missing, a record begins with the MOL block that follows the end of another.
    """
    text, is_ended = list[str](), False
    for line in lines:
        if line.startswith("$$$$"):
            yield "".join(text)
            text, is_ended = [], False
            continue
        if is_ended and _COUNTS.fullmatch(line):
            yield "".join(text[:-_HEADER])
            text, is_ended = text[-_HEADER:], False
        is_ended = is_ended or line.startswith("M  END")
        text.append(line)
    yield "".join(text)


def mol_from_molblock(block: str) -> Chem.Mol:
    """Read one record of an SDF or MOL file, including the stereo marks of a flat depiction.

    Args:
        block: The record, without ``$$$$``.

    Returns:
        The molecule, with its data fields as properties.

    Raises:
        ValueError: If RDKit refuses it.
    """
    lines = block.split("\n")
    end = next((number for number, line in enumerate(lines, start=1) if line.startswith("M  END")), len(lines))
    atoms = "\n".join(lines[:end])
    try:
        with rdBase.BlockLogs():
            mol = Chem.MolFromMolBlock(atoms, removeHs=False)
            if mol is None:  # once more, step by step, for an error with the reason
                raw = Chem.MolFromMolBlock(atoms, sanitize=False, removeHs=False, strictParsing=True)
                if raw is not None:
                    check_bonds(raw, BONDS)
                    Chem.SanitizeMol(raw)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"Not a possible molecule: {rdkit_reason(error)}") from error
    if mol is None:
        raise ValueError("Not a MOL block: the counts line, an atom or a bond is malformed")
    read_wedges(mol)
    fields = read_fields(lines[end:])
    for name, value in fields.items():
        mol.SetProp(field_name(name), value)
    for sentence in unended(fields):
        note(mol, sentence)
    return mol


def sdf_record(data: Data) -> str:
    """Write a molecule with coordinates as an SDF record; the title is its name or SMILES.

    Data fields are ``SMILES``, that of the isomer which the coordinates are; the numeric attributes of the graph, such
    as an ``energy``, ``method`` and ``warning``; and the fields of the record that the graph was read from.

    Raises:
        ValueError: If it is not a molecule, or has no coordinates.
    """
    if data.get("pos") is None:
        raise ValueError("An SDF record needs coordinates, but the graph has no pos")
    mol = mol_from_data(data)
    return mol_record(mol, data, canonical_smiles(mol))


@rdkit_errors()
def mol_record(mol: Chem.Mol, data: Data, smiles: str) -> str:
    """Write an RDKit molecule as an SDF record, with the title and the data fields of a graph; see :func:`sdf_record`.

    Args:
        mol: The molecule; its title is changed.
        data: Graph with a name or SMILES for the title, and data fields.
        smiles: The field ``SMILES``.

    Raises:
        ValueError: If RDKit cannot write it.
    """
    title = _one_line(data.get("name") or data.get("smiles") or smiles)
    mol.SetProp("_Name", f" {title}" if title.startswith("$$$$") else title)
    fields = with_input({"SMILES": smiles, **dict(numbers_and_texts(data))}, data)
    try:
        with rdBase.BlockLogs():
            return f"{Chem.MolToMolBlock(mol)}{_encodable(sdf_fields(fields))}$$$$\n"
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"RDKit cannot write {smiles!r}: {rdkit_reason(error)}") from error


@rdkit_errors()
def xyz_record(data: Data) -> str:
    """Write atoms with coordinates as an XYZ frame.

    The comment is the name or SMILES, followed by the ``charge`` if there is one, by ``key=value`` for each numeric
    attribute of the graph, and by ``key="value"`` for ``method``, ``warning`` and the data fields of its record, see
    :func:`~graphscore.molecules.fields.xyz_pairs`.

    Raises:
        ValueError: If there are no atomic numbers or no finite coordinates ``[N, 3]``.
    """
    missing = [key for key in ("z", "pos") if data.get(key) is None]
    if missing:
        raise ValueError(f"An XYZ frame needs z and pos, but {missing} is missing")
    numbers, pos = data["z"], data["pos"]
    if pos.shape != (len(numbers), 3) or not bool(pos.isfinite().all()):
        raise ValueError(f"Expected finite pos of shape [{len(numbers)}, 3], but got shape {list(pos.shape)}")
    table = Chem.GetPeriodicTable()
    name = data.get("name") or data.get("smiles") or ""
    total = int(data["charge"].sum()) if "charge" in data and "bond" in data else 0
    own = dict(numbers_and_texts(data))
    words = [name, *([f"charge={total:+d}"] if total else [])]
    words += [f"{key}={value}" for key, value in own.items() if key not in TEXTS]
    words += xyz_pairs({key: value for key, value in with_input(own, data).items() if key in TEXTS or key not in own})
    comment = " ".join(words)
    return xyz_text([table.GetElementSymbol(number) for number in numbers.tolist()], pos.cpu().numpy(), comment)


def xyz_text(symbols: Sequence[str], pos: NDArray[np.floating], comment: str = "") -> str:
    """Format atoms as an XYZ frame.

    Args:
        symbols: Element symbols of N atoms.
        pos: Coordinates in Angstrom, ``[N, 3]``.
        comment: Text of the second line.
    """
    lines = [str(len(symbols)), _one_line(comment)]
    for symbol, (x, y, z) in zip(symbols, pos.tolist(), strict=True):
        lines.append(f"{symbol:<2} {x:14.8f} {y:14.8f} {z:14.8f}")
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return _encodable(re.sub(r"\s*[\r\n\t]\s*", " ", text).strip())


def _encodable(text: str) -> str:
    """Replace what UTF-8 cannot hold: bytes of file names and arguments in another encoding."""
    return text.encode("utf-8", "replace").decode("utf-8")
