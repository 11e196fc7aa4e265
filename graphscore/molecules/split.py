"""Splits of molecules: by the molecule without stereo marks, or by its scaffold."""

from __future__ import annotations

from rdkit.Chem.Scaffolds import MurckoScaffold
from torch_geometric.data import Data

from graphscore.molecules.graph import Chem, canonical_smiles, flat_smiles, mol_from_data

SPLITS = ("molecule", "scaffold")
"""Ways to split molecules; see :func:`split_key`."""


def by_molecule(item: Data) -> str:
    """Compute the key by which a graph is split: the SMILES without stereo marks; see :func:`split_key`."""
    return split_key(mol_from_data(item), "molecule")


def by_scaffold(item: Data) -> str:
    """Compute the key by which a graph is split: its scaffold; see :func:`split_key`."""
    return split_key(mol_from_data(item), "scaffold")


def group(item: Data) -> str:
    """Compute the SMILES with stereo marks, which all conformers of a molecule share."""
    return canonical_smiles(mol_from_data(item))


def split_key(mol: Chem.Mol, by: str) -> str:
    """Compute the key by which a molecule is split.

    Args:
        mol: Molecule.
        by: ``"molecule"`` for its SMILES without stereo marks; ``"scaffold"`` for its Murcko scaffold, the rings and
            what links them, also without stereo marks, so that test molecules have rings that were not trained on.
            A molecule without rings has no scaffold: it is split by its own SMILES.

    Returns:
        The key.

    Raises:
        ValueError: If there is no such way.
    """
    if by not in SPLITS:
        raise ValueError(f"Expected a split by one of {SPLITS}, but got {by!r}")
    flat = flat_smiles(mol)
    return (scaffold_smiles(flat) if by == "scaffold" else "") or flat


def scaffold_smiles(smiles: str) -> str:
    """Compute the flat SMILES of the Bemis-Murcko scaffold: rings and what links them; empty where there are no rings.

    References:
        G. W. Bemis, M. A. Murcko (1996), The properties of known drugs. 1. Molecular frameworks.
    """
    return MurckoScaffold.MurckoScaffoldSmiles(smiles)
