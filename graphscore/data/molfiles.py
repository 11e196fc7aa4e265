"""Text formats of molecules: single records of SDF and XYZ files, in and out."""

from __future__ import annotations

from torch_geometric.data import Data

from graphscore.data.molecules import Chem, canonical_smiles, mol_from_data, rdBase, rdkit_reason

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
    """Write a molecule with coordinates as an SDF record, titled by name or SMILES, with a field ``SMILES``.

    Raises:
        ValueError: If it is not a molecule, or has no coordinates.
    """
    if data.get("pos") is None:
        raise ValueError("An SDF record needs coordinates, but the graph has no pos")
    mol = mol_from_data(data)
    smiles = data.get("smiles") or canonical_smiles(mol)
    mol.SetProp("_Name", _one_line(data.get("name") or smiles))
    with rdBase.BlockLogs():
        return f"{Chem.MolToMolBlock(mol)}>  <SMILES>\n{smiles}\n\n$$$$\n"


def xyz_record(data: Data) -> str:
    """Write atoms with coordinates as an XYZ frame: the comment is the name or SMILES.

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
    lines = [str(len(numbers)), _one_line(data.get("name") or data.get("smiles") or "")]
    for number, (x, y, z) in zip(numbers.tolist(), pos.tolist(), strict=True):
        lines.append(f"{table.GetElementSymbol(number):<2} {x:14.8f} {y:14.8f} {z:14.8f}")
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
