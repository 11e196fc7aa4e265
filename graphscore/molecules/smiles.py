"""SMILES strings to RDKit molecules. Needs RDKit alone, so that a wrong string is answered before PyTorch is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

try:
    from rdkit import Chem, rdBase
except ImportError as error:  # pragma: no cover
    raise ImportError('Molecules need RDKit: pip install "graphscore[mol]"') from error


def mol_from_smiles(smiles: str) -> Chem.Mol:
    """Read a SMILES string; hydrogens are added as atoms.

    Args:
        smiles: Any SMILES that RDKit reads. Several components are allowed.

    Returns:
        The molecule, atoms in the order of the string, added hydrogens last.

    Raises:
        ValueError: If RDKit refuses it, with RDKit's reason.
    """
    # RDKit gives the reason for bad syntax only to its log, and only newer versions let us read it.
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
    try:
        with rdBase.BlockLogs():
            Chem.SanitizeMol(mol)
            Chem.AssignStereochemistry(mol, cleanIt=True)
            return Chem.AddHs(mol)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{smiles!r} is not a possible molecule: {rdkit_reason(error)}") from error


def rdkit_reason(error: Exception) -> str:
    """Take the informative lines of an RDKit error, whose messages may carry a C++ stack dump."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and re.search(r"(Violation|Error|types in)$", lines[0]):  # the kind of error alone
        return f"{lines[0]}: {lines[1]}"
    return lines[0] if lines else type(error).__name__


@contextmanager
def rdkit_errors() -> Iterator[None]:
    """Let whatever RDKit raises inside the ``with`` block, or the function so decorated, be a ``ValueError``.

    Beside that, RDKit raises ``RuntimeError`` (broken invariants), ``OverflowError`` (numbers that C++ does not hold)
    and ``Boost.Python.ArgumentError`` (something that is no molecule), which would end a job of many molecules.
    """
    try:
        yield
    except (RuntimeError, OverflowError, TypeError) as error:
        if isinstance(error, TypeError) and type(error).__module__ != "Boost.Python":
            raise
        raise ValueError(f"RDKit fails: {rdkit_reason(error)}") from error
