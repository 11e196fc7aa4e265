"""Conformer search: the low-energy conformers of a molecule by distance geometry and GFN2-xTB."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdMolAlign

from graphscore.data.split import seed_of
from graphscore.molecules import xtb
from graphscore.molecules.bonding import covalent_ratios, distances
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem, canonical_smiles, data_from_mol, mol_from_data, set_positions
from graphscore.molecules.perception import perceive_stereo
from graphscore.molecules.recipes.lists import Reject, heavy_smiles, marks_hydrogens
from graphscore.molecules.recipes.settings import TRAINING, Settings
from graphscore.molecules.smiles import mol_from_smiles

SEED = 0
MAX_ISOMERS = 3  # tries to find one that can be embedded
MAX_ITERATIONS = 20  # per embedding; those that can be embedded at all mostly need one


@dataclass
class Ensemble:
    """Conformer ensemble of one molecule.

    Attributes:
        smiles: SMILES with every stereo mark assigned; its atom order, added hydrogens last, is that of ``pos``.
        pos: Centered conformers by ascending energy, Angstrom, ``[K, N, 3]``.
        energies: kcal/mol above the lowest, ``[K]``.
        mirrors: Whether the mirror image of a conformer is a further conformer of the molecule, ``[K]``.
    """

    smiles: str
    pos: NDArray[np.float64]
    energies: NDArray[np.float64]
    mirrors: NDArray[np.bool_]

    @property
    def weights(self) -> NDArray[np.float64]:
        """Boltzmann weights at 298.15 K, ``[K]``; a conformer's weight includes that of its mirror image."""
        factors = (1 + self.mirrors) * np.exp(-self.energies / xtb.KT)
        return factors / factors.sum()


@dataclass
class Search:
    """Result of a conformer search: the ensemble of one molecule, or the reasons of failure.

    Attributes:
        ensemble: The conformers, None if there are none.
        rejects: Rejected isomers and conformers, with reasons.
        counts: Numbers of starts that were ``optimized``, ``converged`` to the right molecule, and were ``kept``.
    """

    ensemble: Ensemble | None
    rejects: list[Reject] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def search(smiles: str, settings: Settings = TRAINING, seed: int = SEED) -> Search:
    """Search the conformer ensemble of a molecule.

    Args:
        smiles: SMILES; unmarked stereochemistry is drawn at random.
        settings: Effort and thresholds.
        seed: Seed of all random choices.

    Returns:
        The ensemble, or None, and everything that was rejected.

    Raises:
        RuntimeError: If there is no program ``xtb``.
    """
    rng = random.Random(seed_of(smiles, seed))
    rejects: list[Reject] = []
    for _ in range(MAX_ISOMERS):
        isomer = smiles
        try:
            isomer = draw_stereoisomer(smiles, rng.getrandbits(31))
            mol = mol_from_smiles(isomer)
            starts = _starts(mol, isomer, settings, rng)
        except ValueError as error:
            rejects.append(Reject(isomer, "embedding", str(error)))
            continue
        if settings.level == "gfn2":
            found = _relax(mol, isomer, starts, rejects)
        else:
            found = [_Conformer(start.pos - start.pos.mean(axis=0), start.energy) for start in starts]
        kept = _distinct(mol, found, settings.window, settings)
        if kept:
            energies = np.array([conformer.energy for conformer in kept])
            pos = np.stack([conformer.pos for conformer in kept])
            mirrors = _missing_mirror_images(mol, isomer, kept, settings)
            counts = {"optimized": len(starts), "converged": len(found), "kept": len(kept)}
            return Search(Ensemble(isomer, pos, energies - energies.min(), mirrors), rejects, counts)
        rejects.append(Reject(isomer, "molecule", "no conformer was left"))
    return Search(None, rejects)


