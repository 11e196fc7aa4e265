"""SMILES strings to RDKit molecules, with clear errors; needs no PyTorch, whose import takes seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

try:
    from rdkit import Chem, rdBase
except ImportError as error:  # pragma: no cover
    raise ImportError('Molecules need RDKit: pip install "graphscore[mol]"') from error


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
    try:
        with rdBase.BlockLogs():
            Chem.SanitizeMol(mol)
            Chem.AssignStereochemistry(mol, cleanIt=True)
            return Chem.AddHs(mol)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{smiles!r} is not a possible molecule: {rdkit_reason(error)}") from error


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
