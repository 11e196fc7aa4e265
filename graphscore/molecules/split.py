"""Keys for splitting molecules into parts: SMILES without stereo marks, or scaffold."""

from __future__ import annotations

from rdkit.Chem.Scaffolds import MurckoScaffold
from torch_geometric.data import Data

from graphscore.molecules.graph import Chem, canonical_smiles, flat_smiles, mol_from_data
from graphscore.molecules.labels import without_isotopes

SPLITS = ("molecule", "scaffold")
"""Ways to split molecules; see :func:`split_key`."""


def by_molecule(item: Data) -> str:
    """Compute the key of a graph for a split by molecule, the SMILES without stereo marks; see :func:`split_key`."""
    return split_key(mol_from_data(item), "molecule")


def by_scaffold(item: Data) -> str:
    """Compute the key of a graph for a split by scaffold; see :func:`split_key`."""
    return split_key(mol_from_data(item), "scaffold")


def group(item: Data) -> str:
    """Compute the group key of a graph: the SMILES with stereo marks, equal for all conformers and isotopologues."""
    return canonical_smiles(without_isotopes(mol_from_data(item)))


def split_key(mol: Chem.Mol, by: str) -> str:
    """Compute the key of a molecule for a split by molecule or by scaffold.

    Args:
        mol: Molecule.
        by: ``"molecule"`` for its SMILES without stereo marks; ``"scaffold"`` for its Murcko scaffold, the rings and
            the linkers between them, also without stereo marks, so that test molecules have other ring systems than
            training molecules. A molecule without rings has no scaffold: it is split by its own SMILES.

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
    """Compute the flat SMILES of the Bemis-Murcko scaffold: rings and their linkers; empty for molecules without rings.

    References:
        G. W. Bemis, M. A. Murcko (1996), The properties of known drugs. 1. Molecular frameworks.
    """
    return MurckoScaffold.MurckoScaffoldSmiles(smiles)