def draw_stereoisomer(smiles: str, seed: int) -> str:
    """Draw a stereoisomer: take unmarked stereochemistry from an embedding by distance geometry.

    Enumeration would be slow for cages, most of whose isomers cannot exist in space. Nitrogens with three neighbors get
    no marks, since they invert, and N-H imines those alone that the SMILES has: without, both forms are conformers.

    Args:
        smiles: SMILES of the molecule; its stereo marks are kept.
        seed: Seed of the distance geometry.

    Returns:
        Canonical SMILES.

    Raises:
        ValueError: If it is no SMILES of a possible molecule, or has no coordinates.
    """
    mol = mol_from_smiles(smiles)
    try:
        embedded = embed(mol, 1, seed, optimize=False, knowledge=False, max_iterations=MAX_ITERATIONS)
    except ValueError:
        if "@" not in smiles:
            raise
        return canonical_smiles(mol)
    return smiles_of(embedded, embedded.GetConformer().GetId(), marks_hydrogens(smiles))


def of_others(
    known: Ensemble, pos: NDArray[np.float64], energies: NDArray[np.float64], settings: Settings = TRAINING
) -> NDArray[np.bool_]:
    """Tell which conformers are missing from an ensemble.

    Args:
        known: The ensemble, to which the mirror images that it marks belong.
        pos: Conformers in its order of atoms, ``[K, N, 3]``.
        energies: Their energies above its lowest conformer, kcal/mol, ``[K]``.
        settings: Thresholds for equal conformers.

    Returns:
        Shape ``[K]``, True where missing.
    """
    held = [_Conformer(*pair) for pair in zip(known.pos, known.energies.tolist(), strict=True)]
    held += [_Conformer(c.pos * [-1, 1, 1], c.energy) for c, mirror in zip(held, known.mirrors, strict=True) if mirror]
    compare = _Comparison(mol_from_smiles(known.smiles))
    given = [_Conformer(*pair) for pair in zip(pos, energies.tolist(), strict=True)]
    return np.array([not any(_same(compare, c, other, settings) for other in held) for c in given], dtype=bool)


@dataclass
class _Conformer:
    pos: NDArray[np.float64]
    energy: float


def _starts(mol: Chem.Mol, smiles: str, settings: Settings, rng: random.Random) -> list[_Conformer]:
    """Embed with and without ETKDGv3, relax by MMFF94, and draw from the distinct conformers of low energy."""
    starts: list[_Conformer] = []
    reason = "no start has the stereochemistry of the molecule"
    for num, knowledge in ((settings.num_knowledge, True), (settings.num_plain, False)):
        # Marked stereoisomers of many cages cannot be embedded, but without marks the right one often results.
        for attempt in (mol, _without_stereo(mol)):
            try:
                starts += _embed(attempt, smiles, num, rng.getrandbits(31), knowledge)
                break
            except ValueError as error:
                reason = str(error)
    if not starts:
        raise ValueError(reason)
    distinct = _distinct(mol, starts, settings.start_window, settings)
    return rng.sample(distinct, settings.max_optimizations) if len(distinct) > settings.max_optimizations else distinct


def _embed(mol: Chem.Mol, smiles: str, num: int, seed: int, knowledge: bool) -> list[_Conformer]:
    """Embed and relax by MMFF94; keep conformers with the right stereochemistry, if necessary after reflection."""
    embedded = embed(mol, num, seed, knowledge=knowledge, max_iterations=MAX_ITERATIONS)
    kept = []
    for conformer in embedded.GetConformers():
        for signs in ([1, 1, 1], [-1, 1, 1]):
            found = _Conformer(conformer.GetPositions() * signs, conformer.GetDoubleProp("energy"))
            if _smiles_at(mol, smiles, found.pos) == smiles:
                kept.append(found)
                break
    return kept


def _without_stereo(mol: Chem.Mol) -> Chem.Mol:
    mol = Chem.Mol(mol)
    Chem.RemoveStereochemistry(mol)
    return mol


