"""Cumulated double bonds of molecules, and their stereo marks in SMILES strings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from graphscore.molecules.smiles import WRITTEN, Chem

_CUMULATED = Chem.MolFromSmarts("*=[#6X2]=*")


class Cumulene(NamedTuple):
    """Ends, middle atoms, and the substituents of both ends in the order of a SMILES string."""

    ends: tuple[int, int]
    middle: list[int]
    substituents: tuple[list[int], list[int]]


def cumulenes(mol: Chem.Mol) -> Iterator[Cumulene]:
    """Chains of cumulated double bonds whose ends have two different substituents each."""
    middle = {match[1] for match in mol.GetSubstructMatches(_CUMULATED, maxMatches=mol.GetNumAtoms())}
    if not middle:
        return
    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    while middle:
        chain = [middle.pop()]
        for forward in (True, False):
            while near := [one for one in _neighbors(mol, chain[-1 if forward else 0]) if one in middle]:
                middle.discard(near[0])
                chain.insert(len(chain) if forward else 0, near[0])
        beyond = dict.fromkeys((chain[0], chain[-1]))
        ends = [one for atom in beyond for one in _neighbors(mol, atom) if one not in chain]
        if len(ends) != 2 or ends[0] == ends[1]:
            continue
        first, last = (_substituents(mol, end, set(chain)) for end in ends)
        if all(len(group) == 2 and ranks[group[0]] != ranks[group[1]] for group in (first, last)):
            yield Cumulene((ends[0], ends[1]), chain, (first, last))


def _neighbors(mol: Chem.Mol, atom: int) -> list[int]:
    return [other.GetIdx() for other in mol.GetAtomWithIdx(atom).GetNeighbors()]


def _substituents(mol: Chem.Mol, end: int, chain: set[int]) -> list[int]:
    """Neighbors of an end outside of a chain, as a SMILES string orders them.

    The order is: the atom before, hydrogens that are not written as atoms, closures of rings, and the atoms after.
    """
    keyed = []
    for bond in mol.GetAtomWithIdx(end).GetBonds():
        other = bond.GetOtherAtom(mol.GetAtomWithIdx(end))
        if other.GetIdx() in chain:
            continue
        is_closure = bond.GetBeginAtomIdx() > bond.GetEndAtomIdx()
        if other.GetAtomicNum() == 1 and not other.HasProp(WRITTEN):
            rank = 1
        else:
            rank = 2 if is_closure else 0 if other.GetIdx() < end else 3
        keyed.append((rank, bond.GetIdx(), other.GetIdx()))
    return [other for _, _, other in sorted(keyed)]


def written_sign(atom: Chem.Atom) -> int:
    """Mark ``@`` (1) or ``@@`` (-1) of an atom in a SMILES string; 0 without."""
    return atom.GetIntProp(WRITTEN) if atom.HasProp(WRITTEN) else 0


def written_height(mol: Chem.Mol, end: int, other: int) -> int:
    """Height of a substituent against its end by the mark in a SMILES string: 1 above, -1 below, 0 without."""
    bond = mol.GetBondBetweenAtoms(end, other)
    if not bond.HasProp(WRITTEN):
        return 0
    return bond.GetIntProp(WRITTEN) * (1 if bond.GetBeginAtomIdx() == end else -1)
