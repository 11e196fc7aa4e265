"""Conversion of molecules between RDKit and PyG graphs, and the layout of these graphs.

One :class:`~torch_geometric.data.Data` per molecule, hydrogens always explicit:

=============  ==========================  ==============================================================
``z``          ``[N]`` int64               atomic numbers
``charge``     ``[N]`` int64               formal charges, in elementary charges
``edge_index`` ``[2, E]`` int64            each bond in both directions, sorted
``bond``       ``[E]`` int64               1 single, 2 double, 3 triple, 4 aromatic (0 is kept for "no bond")
``chirality``  ``[N]`` int64               1 or -1 at tetrahedral stereocentres whose handedness is marked, else 0: the
                                           sign of det(a - d, b - d, c - d) of the neighbors a < b < c < d, or of
                                           det(a - x, b - x, c - x) where x has three neighbors
``cis_trans_index`` ``[2, P]`` int64       pairs of substituents across marked stereo double bonds, both directions
``cis_trans``  ``[P]`` int64               1 if the two are on the same side, 2 if on opposite sides
``axis_index`` ``[4, A]`` int64            substituent a, ends b and c, substituent d of each marked chiral axis (of an
                                           atropisomer or an allene): its torsion a-b-c-d is between 0 and 180 degrees;
                                           absent where there are none
``isotope``    ``[N]`` int64               mass numbers of labelled isotopes, else 0; absent where there are none
``atom_map``   ``[N]`` int64               atom map numbers, else 0; absent where there are none
``stereo_groups`` str                      enhanced stereochemistry, see :mod:`graphscore.molecules.stereo_groups`;
                                           absent where there is none
``pos``        ``[N, 3]`` float32          coordinates in Angstrom; absent where there are none
``smiles``     str                         canonical isomeric SMILES, with those hydrogens alone that define a mark
``name``       str                         name in the source, or empty
``properties`` dict of str                 data fields or columns in the source, in their order; absent where unread
``notes``      list of str                 notes on the record, see :data:`graphscore.attributes.NOTES`; absent without
=============  ==========================  ==============================================================
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.molecules.axes import axes_of, set_axes, stereo_attributes
from graphscore.molecules.domain import MOLECULES
from graphscore.molecules.labels import atom_labels, set_atom_maps, set_isotopes, take_atom_maps, without_isotopes
from graphscore.molecules.notes import with_notes
from graphscore.molecules.perception import perceive_stereo
from graphscore.molecules.representable import (
    check_atomic_number,
    check_representable,
    checked_positions,
    choose_conformer,
)
from graphscore.molecules.smiles import Chem, mol_from_smiles, rdBase, rdkit_errors, rdkit_reason

_KINDS = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC)
BONDS = {kind: number for number, kind in enumerate(_KINDS, start=1)}
_TOPOLOGY = ("z", "charge", "edge_index", "bond")
_SIGNS = {Chem.ChiralType.CHI_TETRAHEDRAL_CCW: 1, Chem.ChiralType.CHI_TETRAHEDRAL_CW: -1}
_SIDES = {
    Chem.BondStereo.STEREOZ: 1,
    Chem.BondStereo.STEREOCIS: 1,
    Chem.BondStereo.STEREOE: 2,
    Chem.BondStereo.STEREOTRANS: 2,
}


def is_molecule(data: Data) -> bool:
    """Tell whether a graph is a molecule in the layout of this module, with or without coordinates."""
    return MOLECULES.owns(data)


def data_from_smiles(smiles: str, name: str = "") -> Data:
    """Convert a SMILES string to a graph without coordinates.

    Args:
        smiles: Any SMILES that RDKit reads.
        name: Stored as ``name``.

    Returns:
        The graph, in the layout given at the top of this module.

    Raises:
        ValueError: If RDKit refuses it, or the graph cannot hold it; see :func:`data_from_mol`.
    """
    mol = mol_from_smiles(smiles)
    try:
        return data_from_mol(mol, name=name)
    except ValueError as error:
        raise ValueError(f"{smiles!r} is not supported: {error}") from error


@rdkit_errors()
def data_from_mol(mol: Chem.Mol, conformer_id: int | None = None, name: str = "") -> Data:
    """Convert an RDKit molecule to a graph.

    Missing hydrogens are added, with coordinates if the molecule has some. The coordinates of a two-dimensional
    depiction are ignored. If there are coordinates, the stereo marks of ``smiles`` are derived from them.

    Args:
        mol: Molecule, with or without explicit hydrogens; it is not changed.
        conformer_id: Conformer that gives ``pos``; by default the first, if there is any.
        name: Stored as ``name``.

    Returns:
        The graph, in the layout given at the top of this module.

    Raises:
        ValueError: If the conformer does not exist, or the molecule has placeholder atoms, other bond types or an
            impossible valence, which the graph cannot hold.
    """
    mol = Chem.Mol(mol)
    check_representable(mol, BONDS)
    maps = take_atom_maps(mol)
    conformer = choose_conformer(mol, conformer_id)
    try:
        with rdBase.BlockLogs():
            Chem.SanitizeMol(mol)
            mol = Chem.AddHs(mol, addCoords=conformer is not None)
            if conformer is not None:
                perceive_stereo(mol, conformer)
            elif maps:  # without marks that RDKit has set by the maps alone
                Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"Not a possible molecule: {rdkit_reason(error)}") from error
    edge_index, bond = _bonds(mol)
    atoms = [(atom.GetAtomicNum(), atom.GetFormalCharge(), handedness(atom)) for atom in mol.GetAtoms()]
    z, charge, chirality = torch.tensor(atoms).t().contiguous()
    data = Data(
        z=z,
        charge=charge,
        edge_index=edge_index,
        bond=bond,
        chirality=chirality,
        smiles=canonical_smiles(mol),
        name=name,
        num_nodes=mol.GetNumAtoms(),
        **atom_labels(mol, maps),
        **stereo_attributes(mol, conformer, *double_bond_sides(mol)),
    )
    if conformer is not None:
        data.pos = torch.from_numpy(mol.GetConformer(conformer).GetPositions()).float()
    return with_notes(data, mol)


@rdkit_errors()
def mol_from_data(data: Data) -> Chem.Mol:
    """Convert a graph to an RDKit molecule with the same atoms, in the same order, charges and bonds.

    All hydrogens are explicit; isotopes and atom maps are those of the graph. Its coordinates become a conformer, and
    stereo marks are perceived from them; without coordinates there are no stereo marks.

    Args:
        data: Graph in the layout given at the top of this module. Pairs with ``bond == 0`` are not bonds.

    Returns:
        A sanitized molecule.

    Raises:
        ValueError: If attributes are missing or do not make a molecule.
    """
    mol = bare_mol(data)
    set_isotopes(mol, data)
    if data.get("pos") is not None:
        add_positions(mol, checked_positions(data["pos"], mol.GetNumAtoms()))
        perceive_stereo(mol)
        set_axes(mol, axes_of(data))
    set_atom_maps(mol, data)
    return mol


class _ImpossibleError(ValueError):
    """Raised when RDKit rejects the atoms and bonds of a graph."""


@lru_cache(maxsize=1024)  # enough for the inputs sampled together; each of their samples is rebuilt several times
def _rebuilt(z: bytes, charge: bytes, edge_index: bytes, bond: bytes) -> Chem.Mol:
    """Build the molecule of int64 atoms and bonds without coordinates; it is cached, so copy it before any change."""
    numbers, charges, edges, bonds = (np.frombuffer(part, np.int64) for part in (z, charge, edge_index, bond))
    mol = Chem.RWMol()
    for number, one in zip(numbers.tolist(), charges.tolist(), strict=True):
        atom = Chem.Atom(check_atomic_number(number, mol.GetNumAtoms()))
        atom.SetFormalCharge(one)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for i, j, kind in zip(*edges.reshape(2, -1).tolist(), bonds.tolist(), strict=True):
        if kind > 0 and i < j:
            if kind > len(_KINDS):
                raise ValueError(f"Expected bond types 1, 2, 3 or 4, but atoms {i} and {j} have {kind}")
            mol.AddBond(i, j, _KINDS[kind - 1])
            if kind == BONDS[Chem.BondType.AROMATIC]:
                mol.GetAtomWithIdx(i).SetIsAromatic(True)
                mol.GetAtomWithIdx(j).SetIsAromatic(True)
    try:
        Chem.SanitizeMol(mol)
    except (ValueError, RuntimeError) as error:
        raise _ImpossibleError(rdkit_reason(error)) from error
    return mol.GetMol()


@rdkit_errors()
def bare_mol(data: Data) -> Chem.Mol:
    """Convert a graph to an RDKit molecule without coordinates, stereo marks, isotopes and atom maps.

    Raises:
        ValueError: If the graph is not a molecule.
    """
    if missing := [key for key in _TOPOLOGY if key not in data]:
        raise ValueError(f"A molecule needs z, charge, edge_index, bond; {missing} missing in {data.keys()}")
    parts = [data[key] for key in _TOPOLOGY]
    if parts[2].shape != (2, len(parts[3])) or any(part.is_floating_point() for part in parts):
        found = ", ".join(f"{key} {part.dtype} {list(part.shape)}" for key, part in zip(_TOPOLOGY, parts, strict=True))
        raise ValueError(f"Expected integers z [N], charge [N], edge_index [2, E] and bond [E], but got {found}")
    try:
        with rdBase.BlockLogs():
            return Chem.Mol(_rebuilt(*(part.cpu().long().numpy().tobytes() for part in parts)))
    except _ImpossibleError as error:
        raise ValueError(f"The graph {data.get('smiles', '')!r} is not a possible molecule: {error}") from error


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
    """Replace all conformers of a molecule by one with coordinates ``[N, 3]`` in Angstrom."""
    mol.RemoveAllConformers()
    add_positions(mol, pos)


def remove_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    """Copy a molecule without its hydrogen atoms, except those without a heavy neighbor, as in ``[H][H]``."""
    params = Chem.RemoveHsParameters()
    # Otherwise it would depend on the conformer whether a hydrogen that defines the stereo mark of an imine stays.
    params.removeDefiningBondStereo = True
    with rdBase.BlockLogs():
        return Chem.RemoveHs(mol, params)


def canonical_smiles(mol: Chem.Mol) -> str:
    """Compute the canonical SMILES with stereo marks, the hydrogens that define one, and isotopes; no atom maps."""
    with rdBase.BlockLogs():
        mol = Chem.RemoveHs(mol)
    take_atom_maps(mol)
    return Chem.MolToSmiles(mol)


def flat_smiles(mol: Chem.Mol) -> str:
    """Compute the canonical SMILES without stereo marks, isotopes and explicit hydrogens, the default key of splits."""
    heavy = remove_hydrogens(without_isotopes(mol))
    take_atom_maps(heavy)
    return Chem.MolToSmiles(heavy, isomericSmiles=False)


def _bonds(mol: Chem.Mol) -> tuple[Tensor, Tensor]:
    rows = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), BONDS[b.GetBondType()]) for b in mol.GetBonds()]
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    both = np.concatenate([table, table[:, [1, 0, 2]]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    return torch.from_numpy(both[:, :2].T.copy()), torch.from_numpy(both[:, 2].copy())


def handedness(atom: Chem.Atom) -> int:
    """Handedness of the neighbors in ascending order, see the top of this module."""
    if not (sign := _SIGNS.get(atom.GetChiralTag(), 0)):
        return 0
    order = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
    swaps = sum(a > b for i, a in enumerate(order) for b in order[i + 1 :])
    return sign * (-1) ** swaps


def double_bond_sides(mol: Chem.Mol) -> tuple[Tensor, Tensor]:
    """Substituent pairs ``[2, P]`` of the stereo double bonds, and their sides ``[P]``."""
    pairs, sides = [], []
    for bond in mol.GetBonds():
        if (stereo := bond.GetStereo()) not in _SIDES:
            continue
        (i, j), marked = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()), tuple(bond.GetStereoAtoms())
        for a in mol.GetAtomWithIdx(i).GetNeighbors():
            for b in mol.GetAtomWithIdx(j).GetNeighbors():
                if a.GetIdx() == j or b.GetIdx() == i:
                    continue
                # Each exchange of a marked substituent for the other one of its end changes the side.
                flips = (a.GetIdx() != marked[0]) + (b.GetIdx() != marked[1])
                side = _SIDES[stereo] if flips % 2 == 0 else 3 - _SIDES[stereo]
                pairs += [(a.GetIdx(), b.GetIdx()), (b.GetIdx(), a.GetIdx())]
                sides += [side, side]
    return torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t().contiguous(), torch.tensor(sides, dtype=torch.long)