def _with_positions(mol: Chem.Mol, pos: NDArray[np.float64]) -> Chem.Mol:
    mol = Chem.Mol(mol)
    set_positions(mol, pos)
    return mol


def _relax(mol: Chem.Mol, smiles: str, starts: Sequence[_Conformer], rejects: list[Reject]) -> list[_Conformer]:
    symbols, charge = [atom.GetSymbol() for atom in mol.GetAtoms()], Chem.GetFormalCharge(mol)
    found = []
    for number, start in enumerate(starts):
        try:
            pos, energy = xtb.optimize(symbols, start.pos, charge)
            _check_same_molecule(mol, smiles, pos)
        except ValueError as error:
            rejects.append(Reject(smiles, "optimization", f"start {number}: {error}"))
            continue
        found.append(_Conformer(pos - pos.mean(axis=0), energy))
    return found


def _distinct(mol: Chem.Mol, conformers: Sequence[_Conformer], window: float, settings: Settings) -> list[_Conformer]:
    """Conformers within the energy window, without duplicates, by ascending energy."""
    kept: list[_Conformer] = []
    compare = _Comparison(mol)
    for conformer in sorted(conformers, key=lambda c: c.energy):
        if kept and conformer.energy > kept[0].energy + window:
            break
        if not any(_same(compare, conformer, other, settings) for other in kept):
            kept.append(conformer)
    return kept


def _missing_mirror_images(mol: Chem.Mol, smiles: str, kept: list[_Conformer], settings: Settings) -> NDArray[np.bool_]:
    """Flag conformers whose mirror image is a further conformer of the molecule, but was not found."""
    if "@" in smiles:  # the mirror image is another molecule
        return np.zeros(len(kept), dtype=bool)
    compare, missing = _Comparison(mol), []
    for conformer in kept:
        image = _Conformer(conformer.pos * [-1, 1, 1], conformer.energy)
        missing.append(not any(_same(compare, image, other, settings) for other in kept))
    return np.array(missing)


def _same(compare: _Comparison, one: _Conformer, other: _Conformer, settings: Settings) -> bool:
    return abs(one.energy - other.energy) < settings.min_energy and compare.rmsd(one.pos, other.pos) < settings.min_rmsd


class _Comparison:
    """Symmetry-aware RMSD over heavy atoms and hydrogens that are not on carbon."""

    def __init__(self, mol: Chem.Mol) -> None:
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

    def rmsd(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        for mol, pos in zip(self.mols, (one, other), strict=True):
            set_positions(mol, pos[self.rows])
        return rdMolAlign.GetBestRMS(*self.mols, maxMatches=1000)


def _check_same_molecule(mol: Chem.Mol, smiles: str, pos: NDArray[np.float64]) -> None:
    """Reject coordinates of another molecule: with broken or new bonds, or other stereochemistry."""
    ratio = covalent_ratios([atom.GetAtomicNum() for atom in mol.GetAtoms()], distances(pos))
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    for wrong, what in ((bonded & (ratio > 1.3), "broke"), (~bonded & (ratio < 1.1), "formed")):
        if (pairs := np.argwhere(np.triu(wrong, 1))).size:
            i, j = pairs[0]
            pair = f"{mol.GetAtomWithIdx(int(i)).GetSymbol()}{i} and {mol.GetAtomWithIdx(int(j)).GetSymbol()}{j}"
            raise ValueError(f"the bond between {pair} {what}")
    if (got := _smiles_at(mol, smiles, pos)) != smiles:
        raise ValueError(f"its coordinates became those of {got or 'no isomer alone'}")


def _smiles_at(mol: Chem.Mol, smiles: str, pos: NDArray[np.float64]) -> str:
    """SMILES at coordinates; empty if a centre has all neighbors on one side, since its mark is then ambiguous."""
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
    mol = _without_stereo(mol)
    perceive_stereo(mol, conformer)
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 7 and atom.GetDegree() == 3:
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    return canonical_smiles(mol) if hydrogens else heavy_smiles(mol)
