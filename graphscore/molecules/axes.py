"""Chiral axes of atropisomers and allenes, sides of longer cumulated double bonds, and marks that are not used.

RDKit keeps the marks of atropisomers. It drops those of allenes and cumulenes; they are taken from the SMILES string,
see :func:`~graphscore.molecules.smiles.mol_from_smiles`, or from coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.attributes import NOTES
from graphscore.molecules.cumulenes import Cumulene, cumulenes, written_height, written_sign
from graphscore.molecules.smiles import WRITTEN, Chem
from graphscore.molecules.stereo_groups import group_notes, groups_of

Axis = tuple[int, int, int, int]
"""A substituent, the two ends of the axis, and a substituent of the other end."""

FLAT_BOND, FLAT_CUMULENE = np.sin(np.radians(15.0)), np.sin(np.radians(30.0))
"""Smallest sine of the torsion about an axis: of a single bond, and of cumulated double bonds (90 degrees without
strain). Coordinates below have no handedness."""

UNUSED = "stereo marks not used, as there is no tetrahedral centre, double bond or axis with different groups"

_STEREO = {
    1: Chem.BondStereo.STEREOATROPCW,
    -1: Chem.BondStereo.STEREOATROPCCW,
    0: Chem.BondStereo.STEREONONE,
}
"""RDKit's marks by the sign of the torsion of the lowest substituents of both ends."""
_TURNS = {stereo: sign for sign, stereo in _STEREO.items()}


class Marks(NamedTuple):
    """Axes whose torsion is between 0 and 180 degrees, and pairs across cumulenes with their sides, 1 cis or 2."""

    axes: list[Axis]
    sides: dict[tuple[int, int], int]


def stereo_attributes(mol: Chem.Mol, conformer_id: int | None, pairs: Tensor, sides: Tensor) -> dict[str, Any]:
    """Make the attributes of a graph that hold marks of double bonds and axes and stereo groups, and notes on them.

    Args:
        mol: Molecule with explicit hydrogens.
        conformer_id: As for :func:`marks`.
        pairs: Substituents across double bonds ``[2, P]``, of which none are cumulated.
        sides: Their sides ``[P]``.
    """
    found = marks(mol, conformer_id)
    if found.sides:
        pairs = torch.cat([pairs, torch.tensor(list(found.sides)).t()], dim=1)
        sides = torch.cat([sides, torch.tensor(list(found.sides.values()))])
    attributes: dict[str, Any] = {"cis_trans_index": pairs, "cis_trans": sides}
    if found.axes:
        attributes["axis_index"] = torch.tensor(found.axes).t().contiguous()
    if groups := groups_of(mol):
        attributes["stereo_groups"] = groups
    if notes := [*unused(mol, found), *group_notes(mol, groups)]:
        attributes[NOTES] = notes
    return attributes


