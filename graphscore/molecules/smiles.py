"""SMILES strings to RDKit molecules, with clear errors; needs no PyTorch, whose import takes seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

try:
    from rdkit import Chem, rdBase
except ImportError as error:  # pragma: no cover
    raise ImportError('Molecules need RDKit: pip install "graphscore[mol]"') from error

WRITTEN = "_graphscore_written"
"""Private property of molecules, atoms and bonds: the stereo mark in the SMILES string, before RDKit removes some.

1 for ``@`` and -1 for ``@@``, 0 for marks of other kinds than tetrahedral, and of hydrogens that are atoms of the
string; 1 for a bond that goes up, -1 for down.
"""
_MARKS = {Chem.ChiralType.CHI_TETRAHEDRAL_CCW: 1, Chem.ChiralType.CHI_TETRAHEDRAL_CW: -1}
_DIRECTIONS = {Chem.BondDir.ENDUPRIGHT: 1, Chem.BondDir.ENDDOWNRIGHT: -1}


def mol_from_smiles(smiles: str) -> Chem.Mol:
    """Convert a SMILES string to an RDKit molecule with explicit hydrogens.

    Args:
        smiles: Any SMILES that RDKit reads. Several components are allowed.

    Returns:
        The molecule, atoms in the order of the string, added hydrogens last.

    Raises:
        ValueError: If RDKit refuses it, with RDKit's reason.
    """
    # RDKit writes the reason for bad syntax to its log alone, which only newer versions let us read.
    capture = getattr(rdBase, "CaptureErrorLog", rdBase.BlockLogs)
    with rdBase.BlockLogs(), capture() as log:
        mol = Chem.MolFromSmiles(smiles, sanitize=False)
    if mol is None:
        messages = getattr(log, "messages", "")
        reason = re.search(r"Error: (.+?) (?:while parsing|for input)", messages)
        place = re.search(r"around position (\d+)", messages)
        detail = (reason.group(1) if reason else "syntax error") + (f" at character {place[1]}" if place else "")
        raise ValueError(f"{smiles!r} is not a SMILES string: {detail}")
    if mol.GetNumAtoms() == 0:
        raise ValueError(f"Expected a SMILES string, but got {smiles!r}, which has no atoms")
    if any(sign in smiles for sign in "@/\\"):
        _keep_marks(mol)
    try:
        with rdBase.BlockLogs():
            Chem.SanitizeMol(mol)
            Chem.AssignStereochemistry(mol, cleanIt=True)
            return Chem.AddHs(mol)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{smiles!r} is not a possible molecule: {rdkit_reason(error)}") from error


def _keep_marks(mol: Chem.Mol) -> None:
    """Keep the stereo marks of a molecule that is not cleaned yet, see :data:`WRITTEN`."""
    mol.SetIntProp(WRITTEN, 1)
    for atom in mol.GetAtoms():
        tag = atom.GetChiralTag()
        if tag == Chem.ChiralType.CHI_ALLENE:
            atom.SetIntProp(WRITTEN, 1 if atom.GetIntProp("_chiralPermutation") == 1 else -1)
        elif tag != Chem.ChiralType.CHI_UNSPECIFIED or atom.GetAtomicNum() == 1:
            atom.SetIntProp(WRITTEN, _MARKS.get(tag, 0))
    for bond in mol.GetBonds():
        if direction := _DIRECTIONS.get(bond.GetBondDir()):
            bond.SetIntProp(WRITTEN, direction)


def rdkit_reason(error: Exception) -> str:
    """Extract the informative lines of an RDKit error, whose message may contain a C++ stack dump."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and re.search(r"(Violation|Error|types in)$", lines[0]):  # the kind of error alone
        return f"{lines[0]}: {lines[1]}"
    return lines[0] if lines else type(error).__name__


@contextmanager
def rdkit_errors() -> Iterator[None]:
    """Convert RDKit's errors inside the ``with`` block or decorated function to ``ValueError``.

    RDKit also raises ``RuntimeError`` (violated invariants), ``OverflowError`` (numbers out of C++'s range) and
    ``Boost.Python.ArgumentError`` (an argument that is no molecule), which would end a job of many molecules.
    """
    try:
        yield
    except (RuntimeError, OverflowError, TypeError) as error:
        if isinstance(error, TypeError) and type(error).__module__ != "Boost.Python":
            raise
        raise ValueError(f"RDKit fails: {rdkit_reason(error)}") from error
