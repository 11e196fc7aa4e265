"""MOL2 files: records of molecules with Tripos atom types, read by RDKit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphscore.molecules.graph import Chem, rdBase
from graphscore.molecules.smiles import rdkit_reason

_BEGIN = "@<TRIPOS>MOLECULE"
_CHARGED = {("O", "O.3"), ("N", "N.am"), ("N", "N.3"), ("N", "N.pl3")}  # types of atoms that have hydrogens


def mol2_texts(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Split the lines of a MOL2 file into its records, each with the number of its first line, without comments."""
    start, text = 0, list[str]()
    for number, line in enumerate(lines, start=1):
        if line.startswith(_BEGIN):
            if start:
                yield start, "".join(text)
            start, text = number, []
        if start and not line.startswith("#"):
            text.append(line)
    if start:
        yield start, "".join(text)


def mol_from_mol2(block: str) -> Chem.Mol:
    """Read one record of a MOL2 file.

    Formal charges follow from the atom types and the hydrogens, all of which must be in the record.

    Returns:
        The molecule, with its title.

    Raises:
        ValueError: If RDKit refuses it, or hydrogens are missing.
    """
    try:
        with rdBase.BlockLogs():
            mol = Chem.MolFromMol2Block(block, removeHs=False)
            if mol is None:  # once more, step by step, for an error with the reason
                raw = Chem.MolFromMol2Block(block, sanitize=False, removeHs=False, cleanupSubstructures=False)
                if raw is not None:
                    Chem.SanitizeMol(raw)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"Not a possible molecule: {rdkit_reason(error)}") from error
    if mol is None:
        raise ValueError("Not a record of a MOL2 file with Tripos atom types, such as C.3, C.ar and N.am")
    if (bare := next(filter(_lacks_hydrogens, mol.GetAtoms()), None)) is not None:
        raise ValueError(
            f"Hydrogens are missing, such as at atom {bare.GetIdx()} ({bare.GetSymbol()}): a MOL2 record needs all of "
            "them, for they tell the charges"
        )
    return mol


def _lacks_hydrogens(atom: Chem.Atom) -> bool:
    """Tell whether an atom has an open valence, or is an anion in a molecule without any hydrogen."""
    if atom.GetNumRadicalElectrons():
        return True
    kind = atom.GetProp("_TriposAtomType") if atom.HasProp("_TriposAtomType") else ""
    if atom.GetFormalCharge() >= 0 or (atom.GetSymbol(), kind) not in _CHARGED:
        return False
    return not any(other.GetAtomicNum() == 1 for other in atom.GetOwningMol().GetAtoms())
