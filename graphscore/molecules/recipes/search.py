"""Conformer search: the low-energy conformers of a molecule by distance geometry and GFN2-xTB or MMFF94.

Those with two levels, such as ``gfn2//gfnff``, go on from there: see :mod:`graphscore.molecules.recipes.wide`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graphscore.data.split import seed_of
from graphscore.molecules import xtb
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem, canonical_smiles
from graphscore.molecules.recipes.comparison import (
    Comparison,
    Conformer,
    check_same_molecule,
    distinct,
    is_same,
    missing_mirror_images,
    smiles_at,
    smiles_of,
    without_stereo,
)
from graphscore.molecules.recipes.lists import Reject, marks_hydrogens
from graphscore.molecules.recipes.settings import TRAINING, Settings
from graphscore.molecules.recipes.wide import diverse, evenly, explore
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
            starts = [] if settings.num_samples else _starts(mol, isomer, settings, rng)
        except ValueError as error:
            rejects.append(Reject(isomer, "embedding", str(error)))
            continue
        optimized = len(starts)
        if settings.level == "gfn2":
            found = _relax(mol, isomer, starts, rejects)
        elif settings.level in ("gfn2//gfnff", "gfn2//mmff94"):
            found, optimized = explore(mol, isomer, starts, settings, rng, rejects)
        else:
            found = [Conformer(start.pos - start.pos.mean(axis=0), start.energy) for start in starts]
        kept = distinct(mol, found, settings.window, settings)
        # Samples of a model are to keep their density; the wide search keeps what differs most.
        most = settings.max_conformers
        kept = evenly(kept, most) if settings.num_samples else diverse(mol, kept, most)
        if kept:
            energies = np.array([conformer.energy for conformer in kept])
            pos = np.stack([conformer.pos for conformer in kept])
            mirrors = missing_mirror_images(mol, isomer, kept, settings)
            counts = {"optimized": optimized, "converged": len(found), "kept": len(kept)}
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
    held = [Conformer(*pair) for pair in zip(known.pos, known.energies.tolist(), strict=True)]
    held += [Conformer(c.pos * [-1, 1, 1], c.energy) for c, mirror in zip(held, known.mirrors, strict=True) if mirror]
    compare = Comparison(mol_from_smiles(known.smiles))
    given = [Conformer(*pair) for pair in zip(pos, energies.tolist(), strict=True)]
    return np.array([not any(is_same(compare, c, other, settings) for other in held) for c in given], dtype=bool)


def _starts(mol: Chem.Mol, smiles: str, settings: Settings, rng: random.Random) -> list[Conformer]:
    """Embed with and without ETKDGv3, relax by MMFF94, and draw from the distinct conformers of low energy."""
    starts: list[Conformer] = []
    reason = "no start has the stereochemistry of the molecule"
    for num, knowledge in ((settings.num_knowledge, True), (settings.num_plain, False)):
        # Marked stereoisomers of many cages cannot be embedded, but without marks the right one often results.
        for attempt in (mol, without_stereo(mol)):
            try:
                starts += _embed(attempt, smiles, num, rng.getrandbits(31), knowledge)
                break
            except ValueError as error:
                reason = str(error)
    if not starts:
        raise ValueError(reason)
    minima = distinct(mol, starts, settings.start_window, settings)
    return rng.sample(minima, settings.max_optimizations) if len(minima) > settings.max_optimizations else minima


def _embed(mol: Chem.Mol, smiles: str, num: int, seed: int, knowledge: bool) -> list[Conformer]:
    """Embed and relax by MMFF94; keep conformers with the right stereochemistry, if necessary after reflection."""
    embedded = embed(mol, num, seed, knowledge=knowledge, max_iterations=MAX_ITERATIONS)
    kept = []
    for conformer in embedded.GetConformers():
        for signs in ([1, 1, 1], [-1, 1, 1]):
            found = Conformer(conformer.GetPositions() * signs, conformer.GetDoubleProp("energy"))
            if smiles_at(mol, smiles, found.pos) == smiles:
                kept.append(found)
                break
    return kept


def _relax(mol: Chem.Mol, smiles: str, starts: Sequence[Conformer], rejects: list[Reject]) -> list[Conformer]:
    symbols, charge = [atom.GetSymbol() for atom in mol.GetAtoms()], Chem.GetFormalCharge(mol)
    found = []
    for number, start in enumerate(starts):
        try:
            pos, energy = xtb.optimize(symbols, start.pos, charge)
            check_same_molecule(mol, smiles, pos)
        except ValueError as error:
            rejects.append(Reject(smiles, "optimization", f"start {number}: {error}"))
            continue
        found.append(Conformer(pos - pos.mean(axis=0), energy))
    return found
