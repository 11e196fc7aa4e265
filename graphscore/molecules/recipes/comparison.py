"""Comparison of conformers: which are the same, and which are those of another molecule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdMolAlign

from graphscore.molecules.bonding import covalent_ratios, distances
from graphscore.molecules.graph import Chem, canonical_smiles, data_from_mol, mol_from_data, set_positions
from graphscore.molecules.perception import perceive_stereo
from graphscore.molecules.recipes.lists import heavy_smiles, marks_hydrogens
from graphscore.molecules.recipes.settings import Settings


@dataclass
class Conformer:
    """Coordinates ``[N, 3]`` in Angstrom with their energy in kcal/mol."""

    pos: NDArray[np.float64]
    energy: float


def distinct(
    mol: Chem.Mol, conformers: Sequence[Conformer], window: float, settings: Settings, mirrors: bool = False
) -> list[Conformer]:
    """Choose the conformers within an energy window, without duplicates, by ascending energy.

    Args:
        mol: Molecule with explicit hydrogens.
        conformers: Conformers in its order of atoms.
        window: Largest energy above the lowest, kcal/mol.
        settings: Thresholds for equal conformers.
        mirrors: Whether mirror images count as equal.
    """
    kept: list[Conformer] = []
    compare = Comparison(mol, mirrors)
    for conformer in sorted(conformers, key=lambda c: c.energy):
        if kept and conformer.energy > kept[0].energy + window:
            break
        if not any(is_same(compare, conformer, other, settings) for other in kept):
            kept.append(conformer)
    return kept


def missing_mirror_images(mol: Chem.Mol, smiles: str, kept: list[Conformer], settings: Settings) -> NDArray[np.bool_]:
    """Flag conformers ``[K]`` whose mirror image is a further conformer of the molecule, but was not found."""
    if "@" in smiles:  # the mirror image is another molecule
        return np.zeros(len(kept), dtype=bool)
    compare, missing = Comparison(mol), []
    for conformer in kept:
        image = Conformer(conformer.pos * [-1, 1, 1], conformer.energy)
        missing.append(not any(is_same(compare, image, other, settings) for other in kept))
    return np.array(missing)


def is_same(compare: Comparison, one: Conformer, other: Conformer, settings: Settings) -> bool:
    """Tell whether two conformers agree in energy and coordinates."""
    return abs(one.energy - other.energy) < settings.min_energy and compare.rmsd(one.pos, other.pos) < settings.min_rmsd


class Comparison:
    """Symmetry-aware RMSD over heavy atoms and hydrogens that are not on carbon.

    Args:
        mol: Molecule with explicit hydrogens.
        mirrors: Whether to take the smaller RMSD of a conformer and its mirror image.
    """

    def __init__(self, mol: Chem.Mol, mirrors: bool = False) -> None:
        probe = Chem.RWMol(mol)
        for atom in probe.GetAtoms():
            atom.SetIntProp("row", atom.GetIdx())
        for atom in sorted(probe.GetAtoms(), key=lambda a: -a.GetIdx()):
            neighbors = atom.GetNeighbors()
            if atom.GetAtomicNum() == 1 and len(neighbors) == 1 and neighbors[0].GetAtomicNum() == 6:
                neighbors[0].SetNumExplicitHs(neighbors[0].GetNumExplicitHs() + 1)
                probe.RemoveAtom(atom.GetIdx())
        self.rows = [atom.GetIntProp("row") for atom in probe.GetAtoms()]
        self.mols = Chem.Mol(probe), Chem.Mol(probe)
        self.signs = [[1, 1, 1], [-1, 1, 1]] if mirrors else [[1, 1, 1]]

    def rmsd(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        """Compute the RMSD of two conformers ``[N, 3]`` in Angstrom."""
        set_positions(self.mols[0], one[self.rows])
        found = []
        for signs in self.signs:
            set_positions(self.mols[1], other[self.rows] * signs)
            found.append(rdMolAlign.GetBestRMS(*self.mols, maxMatches=1000))
        return min(found)


def check_same_molecule(mol: Chem.Mol, smiles: str, pos: NDArray[np.float64]) -> None:
    """Reject coordinates of another molecule: with broken or new bonds, or other stereochemistry.

    Raises:
        ValueError: If they are of another one.
    """
    ratio = covalent_ratios([atom.GetAtomicNum() for atom in mol.GetAtoms()], distances(pos))
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    for wrong, what in ((bonded & (ratio > 1.3), "broke"), (~bonded & (ratio < 1.1), "formed")):
        if (pairs := np.argwhere(np.triu(wrong, 1))).size:
            i, j = pairs[0]
            pair = f"{mol.GetAtomWithIdx(int(i)).GetSymbol()}{i} and {mol.GetAtomWithIdx(int(j)).GetSymbol()}{j}"
            raise ValueError(f"the bond between {pair} {what}")
    if (got := smiles_at(mol, smiles, pos)) != smiles:
        raise ValueError(f"its coordinates became those of {got or 'no isomer alone'}")


def smiles_at(mol: Chem.Mol, smiles: str, pos: NDArray[np.float64]) -> str:
    """Compute the SMILES at coordinates; empty if a centre has all neighbors on one side: its mark is ambiguous."""
    placed, hydrogens = _with_positions(mol, pos), marks_hydrogens(smiles)
    one, other = (smiles_of(m, 0, hydrogens) for m in (placed, mol_from_data(data_from_mol(placed, 0))))
    return one if one == other else ""


def smiles_of(mol: Chem.Mol, conformer: int, hydrogens: bool = False) -> str:
    """Compute the canonical SMILES with the stereo marks of a conformer, but none on nitrogens, which invert.

    Args:
        mol: Molecule with explicit hydrogens.
        conformer: Id of the conformer.
        hydrogens: Whether marks that hydrogens define, as in N-H imines, are kept too.
    """
    mol = without_stereo(mol)
    perceive_stereo(mol, conformer)
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 7 and atom.GetDegree() == 3:
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    return canonical_smiles(mol) if hydrogens else heavy_smiles(mol)


def without_stereo(mol: Chem.Mol) -> Chem.Mol:
    """Copy a molecule without its stereo marks."""
    mol = Chem.Mol(mol)
    Chem.RemoveStereochemistry(mol)
    return mol


def _with_positions(mol: Chem.Mol, pos: NDArray[np.float64]) -> Chem.Mol:
    mol = Chem.Mol(mol)
    set_positions(mol, pos)
    return mol
