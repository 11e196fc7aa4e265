"""Conformers that samples start from: those of inputs, found again by the atoms and bonds, and put back in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.linalg.kabsch import align
from graphscore.molecules.graph import Chem, bare_mol
from graphscore.molecules.marks import stereo_mol
from graphscore.molecules.readers import graph_of
from graphscore.molecules.smiles import rdkit_errors


def one_by_one(items: Iterable[Any]) -> Iterator[Any]:
    """Replace RDKit molecules by graphs of their conformers; other inputs, and those without any, stay as they are."""
    for item in items:
        numbers = [one.GetId() for one in item.GetConformers()] if isinstance(item, Chem.Mol) else []
        try:
            yield from [graph_of(Chem.Mol(item, confId=number)) for number in numbers] or [item]
        except ValueError:  # it fails by name where it is read
            yield item


@rdkit_errors()
def identity(graph: Data, *, marks: bool = True) -> tuple[str, Tensor]:
    """Identify a molecule: its SMILES with all hydrogens, and the order of its atoms in it.

    Of two graphs with the same SMILES, the atoms at the same places correspond to each other.

    Args:
        graph: The molecule.
        marks: Whether stereo marks count; those of coordinates if it has no others.

    Returns:
        The SMILES, and the number in the graph of each of its atoms, ``[N]``.

    Raises:
        ValueError: If the graph is not a molecule.
    """
    mol = stereo_mol(graph) if marks else bare_mol(graph)
    smiles = Chem.MolToSmiles(mol, isomericSmiles=marks)
    order = mol.GetPropsAsDict(includePrivate=True, includeComputed=True)["_smilesAtomOutputOrder"]
    return smiles, torch.tensor(list(order), dtype=torch.long)


def superpose(sample: Data, start: Data) -> None:
    """Move a conformer by rotation and translation onto the one that it started from.

    Heavy atoms are superposed, or all of molecules with fewer than three.

    Args:
        sample: The conformer, which gets new coordinates, and the number ``start_rmsd``, the RMSD of these atoms in
            Angstrom, without regard to symmetry.
        start: The other, with the same atoms in the same order.
    """
    sample.pos = onto(sample["pos"], start)
    off, weight = (sample.pos - start["pos"]).square().sum(-1), _heavy(start)
    sample.start_rmsd = float(((off * weight).sum() / weight.sum()).sqrt())


def onto(pos: Tensor, start: Data) -> Tensor:
    """Superpose coordinates ``[N, 3]`` on those of a molecule, by its heavy atoms if it has three or more."""
    index = torch.zeros(len(pos), dtype=torch.long)
    return align(pos.double(), start["pos"].double(), index, 1, _heavy(start)).to(pos.dtype)


def _heavy(graph: Data) -> Tensor:
    """Weights ``[N]``: 1 for heavy atoms and 0 for hydrogens, or 1 for all where fewer than three are heavy."""
    heavy = (graph["z"] != 1).double()
    return heavy if heavy.sum() > 2 else torch.ones_like(heavy)
