"""Bonds for atoms with coordinates: those of a given SMILES string, or perceived from distances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from rdkit.Chem import rdDetermineBonds, rdMolTransforms

from graphscore.molecules.graph import Chem, add_positions, rdBase
from graphscore.molecules.smiles import mol_from_smiles, rdkit_reason

BONDED = 1.3  # times the sum of covalent radii: no bond is longer
NOT_BONDED = 1.15  # atoms that are closer have a bond
LINEAR = 145.0  # degrees: angles at triple bonds in rings of eight atoms and more are wider
MAX_MATCHES = 1000
MAX_STEPS = 10_000  # of perception, which may not end otherwise on structures that are no molecules


def perceive_bonds(mol: Chem.Mol, charge: int = 0, multiplicity: int | None = None) -> Chem.Mol:
    """Perceive the bonds and charges of a molecule from the distances of its atoms.

    An atom alone gets the charge, and no hydrogens. Without a multiplicity a neutral molecule with an odd number of
    electrons is a radical where that leaves one unpaired electron at a carbon atom; elsewhere an ion without its
    charge is likelier.

    Args:
        mol: Atoms with coordinates; it is not changed.
        charge: Charge of the molecule, in elementary charges.
        multiplicity: Spin multiplicity; 2 for a radical of any element.

    Returns:
        A copy with the bonds.

    Raises:
        ValueError: If there are no such bonds.

    References:
        Y. Kim, W. Y. Kim (2015), Universal structure conversion method for organic molecules: from atomic
        connectivity to three-dimensional geometry.
    """
    bare, mol = mol, Chem.Mol(mol)
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
    if mol.GetNumAtoms() == 1:
        mol.GetAtomWithIdx(0).SetFormalCharge(charge)
        return mol
    try:
        with rdBase.BlockLogs():
            rdDetermineBonds.DetermineBonds(mol, charge=charge, maxIterations=MAX_STEPS)
    except (ValueError, RuntimeError) as error:
        if charge == 0 and (radical := _radical(bare, multiplicity)) is not None:
            return radical
        kind = "a neutral molecule" if charge == 0 else f"a molecule with the charge {charge:+d}"
        raise ValueError(f"Bonds cannot be perceived for {kind}: {rdkit_reason(error)}") from error
    return mol


def _radical(bare: Chem.Mol, multiplicity: int | None) -> Chem.Mol | None:
    """Neutral molecule with one unpaired electron; ``None`` if the atoms are none."""
    if multiplicity not in (None, 2) or sum(atom.GetAtomicNum() for atom in bare.GetAtoms()) % 2 == 0:
        return None
    mol = Chem.Mol(bare)
    try:
        with rdBase.BlockLogs():
            rdDetermineBonds.DetermineBonds(mol, charge=0, allowChargedFragments=False, maxIterations=MAX_STEPS)
            Chem.SanitizeMol(mol)
    except (ValueError, RuntimeError):
        return None
    places = [atom for atom in mol.GetAtoms() for _ in range(atom.GetNumRadicalElectrons())]
    return mol if len(places) == 1 and (multiplicity == 2 or places[0].GetAtomicNum() == 6) else None


def bent_atom(mol: Chem.Mol) -> str:
    """Describe an atom with a triple bond or two double bonds that is far from linear; empty if there is none.

    Bonds that were perceived for atoms without some of their hydrogens have such atoms.
    """
    for atom in mol.GetAtoms():
        ends = [other.GetIdx() for other in atom.GetNeighbors()]
        orders = sorted(bond.GetBondTypeAsDouble() for bond in atom.GetBonds())
        if atom.GetAtomicNum() not in (6, 7) or orders not in ([1, 3], [2, 2]):
            continue
        angle = np.degrees(rdMolTransforms.GetAngleRad(mol.GetConformer(), ends[0], atom.GetIdx(), ends[1]))
        if angle < LINEAR:
            return f"{angle:.0f} degrees at atom {atom.GetIdx()} ({atom.GetSymbol()}), whose bonds are linear"
    return ""


def mol_from_coordinates(numbers: Sequence[int], pos: np.ndarray, smiles: str | None = None) -> Chem.Mol:
    r"""Make a molecule of atoms with coordinates, with the bonds of a SMILES string or of :func:`perceive_bonds`.

    A hydrogen is bonded to the nearest heavy atom. Of all matchings of the heavy atoms of the SMILES string with those
    given for which each bond is at most 1.3 times the sum of the covalent radii, the one with the smallest
    :math:`\sum_\text{bonds} \text{order} \cdot \text{length}` is taken. Atoms closer than 1.15 times the sum must
    have a bond. This also works for small bicyclic rings, where opposite atoms are hardly farther apart than bonds.

    Args:
        numbers: Atomic numbers of the N atoms, hydrogens included.
        pos: Coordinates ``[N, 3]`` in Angstrom.
        smiles: SMILES string of the molecule; by default bonds are perceived.

    Returns:
        The molecule with its atoms in the given order and one conformer.

    Raises:
        ValueError: If RDKit refuses the SMILES, these atoms are another molecule, a hydrogen has no heavy neighbor, or
            no bonds can be perceived.
    """
    pos = np.ascontiguousarray(pos, dtype=np.float64)
    if smiles is None:
        return _perceived(numbers, pos)
    template = mol_from_smiles(smiles)
    wanted = [atom.GetAtomicNum() for atom in template.GetAtoms()]
    if sorted(wanted) != sorted(numbers):
        raise ValueError(f"{smiles!r} has other atoms than the {len(numbers)} with coordinates")
    bonds = {(b.GetBeginAtomIdx(), b.GetEndAtomIdx()): b.GetBondTypeAsDouble() for b in template.GetBonds()}
    lengths = distances(pos)
    ratio = covalent_ratios(numbers, lengths)
    contacts = _contacts(numbers, ratio)
    close = {frozenset(pair) for pair in contacts if ratio[pair] < NOT_BONDED and 1 not in (numbers[i] for i in pair)}
    here, there = _Skeleton(numbers, contacts), _Skeleton(wanted, bonds)
    best, least = None, np.inf
    for match in here.mol.GetSubstructMatches(there.mol, uniquify=False, maxMatches=MAX_MATCHES):
        place = {old: here.heavy[new] for old, new in zip(there.heavy, match, strict=True)}
        laid = {frozenset((place[i], place[j])): kind for (i, j), kind in bonds.items() if i in place and j in place}
        cost = sum(kind * lengths[tuple(pair)] for pair, kind in laid.items())
        if cost < least and close <= laid.keys():
            best, least = place, cost
    if best is None:
        raise ValueError(f"The coordinates do not have the bonds of {smiles!r}")
    order = {new: old for old, new in best.items()}
    for old, new in best.items():
        order.update(zip(here.hydrogens[new], there.hydrogens[old], strict=True))
    mol = Chem.RenumberAtoms(template, [order[i] for i in range(len(numbers))])
    add_positions(mol, pos)
    return mol


def _perceived(numbers: Sequence[int], pos: np.ndarray) -> Chem.Mol:
    mol = Chem.RWMol()
    for number in numbers:
        atom = Chem.Atom(number)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    add_positions(mol, pos)
    return perceive_bonds(mol.GetMol())


def distances(pos: np.ndarray) -> np.ndarray:
    """Compute the distances of all pairs of atoms, ``[N, N]``, from coordinates ``[N, 3]``."""
    return np.linalg.norm(pos[:, None] - pos, axis=2)


def covalent_ratios(numbers: Sequence[int], lengths: np.ndarray) -> np.ndarray:
    """Divide the distances of all pairs of atoms by the sum of their covalent radii: about 1 for bonds.

    Args:
        numbers: Atomic numbers of N atoms.
        lengths: Distances in Angstrom, ``[N, N]``.
    """
    radii = np.array([Chem.GetPeriodicTable().GetRcovalent(number) for number in numbers])
    return lengths / (radii[:, None] + radii)


def _contacts(numbers: Sequence[int], ratio: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of atoms that may be bonded: close heavy atoms, and each hydrogen with the nearest heavy atom."""
    heavy = np.array([number != 1 for number in numbers])
    near = np.triu(ratio < BONDED, k=1) & heavy & heavy[:, None]
    pairs = [(int(i), int(j)) for i, j in np.argwhere(near)]
    for i in np.flatnonzero(~heavy) if heavy.any() else ():
        j = int(np.where(heavy, ratio[i], np.inf).argmin())
        if ratio[i, j] < BONDED:
            pairs.append((int(i), j))
    return pairs


class _Skeleton:
    """Heavy atoms of a molecule with single bonds only, each labelled by its number of hydrogens."""

    def __init__(self, numbers: Sequence[int], bonds: Iterable[tuple[int, int]]) -> None:
        self.heavy = [i for i, number in enumerate(numbers) if number != 1]
        self.hydrogens: dict[int, list[int]] = {i: [] for i in self.heavy}
        mol, place = Chem.RWMol(), {old: new for new, old in enumerate(self.heavy)}
        for i in self.heavy:
            mol.AddAtom(Chem.Atom(numbers[i]))
        for i, j in bonds:
            if i in place and j in place:
                mol.AddBond(place[i], place[j], Chem.BondType.SINGLE)
            elif i in place or j in place:
                owner, hydrogen = (i, j) if i in place else (j, i)
                self.hydrogens[owner].append(hydrogen)
        if sum(map(len, self.hydrogens.values())) + len(self.heavy) < len(numbers):
            raise ValueError("a hydrogen is bonded to no other element")
        for i, new in place.items():
            mol.GetAtomWithIdx(new).SetIsotope(1 + len(self.hydrogens[i]))  # substructure matches compare isotopes
        self.mol = mol.GetMol()
