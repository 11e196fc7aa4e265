"""Text formats of molecules: single records of SDF and XYZ files, in and out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch_geometric.data import Data

from graphscore.molecules.graph import Chem, canonical_smiles, mol_from_data, rdBase
from graphscore.molecules.smiles import rdkit_errors, rdkit_reason

MAX_BOND_STEPS = 10_000  # of bond perception, which else can take forever on structures that are no molecules


def atomic_number(symbol: str) -> int:
    """Look up an element's atomic number.

    Raises:
        ValueError: If there is no such element.
    """
    try:
        with rdBase.BlockLogs():
            return Chem.GetPeriodicTable().GetAtomicNumber(symbol)
    except RuntimeError as error:
        raise ValueError(f"Expected the symbol of an element, but got {symbol!r}") from error


def atom_label(data: Data, atom: int) -> str:
    """Name an atom of a molecule by its number, counted from 0, and its element."""
    return f"atom {atom} ({Chem.GetPeriodicTable().GetElementSymbol(int(data['z'][atom]))})"


def mol_from_molblock(block: str) -> Chem.Mol:
    """Read one record of a ``.mol`` or ``.sdf`` file; stereo marks of a flat depiction are read too.

    Raises:
        ValueError: If RDKit refuses it.
    """
    try:
        with rdBase.BlockLogs():
            mol = Chem.MolFromMolBlock(block, removeHs=False)
            if mol is None:  # once more for the reason, which the step by step way raises
                raw = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False, strictParsing=True)
                if raw is not None:
                    Chem.SanitizeMol(raw)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"Not a possible molecule: {rdkit_reason(error)}") from error
    if mol is None:
        raise ValueError("Not a MOL block: the counts line, an atom or a bond is malformed")
    return mol


def mol_from_xyz(text: str) -> Chem.Mol:
    """Read one XYZ frame, and perceive bonds from distances, for a neutral molecule without radicals.

    Raises:
        ValueError: If the text is malformed, or no such bonds exist.

    References:
        Y. Kim, W. Y. Kim (2015), Universal structure conversion method for organic molecules: from atomic
        connectivity to three-dimensional geometry.
    """
    from rdkit.Chem import rdDetermineBonds

    try:
        with rdBase.BlockLogs():
            mol = Chem.MolFromXYZBlock(text)
            if mol is None:
                raise ValueError("expected lines of an element symbol and three numbers")
            rdDetermineBonds.DetermineBonds(mol, charge=0, maxIterations=MAX_BOND_STEPS)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"Bonds cannot be perceived for a neutral molecule: {rdkit_reason(error)}") from error
    return mol


def sdf_record(data: Data) -> str:
    """Write a molecule with coordinates as an SDF record, titled by name or SMILES.

    Data fields are ``SMILES``, and the numbers that the graph has as attributes, such as an ``energy``.

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

    The comment is the name or SMILES, followed by ``key=value`` for each number that the graph has as an attribute.

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
    lines = [str(len(numbers)), _one_line(" ".join([name, *(f"{key}={value}" for key, value in _numbers(data))]))]
    for number, (x, y, z) in zip(numbers.tolist(), pos.tolist(), strict=True):
        lines.append(f"{table.GetElementSymbol(number):<2} {x:14.8f} {y:14.8f} {z:14.8f}")
    return "\n".join(lines) + "\n"


def _numbers(data: Data) -> Iterator[tuple[str, Any]]:
    """The attributes that are plain numbers, as text."""
    for key, value in data.to_dict().items():
        if isinstance(value, int | float) and not isinstance(value, bool) and key != "num_nodes":
            yield key, value if isinstance(value, int) else f"{value:.10g}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
