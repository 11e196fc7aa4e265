"""Notes on molecules that were read: what a chemist should know of a record before its conformers are used."""

from __future__ import annotations

from torch_geometric.data import Data

from graphscore.attributes import add_notes
from graphscore.molecules.smiles import Chem

MAX_PLACES = 8
"""Number of atoms that a note names."""
_NOTES = "_graphscore_notes"  # a property of a molecule; RDKit takes those that begin so as private


def note(mol: Chem.Mol, text: str) -> None:
    """Note something on a molecule that is being read, for :func:`with_notes`; its copies have the note too."""
    earlier = [mol.GetProp(_NOTES)] if mol.HasProp(_NOTES) else []
    mol.SetProp(_NOTES, "\n".join([*earlier, text]))


def with_notes(data: Data, mol: Chem.Mol) -> Data:
    """Add the notes on a molecule to its graph, which is changed, and return it.

    Args:
        data: Graph of the molecule.
        mol: The molecule with all hydrogens, its atoms in the same order.
    """
    noted = mol.GetProp(_NOTES).split("\n") if mol.HasProp(_NOTES) else []
    return add_notes(data, *noted, *_radicals(mol))


def _radicals(mol: Chem.Mol) -> list[str]:
    """A note on unpaired electrons, if there are some: whether they are meant or hydrogens are missing is not known."""
    found = [(atom, number) for atom in mol.GetAtoms() if (number := atom.GetNumRadicalElectrons())]
    if not found:
        return []
    num, several = sum(number for _, number in found), len(found) > 1
    places = [f"{atom.GetIdx()} ({atom.GetSymbol()})" for atom, _ in found[:MAX_PLACES]]
    more = f" and {len(found) - MAX_PLACES} more" if len(found) > MAX_PLACES else ""
    return [
        f"{num} unpaired electron{'s' if num > 1 else ''} at atom{'s' if several else ''} {', '.join(places)}{more}: "
        "a radical, unless hydrogens were left out (an atom in brackets of SMILES has those written in it alone)"
    ]
