"""Moves of a conformer search: random turns about rotatable bonds."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdMolTransforms

from graphscore.molecules.bonding import distances
from graphscore.molecules.graph import Chem, set_positions

CLASH = 0.55  # of the sum of van der Waals radii; relaxing heals what is less close
NEIGHBORS = 3  # bonds between atoms whose distance no torsion, or one alone, changes
MAX_TRIES = 40  # for each conformer
_AMIDE = Chem.MolFromSmarts("[#6](=[O,S,N])-[#7]")


class TorsionMoves:
    """Conformers that differ from given ones by random turns about rotatable bonds.

    Rotatable are acyclic single bonds, except amide bonds and those whose turn changes nothing but a methyl group. The
    hydrogens of hydroxy and amino groups turn, too.

    Args:
        mol: Molecule with explicit hydrogens; it is not changed.
    """

    def __init__(self, mol: Chem.Mol) -> None:
        self.mol = Chem.Mol(mol)
        self.torsions = _torsions(mol)
        radii = np.array([Chem.GetPeriodicTable().GetRvdw(atom.GetAtomicNum()) for atom in mol.GetAtoms()])
        apart = np.triu(Chem.GetDistanceMatrix(mol) > NEIGHBORS)
        self.closest = np.where(apart, CLASH * (radii[:, None] + radii), 0.0)

    def draw(
        self, bases: Sequence[NDArray[np.float64]], num: int, rng: random.Random, most: int | None = None
    ) -> list[NDArray[np.float64]]:
        """Draw conformers without clashes; fewer come back if most clash, none if no bond is rotatable.

        Args:
            bases: Coordinates ``[N, 3]`` to start from, one drawn for each conformer.
            num: Number of conformers.
            rng: Source of the random choices.
            most: Largest number of bonds to turn, at least one; by default all are turned.

        Returns:
            Coordinates in Angstrom, each ``[N, 3]``.
        """
        found: list[NDArray[np.float64]] = []
        for _ in range(MAX_TRIES * num if self.torsions else 0):
            set_positions(self.mol, rng.choice(bases))
            chosen = self.torsions
            if most is not None:
                chosen = rng.sample(chosen, min(len(chosen), rng.randint(1, most)))
            for torsion in chosen:
                rdMolTransforms.SetDihedralDeg(self.mol.GetConformer(), *torsion, rng.uniform(-180, 180))
            pos = self.mol.GetConformer().GetPositions()
            if (distances(pos) >= self.closest).all():
                found.append(pos)
            if len(found) == num:
                break
        return found


def _torsions(mol: Chem.Mol) -> list[tuple[int, int, int, int]]:
    """Four atoms of one torsion of each rotatable bond."""
    amides = {frozenset((carbon, nitrogen)) for carbon, _, nitrogen in mol.GetSubstructMatches(_AMIDE)}
    found = []
    for bond in mol.GetBonds():
        begin, end = bond.GetBeginAtom(), bond.GetEndAtom()
        if bond.IsInRing() or bond.GetBondType() != Chem.BondType.SINGLE:
            continue
        if frozenset((begin.GetIdx(), end.GetIdx())) in amides:
            continue
        first, last = _substituent(begin, end), _substituent(end, begin)
        if first is not None and last is not None:
            found.append((first, begin.GetIdx(), end.GetIdx(), last))
    return found


def _substituent(atom: Chem.Atom, other: Chem.Atom) -> int | None:
    """A neighbor of an atom that turns about its bond to another one; None if there is none but those of a methyl."""
    neighbors = [neighbor for neighbor in atom.GetNeighbors() if neighbor.GetIdx() != other.GetIdx()]
    if not neighbors or atom.GetHybridization() == Chem.HybridizationType.SP:
        return None
    if len(neighbors) == 3 and all(neighbor.GetAtomicNum() == 1 for neighbor in neighbors):
        return None
    return neighbors[0].GetIdx()
