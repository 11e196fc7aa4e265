"""Stereo marks of graphs: on RDKit molecules, and of molecules that have atoms, bonds and perhaps coordinates alone."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphscore.attributes import NOTES, add_notes
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
    for name in MARKS:
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
    for axis in axes_of(data):
        set_axis(mol, axis)
    return mol


def axes_of(data: Data) -> list[tuple[int, int, int, int]]:
    """List the marked axes of a molecule: substituent, first end, last end, substituent."""
    index = data.get("axis_index")
    return [] if index is None else [(a, b, c, d) for a, b, c, d in index.t().tolist()]


def path_of_double_bond(mol: Chem.Mol, a: int, d: int) -> tuple[int, int, int, int] | None:
    """Find the double bond between two substituents; returns them with its ends amid, or None."""
    for first in mol.GetAtomWithIdx(a).GetNeighbors():
        for last in mol.GetAtomWithIdx(d).GetNeighbors():
            bond = mol.GetBondBetweenAtoms(first.GetIdx(), last.GetIdx())
            if bond is not None and BONDS[bond.GetBondType()] == 2:
                return a, first.GetIdx(), last.GetIdx(), d
    return None


def set_centre(atom: Chem.Atom, sign: int) -> None:
    """Mark a centre with a handedness, as :func:`~graphscore.molecules.graph.handedness` gives it."""
    atom.SetChiralTag(Chem.ChiralType.CHI_TETRAHEDRAL_CCW)
    if handedness(atom) != sign:
        atom.SetChiralTag(Chem.ChiralType.CHI_TETRAHEDRAL_CW)


def set_side(mol: Chem.Mol, path: tuple[int, int, int, int], is_cis: bool) -> None:
    """Mark a double bond: the first and the last atom of the path are on the same side of it, or not."""
    a, b, c, d = path
    bond = mol.GetBondBetweenAtoms(b, c)
    bond.SetStereoAtoms(*((a, d) if bond.GetBeginAtomIdx() == b else (d, a)))
    bond.SetStereo(Chem.BondStereo.STEREOCIS if is_cis else Chem.BondStereo.STEREOTRANS)


def set_axis(mol: Chem.Mol, axis: tuple[int, int, int, int], sign: int = 1) -> None:
    """Mark the single bond of an axis with the sign of its torsion; axes of several bonds are left as they are."""
    bond = mol.GetBondBetweenAtoms(axis[1], axis[2])
    if bond is not None:
        # RDKit's mark is the direction from the lowest substituent of one end to that of the other.
        lowest = lowest_substituents(mol, axis[1], axis[2])
        flips = (axis[0] != lowest[0]) + (axis[3] != lowest[1])
        is_clockwise = (sign > 0) == (flips % 2 == 0)
        bond.SetStereo(Chem.BondStereo.STEREOATROPCW if is_clockwise else Chem.BondStereo.STEREOATROPCCW)


def lowest_substituents(mol: Chem.Mol, first: int, last: int) -> tuple[int, int]:
    """Find the lowest neighbor of either end of a bond, other than the other end."""
    return (
        min(atom.GetIdx() for atom in mol.GetAtomWithIdx(first).GetNeighbors() if atom.GetIdx() != last),
        min(atom.GetIdx() for atom in mol.GetAtomWithIdx(last).GetNeighbors() if atom.GetIdx() != first),
    )
