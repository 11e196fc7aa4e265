"""RDKit molecules of graphs, without and with coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.molecules.graph import Chem, mol_from_data


def bare_mol(data: Data) -> Chem.Mol:
    """Rebuild the molecule of a graph without coordinates and stereo marks.

    Raises:
        ValueError: If the graph is no molecule.
    """
    return mol_from_data(Data(**{key: data[key] for key in ("z", "charge", "edge_index", "bond") if key in data}))


def add_positions(mol: Chem.Mol, pos: NDArray[np.float64]) -> Chem.Conformer:
    """Add a conformer to a molecule.

    Args:
        mol: The molecule; it is changed.
        pos: Coordinates in Angstrom, ``[N, 3]``.

    Returns:
        The molecule's new conformer.
    """
    conformer = Chem.Conformer(len(pos))
    conformer.SetPositions(np.ascontiguousarray(pos, dtype=np.float64))
    return mol.GetConformer(mol.AddConformer(conformer, assignId=True))


def set_positions(mol: Chem.Mol, pos: NDArray[np.float64]) -> None:
    """Replace all conformers of a molecule by one, of coordinates ``[N, 3]`` in Angstrom."""
    mol.RemoveAllConformers()
    add_positions(mol, pos)
