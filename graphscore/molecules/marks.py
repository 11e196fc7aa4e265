"""Stereo marks of molecules from elsewhere, which have atoms, bonds and perhaps coordinates alone."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphscore.molecules.graph import data_from_mol, mol_from_data

MARKS = ("chirality", "cis_trans_index", "cis_trans")


def marked(data: Data) -> Data:
    """Add the stereo marks and the SMILES that a molecule lacks; they are those of its coordinates, or none without.

    Args:
        data: Graph with ``z``, ``charge``, ``edge_index`` and ``bond``, see :mod:`graphscore.molecules.graph`.

    Returns:
        The graph itself if it has marks, and otherwise a copy.
    """
    if all(data.get(name) is not None for name in MARKS):
        return data
    result = data.clone()
    result.chirality = torch.zeros(len(data["z"]), dtype=torch.long)
    result.cis_trans_index = torch.zeros(2, 0, dtype=torch.long)
    result.cis_trans = torch.zeros(0, dtype=torch.long)
    try:
        known = data_from_mol(mol_from_data(data))
    except ValueError:  # no molecule, or without coordinates in space: said where it is used
        return result
    for name in MARKS:
        result[name] = known[name]
    if not isinstance(data.get("smiles"), str):
        result.smiles = known.smiles
    return result