def marks(mol: Chem.Mol, conformer_id: int | None) -> Marks:
    """Find the marks of a molecule with explicit hydrogens.

    Args:
        mol: The molecule.
        conformer_id: Conformer from which handedness is read, if there is one; else it is as marked. Single bonds are
            axes only if they are marked, for no geometry tells how fast they turn.
    """
    found = Marks([], {})
    for bond in mol.GetBonds():
        sign = _TURNS.get(bond.GetStereo(), 0)
        if sign and _is_axis(mol, bond):
            axis = _lowest(mol, bond)
            if conformer_id is not None:
                sign = _sign(mol, conformer_id, axis, FLAT_BOND)
            found.axes.extend(_oriented(mol, axis, sign))
    for cumulene in cumulenes(mol):
        first, last = cumulene.substituents
        axis = (first[0], *cumulene.ends, last[0])
        if len(cumulene.middle) % 2:
            if conformer_id is not None:
                sign = _sign(mol, conformer_id, axis, FLAT_CUMULENE)
            else:
                sign = written_sign(mol.GetAtomWithIdx(cumulene.middle[len(cumulene.middle) // 2]))
            found.axes.extend(_oriented(mol, axis, sign))
        elif side := _side(mol, conformer_id, cumulene):
            for i, a in enumerate(first):
                for j, b in enumerate(last):
                    found.sides[a, b] = found.sides[b, a] = side if i == j else 3 - side
    return found


def axes_of(data: Data) -> list[Axis]:
    """List the marked axes of a graph."""
    index = data.get("axis_index")
    return [] if index is None else [(a, b, c, d) for a, b, c, d in index.t().tolist()]


def set_axes(mol: Chem.Mol, axes: Iterable[Axis]) -> None:
    """Mark the single bonds of axes, as their torsions are in the molecule's conformer, or as asked for without one.

    Axes of cumulated double bonds are left as they are, for RDKit cannot mark them.
    """
    for axis in axes:
        bond = mol.GetBondBetweenAtoms(axis[1], axis[2])
        if bond is not None:
            lowest = _lowest(mol, bond)
            flips = (axis[0] not in lowest) + (axis[3] not in lowest)
            sign = (-1) ** flips
            if mol.GetNumConformers():
                sign = _sign(mol, -1, lowest, FLAT_BOND)
            bond.SetStereo(_STEREO[sign])


def sines(pos: NDArray[np.float64], axes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Compute the sine of the torsion about each axis.

    Args:
        pos: Coordinates ``[K, N, 3]``.
        axes: ``[A, 4]``.

    Returns:
        ``[K, A]``, positive between 0 and 180 degrees.
    """
    a, b, c, d = (pos[:, axes[:, i]] for i in range(4))
    axis = c - b
    first, last = np.cross(a - b, axis), np.cross(d - c, axis)
    volume = (np.cross(first, last) * axis).sum(axis=-1)
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(last, axis=-1) * np.linalg.norm(axis, axis=-1)
    return volume / np.maximum(lengths, 1e-9)


def unused(mol: Chem.Mol, honoured: Marks) -> list[str]:
    """A note on the marks of a SMILES string that are not used, if there are some.

    Args:
        mol: Molecule from :func:`~graphscore.molecules.smiles.mol_from_smiles`.
        honoured: Its marks as :func:`marks` finds them.
    """
    if not mol.HasProp(WRITTEN):
        return []
    middle = {cumulene.middle[len(cumulene.middle) // 2]: cumulene for cumulene in cumulenes(mol)}
    ends = {axis[1:3] for axis in honoured.axes}
    atoms, bonds = [], set[tuple[int, int]]()
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() > 1 and atom.HasProp(WRITTEN) and atom.GetChiralTag() not in _TETRAHEDRAL:
            cumulene = middle.get(atom.GetIdx())
            if cumulene is None or not {cumulene.ends, cumulene.ends[::-1]} & ends:
                atoms.append(f"{atom.GetIdx()} ({atom.GetSymbol()})")
    across = {atom for pair in honoured.sides for atom in pair}
    for bond in mol.GetBonds():
        if bond.HasProp(WRITTEN):
            i, j = bond.GetBeginAtom(), bond.GetEndAtom()
            if not (_is_used(i) or _is_used(j) or {i.GetIdx(), j.GetIdx()} & across):
                bonds.add((i.GetIdx(), j.GetIdx()))
    places = [f"at atom {atom}" for atom in atoms] + [f"of bond {i}-{j}" for i, j in sorted(bonds)]
    return [f"{UNUSED}: {', '.join(places)}"] if places else []


_TETRAHEDRAL = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)


def _is_used(atom: Chem.Atom) -> bool:
    """Tell whether a mark of direction at an atom marks a double bond."""
    return any(bond.GetStereo() > Chem.BondStereo.STEREOANY for bond in atom.GetBonds())


def _is_axis(mol: Chem.Mol, bond: Chem.Bond) -> bool:
    """Tell whether both ends of a bond have different substituents; with equal ones both turns are the same."""
    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    for end, beyond in ((bond.GetBeginAtom(), bond.GetEndAtomIdx()), (bond.GetEndAtom(), bond.GetBeginAtomIdx())):
        groups = [ranks[atom.GetIdx()] for atom in end.GetNeighbors() if atom.GetIdx() != beyond]
        if len(set(groups)) < len(groups):
            return False
    return True


def _lowest(mol: Chem.Mol, bond: Chem.Bond) -> Axis:
    """An axis with the lowest substituent of either end."""
    b, c = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    a = min(atom.GetIdx() for atom in mol.GetAtomWithIdx(b).GetNeighbors() if atom.GetIdx() != c)
    d = min(atom.GetIdx() for atom in mol.GetAtomWithIdx(c).GetNeighbors() if atom.GetIdx() != b)
    return a, b, c, d


def _oriented(mol: Chem.Mol, axis: Axis, sign: int) -> list[Axis]:
    """The axis with substituents of positive torsion; none if it has no sign, or neither end another substituent."""
    if sign > 0:
        return [axis]
    a, b, c, d = axis
    for place, end, known in ((0, b, a), (3, c, d)) if sign else ():
        beyond = {atom.GetIdx() for atom in mol.GetAtomWithIdx(end).GetNeighbors()} - {known}
        others = [one for one in beyond if one not in _inner(mol, axis)]
        if others:
            turned = list(axis)
            turned[place] = others[0]
            return [(turned[0], b, c, turned[3])]
    return []


def _inner(mol: Chem.Mol, axis: Axis) -> tuple[int, ...]:
    """Atoms on the way between the ends of an axis, which are no substituents."""
    return Chem.GetShortestPath(mol, axis[1], axis[2])


def _sign(mol: Chem.Mol, conformer_id: int, axis: Axis, limit: float) -> int:
    """Sign of the torsion about an axis in a conformer, 0 if it is near to 0 or 180 degrees."""
    value = sines(mol.GetConformer(conformer_id).GetPositions()[None], np.array([axis]))[0, 0]
    return int(np.sign(value)) if abs(value) > limit else 0


def _side(mol: Chem.Mol, conformer_id: int | None, cumulene: Cumulene) -> int:
    """Return 1 if the first substituents of both ends are on one side, 2 if on opposite sides, 0 if not known."""
    (a, *_), (d, *_) = cumulene.substituents
    if conformer_id is not None:
        pos = mol.GetConformer(conformer_id).GetPositions()
        axis = pos[cumulene.ends[1]] - pos[cumulene.ends[0]]
        first, last = np.cross(pos[a] - pos[cumulene.ends[0]], axis), np.cross(pos[d] - pos[cumulene.ends[1]], axis)
        cosine = first @ last / max(np.linalg.norm(first) * np.linalg.norm(last), 1e-9)
        return 0 if abs(cosine) < 0.5 else 1 if cosine > 0 else 2
    heights = []
    for end, group in zip(cumulene.ends, cumulene.substituents, strict=True):
        known = {written_height(mol, end, other) * (-1) ** place for place, other in enumerate(group)} - {0}
        heights.append(known.pop() if len(known) == 1 else 0)
    product = heights[0] * heights[1]
    return 0 if not product else 1 if product > 0 else 2
