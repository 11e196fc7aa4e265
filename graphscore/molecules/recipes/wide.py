"""Wide conformer search of drug-like molecules, which reaches compact folds.

Distance geometry seldom folds a flexible molecule. This search adds random torsions, and then goes on from the lowest
conformers found: by turns about a few of their bonds, and by metadynamics in GFN-FF. All starts are relaxed by GFN-FF,
in a tenth of a second for a drug-like molecule, and the minima get their energies by GFN2-xTB in as much.

The search of level ``gfn2//mmff94`` starts from samples of the shipped model and stops at the minima of MMFF94, which
takes less than half of the time.

References:
    P. Pracht, F. Bohle, S. Grimme (2020), Automated exploration of the low-energy chemical space with fast quantum
    chemical methods. (metadynamics, CREST) G. Chang, W. C. Guida, W. C. Still (1989), An internal coordinate Monte
    Carlo method for searching conformational space. (moves)
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from graphscore.molecules import xtb
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import Chem
from graphscore.molecules.recipes.comparison import (
    Comparison,
    Conformer,
    check_same_molecule,
    distinct,
    is_same,
    smiles_at,
)
from graphscore.molecules.recipes.lists import Reject
from graphscore.molecules.recipes.moves import TorsionMoves
from graphscore.molecules.recipes.samples import sample
from graphscore.molecules.recipes.settings import Settings

MAX_STEPS = 2000  # of relaxing by MMFF94
NUM_PARENTS = 8  # lowest conformers from which moves start
MAX_TURNS = 3  # torsions that a move changes
# GFN-FF derives charges, too, from the coordinates at the start, so that its energy of one geometry varies by tenths of
# a kcal/mol; by other bonds it changes by tens.
OTHER_BONDS = 5.0  # kcal/mol


def explore(
    mol: Chem.Mol,
    smiles: str,
    starts: Sequence[Conformer],
    settings: Settings,
    rng: random.Random,
    rejects: list[Reject],
) -> tuple[list[Conformer], int]:
    """Search the minima of a molecule in a force field from given starts, with their energies in GFN2-xTB.

    Args:
        mol: Molecule with explicit hydrogens.
        smiles: Its SMILES with stereo marks.
        starts: Conformers relaxed by MMFF94.
        settings: Effort and thresholds.
        rng: Source of all random choices.
        rejects: List to which optimisations that fail or end in another molecule are added.

    Returns:
        Distinct minima by ascending energy, mirror images left out, and the number of optimisations.

    Raises:
        RuntimeError: If there is no program ``xtb``.
    """
    search = _Exploration(mol, smiles, settings, rejects)
    moves = TorsionMoves(mol)
    if settings.num_samples:
        starts = [*starts, *search.relaxed(sample(smiles, settings.num_samples, rng.getrandbits(31)))]
    search.add([*starts, *search.relaxed(moves.draw([s.pos for s in starts], settings.num_torsions, rng))])
    for _ in range(settings.num_rounds if search.found else 0):
        parents = [conformer.pos for conformer in search.lowest(NUM_PARENTS)]
        turned = search.relaxed(moves.draw(parents, settings.num_moves, rng, MAX_TURNS))
        search.add([*turned, *search.frames(parents[0])])
    return search.lowest(), search.num_optimized


class _Exploration:
    """Minima of one molecule that are known so far."""

    def __init__(self, mol: Chem.Mol, smiles: str, settings: Settings, rejects: list[Reject]) -> None:
        self.mol, self.smiles, self.settings, self.rejects = mol, smiles, settings, rejects
        self.mirrors = "@" not in smiles
        self.compare = Comparison(mol, self.mirrors)
        self.mmff, self.charge = ForceField(mol), Chem.GetFormalCharge(mol)
        self.symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
        self.minima: list[Conformer] = []  # with energies in GFN-FF
        self.found: list[Conformer] = []  # with energies in GFN2-xTB
        self.num_optimized = 0

    def lowest(self, most: int | None = None) -> list[Conformer]:
        return distinct(self.mol, self.found, self.settings.window, self.settings, self.mirrors)[:most]

    def relaxed(self, drawn: Iterable[NDArray[np.float64]]) -> list[Conformer]:
        """Minima in MMFF94 that differ and have the right stereochemistry."""
        found = [Conformer(*self.mmff.minimize(pos, max_steps=MAX_STEPS)[:2]) for pos in drawn]
        right = [c for c in found if smiles_at(self.mol, self.smiles, c.pos) == self.smiles]
        return distinct(self.mol, right, self.settings.start_window, self.settings, self.mirrors)

    def frames(self, pos: NDArray[np.float64]) -> list[Conformer]:
        """Frames of metadynamics; their energies are not known."""
        if not self.settings.num_frames:
            return []
        try:
            frames = xtb.metadynamics(self.symbols, pos, self.charge, num_frames=self.settings.num_frames)
        except ValueError as error:
            self.rejects.append(Reject(self.smiles, "metadynamics", str(error)))
            return []
        return [Conformer(frame, np.nan) for frame in frames]

    def add(self, starts: Sequence[Conformer]) -> None:
        """Relax starts further by GFN-FF if wanted, and compute the energies of new low minima by GFN2-xTB."""
        new = [minimum for start in starts if (minimum := self._relax(start)) is not None]
        bound = min((c.energy for c in [*self.minima, *new]), default=0.0) + self.settings.middle_window
        for minimum in new:
            if minimum.energy > bound or any(is_same(self.compare, minimum, c, self.settings) for c in self.minima):
                continue
            self.minima.append(minimum)
            try:
                self.found.append(Conformer(minimum.pos, xtb.energy(self.symbols, minimum.pos, self.charge)))
            except ValueError as error:
                self.rejects.append(Reject(self.smiles, "energy", str(error)))

    def _relax(self, start: Conformer) -> Conformer | None:
        self.num_optimized += 1
        try:
            if self.settings.level == "gfn2//mmff94":
                check_same_molecule(self.mol, self.smiles, start.pos)
                return Conformer(start.pos - start.pos.mean(axis=0), start.energy)
            pos, energy = xtb.optimize(self.symbols, start.pos, self.charge, "gfnff")
            check_same_molecule(self.mol, self.smiles, pos)
            if not abs(xtb.energy(self.symbols, pos, self.charge, "gfnff") - energy) < OTHER_BONDS:
                raise ValueError("GFN-FF sees other bonds at the minimum than at the start")
        except ValueError as error:
            self.rejects.append(Reject(self.smiles, "optimization", f"start {self.num_optimized}: {error}"))
            return None
        return Conformer(pos - pos.mean(axis=0), energy)


def evenly(conformers: Sequence[Conformer], most: int | None) -> list[Conformer]:
    """Choose conformers that are evenly spread over all by their order, among them the first and the last."""
    if most is None or len(conformers) <= most:
        return list(conformers)
    return [conformers[i] for i in np.linspace(0, len(conformers) - 1, most).round().astype(int)]


def diverse(mol: Chem.Mol, conformers: Sequence[Conformer], most: int | None) -> list[Conformer]:
    """Choose conformers that are as different as possible: the lowest, then always the farthest from all chosen ones.

    Args:
        mol: Molecule with explicit hydrogens.
        conformers: Conformers by ascending energy.
        most: Largest number; no limit if it is None.

    Returns:
        The chosen ones by ascending energy.

    References:
        T. F. Gonzalez (1985), Clustering to minimize the maximum intercluster distance.
    """
    if most is None or len(conformers) <= most:
        return list(conformers)
    compare = Comparison(mol)
    chosen, nearest = [0], np.full(len(conformers), np.inf)
    while len(chosen) < most:
        last = conformers[chosen[-1]]
        nearest = np.minimum(nearest, [compare.rmsd(last.pos, conformer.pos) for conformer in conformers])
        chosen.append(int(nearest.argmax()))
    return [conformers[i] for i in sorted(chosen)]
