"""Stereo marks of graphs: on RDKit molecules, and of molecules that have atoms, bonds and perhaps coordinates alone."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch_geometric.data import Data

from graphscore.attributes import NOTES, add_notes
from graphscore.molecules.axes import axes_of, set_axes
from graphscore.molecules.graph import BONDS, Chem, bare_mol, data_from_mol, handedness, mol_from_data

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
    for name in (*MARKS, "axis_index"):
        if name in known:
            result[name] = known[name]
    if not isinstance(data.get("smiles"), str):
        result.smiles = known.smiles
    return add_notes(result, *(known.get(NOTES) or ()))


def stereo_mol(data: Data) -> Chem.Mol:
    """Convert a graph to an RDKit molecule without coordinates, with all stereo marks that RDKit has a place for.

    Args:
        data: Graph in the layout of :mod:`graphscore.molecules.graph`. Its coordinates are used only if it has no
            marks.

    Returns:
        A sanitized molecule with marked centres, double bonds and axes of single bonds; axes of cumulated double bonds
        are left out, for RDKit cannot mark them.

    Raises:
        ValueError: If the graph is not a molecule.
    """
    mol, data = bare_mol(data), marked(data)
    for atom, sign in zip(mol.GetAtoms(), data["chirality"].tolist(), strict=True):
        if sign and atom.GetDegree() in (3, 4):
            set_centre(atom, sign)
    for (a, b), side in zip(data["cis_trans_index"].t().tolist(), data["cis_trans"].tolist(), strict=True):
        if a < b and (path := path_of_double_bond(mol, a, b)) is not None:
            set_side(mol, path, side == 1)
    Chem.SetDoubleBondNeighborDirections(mol)  # SMILES of the molecule are written from these
    set_axes(mol, axes_of(data))
    return mol


def path_of_double_bond(mol: Chem.Mol, a: int, d: int) -> tuple[int, int, int, int] | None:
    """Find the double bond, or the cumulated ones, between two substituents; returns them with its ends amid, or None.

    The ends are those of the whole chain of double bonds.
    """
    path = Chem.GetShortestPath(mol, a, d)
    bonds = [mol.GetBondBetweenAtoms(*pair) for pair in pairwise(path)]
    if len(bonds) < 3 or any(BONDS[bond.GetBondType()] != 2 for bond in bonds[1:-1]):
        return None
    return a, path[1], path[-2], d


def set_centre(atom: Chem.Atom, sign: int) -> None:
    """Mark a centre with a handedness, as :func:`~graphscore.molecules.graph.handedness` gives it."""
    atom.SetChiralTag(Chem.ChiralType.CHI_TETRAHEDRAL_CCW)
    if handedness(atom) != sign:
        atom.SetChiralTag(Chem.ChiralType.CHI_TETRAHEDRAL_CW)


def set_side(mol: Chem.Mol, path: tuple[int, int, int, int], is_cis: bool) -> None:
    """Mark a double bond: the first and the last atom of the path are on the same side of it, or not.

    Cumulated double bonds are left as they are, for RDKit cannot mark them.
    """
    a, b, c, d = path
    bond = mol.GetBondBetweenAtoms(b, c)
    if bond is None:
        return
    bond.SetStereoAtoms(*((a, d) if bond.GetBeginAtomIdx() == b else (d, a)))
    bond.SetStereo(Chem.BondStereo.STEREOCIS if is_cis else Chem.BondStereo.STEREOTRANS)
