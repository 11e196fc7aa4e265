"""Wedges of flat depictions that RDKit leaves unused: those of allenes are read, others noted."""

from __future__ import annotations

import numpy as np

from graphscore.molecules.axes import FLAT_CUMULENE, UNUSED, sines
from graphscore.molecules.cumulenes import cumulenes
from graphscore.molecules.notes import note
from graphscore.molecules.smiles import WRITTEN, Chem

_UP, _DOWN = {"_MolFileBondStereo": 1, "_MolFileBondCfg": 1}, {"_MolFileBondStereo": 6, "_MolFileBondCfg": 3}
_USED = (Chem.BondStereo.STEREOATROPCW, Chem.BondStereo.STEREOATROPCCW)


def read_wedges(mol: Chem.Mol) -> None:
    """Mark the allenes of a molecule from a flat MOL block by their wedges, and note wedges that mark nothing.

    Args:
        mol: The molecule as RDKit reads it; it is changed.
    """
    if not mol.GetNumConformers() or mol.GetConformer().Is3D():
        return
    unused: dict[int, dict[int, int]] = {}  # heights of neighbors by the atom where their wedge begins
    for bond in mol.GetBonds():
        atom = bond.GetBeginAtom()
        is_used = atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED
        is_used |= any(other.GetStereo() in _USED for other in atom.GetBonds())
        if (height := _height(bond)) and not is_used:
            unused.setdefault(atom.GetIdx(), {})[bond.GetEndAtomIdx()] = height
    if not unused:
        return
    full = Chem.AddHs(mol, addCoords=True)
    pos = full.GetConformer().GetPositions()
    for cumulene in cumulenes(full):
        lifted = pos.copy()
        axis = np.array([(cumulene.substituents[0][0], *cumulene.ends, cumulene.substituents[1][0])])
        for end, group in zip(cumulene.ends, cumulene.substituents, strict=True):
            height = _lift(unused.get(end, {}), group)
            lifted[group[0], 2], lifted[group[1], 2] = height, -height
        sine = sines(lifted[None], axis)[0, 0]
        if len(cumulene.middle) % 2 and abs(sine) > FLAT_CUMULENE:
            mol.GetAtomWithIdx(cumulene.middle[len(cumulene.middle) // 2]).SetIntProp(WRITTEN, int(np.sign(sine)))
            mol.SetIntProp(WRITTEN, 1)
            for end in cumulene.ends:
                unused.pop(end, None)
    if unused:
        places = ", ".join(f"{atom} ({mol.GetAtomWithIdx(atom).GetSymbol()})" for atom in sorted(unused))
        note(mol, f"{UNUSED}: wedge at atom {places}")


def _height(bond: Chem.Bond) -> int:
    """Height of the end of a bond by its wedge in a MOL block: 1 above, -1 below, 0 without a wedge."""
    for sign, codes in ((1, _UP), (-1, _DOWN)):
        if any(bond.HasProp(key) and bond.GetIntProp(key) == code for key, code in codes.items()):
            return sign
    return 0


def _lift(heights: dict[int, int], group: list[int]) -> int:
    """Height of the first of two substituents, by the wedge of either."""
    return heights.get(group[0], 0) or -heights.get(group[1], 0)
