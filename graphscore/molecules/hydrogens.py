"""Placement of hydrogens in molecules whose heavy atoms have coordinates."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import Chem, bare_mol, rdBase, set_positions
from graphscore.molecules.hydrogen_marks import HydrogenMarks
from graphscore.molecules.polyhedra import Polyhedra, has_polyhedra
from graphscore.molecules.smiles import rdkit_errors

MAX_STEPS = 1000
FEW_STEPS = 10  # enough to take hydrogens apart, at a fifth of the cost; more, without an end, amplify rounding errors
# Tight enough that rounding errors of the given coordinates are not amplified.
FORCE_TOLERANCE, ENERGY_TOLERANCE = 1e-6, 1e-10


class HydrogenPlacer:
    """Place the hydrogens of one molecule, for any number of conformers.

    RDKit places hydrogens by the geometry of their neighbor; those that define a stereo mark, as in imines, are brought
    to the side that is asked for. They are then relaxed in the MMFF94 force field (in UFF if MMFF94 has no parameters,
    not at all if neither has or RDKit gives up), while all other atoms stay exactly where they are. Everything that
    does not depend on coordinates is computed once.

    Args:
        template: Graph in the layout of :mod:`graphscore.molecules.graph`; coordinates are not used where it has marks.
        kept: Atoms with given coordinates, shape ``[n]``: all but the hydrogens with exactly one heavy neighbor.
        relaxed_later: Whether MMFF94 relaxes all atoms afterwards, so that :data:`FEW_STEPS` suffice.

    Raises:
        ValueError: If the graph is not a molecule.
    """

    def __init__(self, template: Data, kept: Tensor, relaxed_later: bool = False) -> None:
        self.template = template
        self.kept = kept.tolist()
        self.mol = bare_mol(template)
        self.skeleton = skeleton(self.mol, self.kept)
        with rdBase.BlockLogs():
            complete = Chem.AddHs(self.skeleton)
        self.order = self._match(complete)
        self.marks = HydrogenMarks(template, self.kept)
        self.polyhedra = Polyhedra(self.mol) if has_polyhedra(self.mol) else None
        try:
            self.field = ForceField(self.mol, or_uff=True)
        except ValueError:  # hydrogens are not relaxed
            self.field = None
        self.max_steps = FEW_STEPS if relaxed_later and self.field is not None and self.field.is_mmff else MAX_STEPS

    def _match(self, complete: Chem.Mol) -> NDArray[np.int64]:
        """Numbers in the molecule of the atoms of the completed skeleton."""
        order, free = list(self.kept), {}
        for atom in sorted(set(range(self.mol.GetNumAtoms())) - set(self.kept)):
            free.setdefault(self.mol.GetAtomWithIdx(atom).GetNeighbors()[0].GetIdx(), []).append(atom)
        for atom in list(complete.GetAtoms())[len(self.kept) :]:
            order.append(free[self.kept[atom.GetNeighbors()[0].GetIdx()]].pop(0))
        return np.array(order)

    def __call__(self, pos: Tensor) -> Data:
        """Add hydrogens to a conformer.

        Args:
            pos: Coordinates of the kept atoms in Angstrom, ``[n, 3]``.

        Returns:
            A copy of the template with ``pos`` of all atoms.
        """
        item = copy.copy(self.template)
        item.pos = torch.zeros(self.mol.GetNumAtoms(), 3, dtype=pos.dtype)
        item.pos[self.kept] = pos
        is_incomplete = self.polyhedra is not None or len(self.kept) < self.mol.GetNumAtoms()
        if is_incomplete and bool(pos.isfinite().all()):
            item.pos = torch.from_numpy(self._with_hydrogens(pos.double().numpy())).to(pos.dtype)
            if self.polyhedra is None:
                item.pos[self.kept] = pos
        return item

    def _with_hydrogens(self, pos: NDArray[np.float64]) -> NDArray[np.float64]:
        set_positions(self.skeleton, pos)
        complete = np.empty((self.mol.GetNumAtoms(), 3))
        complete[self.order] = Chem.AddHs(self.skeleton, addCoords=True).GetConformer().GetPositions()
        complete, held = self.marks.correct(complete), self.kept
        if self.polyhedra is not None:
            complete = self.polyhedra.idealise(complete)
            held = sorted(self.polyhedra.atoms | set(self.kept) - self.polyhedra.bent)
        if self.field is not None and len(held) < len(complete):
            # RDKit gives up on some strange coordinates: hydrogens then stay where they were placed.
            with suppress(ValueError), rdBase.BlockLogs():
                relaxed = self.field.minimize(complete, held, self.max_steps, FORCE_TOLERANCE, ENERGY_TOLERANCE)[0]
                complete = relaxed if self.marks.are_right(relaxed) else complete
        return complete


class AssembleMolecules:
    """Rebuild whole molecules from the sampled coordinates of a network's nodes.

    Used as ``finish`` of :func:`graphscore.generate.jobs.generate`.

    Args:
        relaxed_later: As for :class:`HydrogenPlacer`.
    """

    def __init__(self, relaxed_later: bool = False) -> None:
        self.relaxed_later = relaxed_later
        self._placer: HydrogenPlacer | None = None  # of the last molecule: its samples come one after another

    @rdkit_errors()
    def __call__(self, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
        """Copy the template with sampled values, where ``pos`` may be those of the ``kept`` atoms alone."""
        if self._placer is None or self._placer.template is not template:
            self._placer = HydrogenPlacer(template, graph.kept, self.relaxed_later)
        item = self._placer(values["pos"])
        for name, value in values.items():
            if name != "pos":
                item[name] = value
        return item


def skeleton(mol: Chem.Mol, kept: Sequence[int]) -> Chem.Mol:
    """Copy a molecule without the hydrogens that are not kept; their neighbors store the number removed."""
    bare = Chem.RWMol(mol)
    for atom in sorted(set(range(mol.GetNumAtoms())) - set(kept), reverse=True):
        parent = bare.GetAtomWithIdx(atom).GetNeighbors()[0]
        parent.SetNumExplicitHs(parent.GetNumExplicitHs() + 1)
        bare.RemoveAtom(atom)
    with rdBase.BlockLogs():
        Chem.SanitizeMol(bare)
    return bare.GetMol()
