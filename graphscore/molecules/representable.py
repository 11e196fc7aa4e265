"""Checks of molecules, conformers and coordinates from elsewhere, for what a graph can hold."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from graphscore.molecules.smiles import Chem

NUM_ELEMENTS = 118
_DATIVE = (Chem.BondType.DATIVE, Chem.BondType.DATIVEONE, Chem.BondType.DATIVEL, Chem.BondType.DATIVER)


def check_atomic_number(number: int, atom: int) -> int:
    """Return an atomic number if an element has it; RDKit would count modulo 256.

    Raises:
        ValueError: If there is no such element; ``atom`` is the number of the atom.
    """
    if number not in range(1, NUM_ELEMENTS + 1):
        raise ValueError(f"Expected atomic numbers from 1 to {NUM_ELEMENTS}, but that of atom {atom} is {number}")
    return number


def check_representable(mol: Chem.Mol, kinds: Collection[Chem.BondType]) -> None:
    """Reject molecules without atoms, with placeholders, or with bonds of other kinds.

    Raises:
        ValueError: If the graph cannot hold the molecule.
    """
    if mol.GetNumAtoms() == 0:
        raise ValueError("Expected a molecule, but it has no atoms")
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0:
            raise ValueError(f"Atom {atom.GetIdx()} ({atom.GetSymbol()}) is a placeholder, not an element")
    check_bonds(mol, kinds)


def check_bonds(mol: Chem.Mol, kinds: Collection[Chem.BondType]) -> None:
    """Reject bonds of other kinds than these; the molecule need not be sanitized.

    Raises:
        ValueError: If there is one.
    """
    for bond in mol.GetBonds():
        if (kind := bond.GetBondType()) not in kinds:
            i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            advice = "; write dative bonds as single ones between charges, as in [NH3+][BH3-]"
            raise ValueError(
                f"Bonds must be single, double, triple or aromatic, but atoms {i} and {j} have {kind}"
                f"{advice if kind in _DATIVE else ''}"
            )


def choose_conformer(mol: Chem.Mol, conformer_id: int | None) -> int | None:
    """Id of the conformer to use: the requested one, or else the first three-dimensional one, or else None.

    Raises:
        ValueError: If there is no such conformer.
    """
    ids = [conformer.GetId() for conformer in mol.GetConformers() if conformer.Is3D()]
    if conformer_id is None:
        return ids[0] if ids else None
    if conformer_id not in ids:
        raise ValueError(f"The molecule has no 3-D conformer {conformer_id}; its conformers are {ids}")
    return conformer_id


def checked_positions(pos: Tensor, num_atoms: int) -> NDArray[np.float64]:
    """Convert coordinates to an array ``[N, 3]``.

    Raises:
        ValueError: If they have another shape, or are not finite.
    """
    if pos.shape != (num_atoms, 3):
        raise ValueError(f"Expected pos of shape [{num_atoms}, 3], but got {list(pos.shape)}")
    values = pos.detach().cpu().double().numpy()
    if not np.isfinite(values).all():
        raise ValueError("pos has values that are not finite")
    return values
