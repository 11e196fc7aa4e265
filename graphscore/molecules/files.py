"""Records of SDF and XYZ files: splitting and reading SDF by RDKit, and writing both.

Files are split here and not by RDKit, so that files of gigabytes are read record by record, and errors name the record
or line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.molecules.graph import Chem, canonical_smiles, mol_from_data, rdBase
from graphscore.molecules.smiles import rdkit_errors, rdkit_reason


def sdf_texts(lines: Iterable[str]) -> Iterator[str]:
    """Split the lines of an SDF into the texts of its records, without the separators ``$$$$``."""
    text: list[str] = []
    for line in lines:
        if line.startswith("$$$$"):
            yield "".join(text)
            text = []
        else:
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
    try:
        with rdBase.BlockLogs():
            supplier = Chem.SDMolSupplier()
            supplier.SetData(f"{block}\n\n$$$$\n", removeHs=False)  # an empty line ends a field that was cut off
            # Malformed data fields are dropped.
            mol = next(supplier, None) or Chem.MolFromMolBlock(block, removeHs=False)
            if mol is None:  # once more, step by step, for an error with the reason
                raw = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False, strictParsing=True)
                if raw is not None:
                    Chem.SanitizeMol(raw)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"Not a possible molecule: {rdkit_reason(error)}") from error
    if mol is None:
        raise ValueError("Not a MOL block: the counts line, an atom or a bond is malformed")
    return mol


def sdf_record(data: Data) -> str:
    """Write a molecule with coordinates as an SDF record; the title is its name or SMILES.

    Data fields are ``SMILES`` and the numeric attributes of the graph, such as an ``energy``.

    Raises:
        ValueError: If it is not a molecule, or has no coordinates.
    """
    if data.get("pos") is None:
        raise ValueError("An SDF record needs coordinates, but the graph has no pos")
    return mol_record(mol_from_data(data), data)


@rdkit_errors()
def mol_record(mol: Chem.Mol, data: Data) -> str:
    """Write an RDKit molecule as an SDF record, with the title and the data fields of a graph; see :func:`sdf_record`.

    Raises:
        ValueError: If RDKit cannot write it.
    """
    smiles = data.get("smiles") or canonical_smiles(mol)
    mol.SetProp("_Name", _one_line(data.get("name") or smiles))
    fields = "".join(f">  <{key}>\n{value}\n\n" for key, value in [("SMILES", smiles), *_numbers(data)])
    try:
        with rdBase.BlockLogs():
            return f"{Chem.MolToMolBlock(mol)}{fields}$$$$\n"
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"RDKit cannot write {smiles!r}: {rdkit_reason(error)}") from error


@rdkit_errors()
def xyz_record(data: Data) -> str:
    """Write atoms with coordinates as an XYZ frame.

    The comment is the name or SMILES, followed by ``key=value`` for each numeric attribute of the graph.

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
    comment = " ".join([name, *(f"{key}={value}" for key, value in _numbers(data))])
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


def _numbers(data: Data) -> Iterator[tuple[str, Any]]:
    """Numeric attributes of a graph, formatted for a file."""
    for key, value in data.to_dict().items():
        if isinstance(value, int | float) and not isinstance(value, bool) and key != "num_nodes":
            yield key, value if isinstance(value, int) else f"{value:.10g}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
