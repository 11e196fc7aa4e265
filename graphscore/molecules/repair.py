"""Repair of conformers that fail the check: mirrored, relaxed, or made anew by distance geometry, and else marked."""

from __future__ import annotations

import copy
import math
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.generate.inputs import graph_key
from graphscore.generate.outcome import EXACT, REDRAWN, SAMPLED
from graphscore.molecules.check import Fault, GeometryCheck
from graphscore.molecules.embedding import starts
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import bare_mol
from graphscore.molecules.marks import stereo_mol
from graphscore.molecules.smiles import Chem, rdkit_errors
from graphscore.rng import mix_seed

MIRRORED, RELAXED, EMBEDDED = "mirrored", "relaxed", "embedded"
METHODS = (EXACT, SAMPLED, REDRAWN, MIRRORED, RELAXED, EMBEDDED)
"""Methods by which conformers are made: from a table, by the model at the first or a later try, or by a repair."""

STEREO = ("centre", "double bond", "axis")  # kinds of faults that no relaxation mends
EASY = ("stretch",)  # kinds of faults that relaxing mends, and no reason to draw a conformer again
STEREO_WEIGHT = 1000.0  # a conformer of the isomer asked for is better than any of another one
NEAR = 2  # bonds between a fault and the atoms that move with it
EMBED_SECONDS = 30  # for one conformer; RDKit's own limit is a number of attempts, which may take hours
NUM_SHOWN = 3  # faults of a conformer that its warning names

Array = NDArray[np.float64]


class Checks:
    """Checks of molecules, made once for each of the molecules that were checked last.

    A window of molecules is judged as it is sampled, and repaired at its end.

    Args:
        size: Number of pairs of atoms of the molecules that are remembered; each pair takes about 50 bytes.
    """

    def __init__(self, size: int = 2**21) -> None:
        self.size = size
        self._made: OrderedDict[int, GeometryCheck] = OrderedDict()
        self._pairs = 0

    def __call__(self, template: Data) -> GeometryCheck:
        """Return the check of a molecule, given by a graph with or without coordinates.

        Raises:
            ValueError: If it is not a molecule.
        """
        key = graph_key(template)
        if key not in self._made:
            self._made[key] = GeometryCheck(template)
            self._pairs += self._made[key].num_atoms ** 2
            while self._pairs > self.size and len(self._made) > 1:
                self._pairs -= self._made.popitem(last=False)[1].num_atoms ** 2
        self._made.move_to_end(key)
        return self._made[key]


def serious(faults: Sequence[Fault]) -> list[Fault]:
    """List the faults that are not doubtful."""
    return [fault for fault in faults if not fault.doubtful]


def badness(faults: Sequence[Fault]) -> float:
    """Count the faults that are not doubtful; those of stereochemistry weigh more than all others."""
    return sum(STEREO_WEIGHT if fault.kind in STEREO else 1.0 for fault in serious(faults))


def warning(faults: Sequence[Fault]) -> str:
    """Write the faults of a conformer as one text; empty if there are none."""
    reasons = [fault.reason for fault in serious(faults)]
    reasons += [f"unusual: {fault.reason}" for fault in faults if fault.doubtful]
    rest = [f"and {len(reasons) - NUM_SHOWN} more"] if len(reasons) > NUM_SHOWN else []
    return "; ".join([*reasons[:NUM_SHOWN], *rest])


def faults_of(sample: Data, check: GeometryCheck) -> tuple[Fault, ...]:
    """Find the faults of a conformer."""
    return check(sample["pos"][None])[0]


def mark(samples: Sequence[Data], check: GeometryCheck) -> list[Data]:
    """Mark conformers of one molecule that have faults: copies with a ``warning``; the others have none."""
    marked = []
    for sample, faults in zip(samples, check(torch.stack([sample["pos"] for sample in samples])), strict=True):
        if faults or "warning" in sample:
            sample = copy.copy(sample)
            sample.warning = warning(faults)
            if not faults:
                del sample["warning"]
        marked.append(sample)
    return marked


class Repair:
    """Repair of the conformers of one molecule that fail its check.

    The steps, until the check finds nothing: the mirror image, if the stereochemistry is wrong; relaxing by MMFF94 (UFF
    where MMFF94 has no parameters), first the atoms near a fault with all others restrained, then all; RDKit's distance
    geometry, relaxed or as it is, which is ETKDGv3 at first, then from random coordinates. If nothing helps, the
    conformer with the least wrong stays, and its ``warning`` says what is wrong. Where all faults are doubtful,
    relaxing is the only step, and what it does not mend stays as it is.

    Args:
        template: Graph of the molecule with the stereo marks asked for.
        check: Its check.
        max_drift: Largest drift of accepted conformers, see :func:`~graphscore.samplers.drift`; those that drift more
            are relaxed.
        held: Atoms that must not move: their conformers are neither mirrored nor made anew.
        seconds: Time for all conformers together; those that it does not suffice for are marked.
    """

    def __init__(
        self,
        template: Data,
        check: GeometryCheck,
        *,
        max_drift: float = math.inf,
        held: Sequence[int] = (),
        seconds: float = math.inf,
    ) -> None:
        self.template, self.check, self.held = template, check, list(held)
        self.max_drift = max_drift
        self.deadline = time.monotonic() + seconds
        self.mol = bare_mol(template)
        self.distances = Chem.GetDistanceMatrix(self.mol)
        self.can_embed = not self.held
        self.key = graph_key(template)
        try:
            self.field = ForceField(self.mol, or_uff=True)
        except ValueError:  # no parameters: conformers are not relaxed
            self.field = None

    @rdkit_errors()
    def __call__(self, sample: Data, seed: int) -> Data:
        """Repair a conformer, if something is wrong with it.

        Args:
            sample: The conformer, with ``drift``, ``method`` and its number ``sample``.
            seed: Seed of the sampling.

        Returns:
            The conformer itself if nothing is wrong. Otherwise a copy with ``pos`` and ``method`` of the step that
            helped; with a ``warning``, if something still is wrong or a fault is doubtful.
        """
        pos = sample["pos"].double().numpy()
        best, method = (pos, self._faults(pos)), sample["method"]
        drifts = _drifts(sample, self.max_drift)
        if not best[1] and not drifts:
            return sample
        late = False
        if serious(best[1]) or drifts:
            for way, found in self._steps(pos, best[1], mix_seed(seed, sample["sample"], self.key)):
                faults = self._faults(found)
                if badness(faults) < badness(best[1]) or (drifts and badness(faults) == badness(best[1])):
                    best, method, drifts = (found, faults), way, False
                if not serious(best[1]) and not drifts:
                    break
                if late := time.monotonic() > self.deadline:
                    break
        else:  # doubtful ones are relaxed if that mends all of them, and no reason to make a conformer anew
            for found in self._relaxed(pos, best[1]):
                if not self._faults(found):
                    best, method = (found, ()), RELAXED
                    break
        said = [warning(best[1])] if best[1] else []
        if drifts:
            said.append(f"drift {sample['drift']:.3f}, expected at most {self.max_drift:g}")
        if late:
            said.append("the time limit ended its repair")
        return _changed(sample, None if best[0] is pos else best[0], method, "; ".join(said))

    def _faults(self, pos: Array) -> tuple[Fault, ...]:
        return self.check(pos[None])[0]

    def _steps(self, pos: Array, faults: Sequence[Fault], seed: int) -> Iterator[tuple[str, Array]]:
        """Other coordinates for a conformer, and how they were made, cheap ones first."""
        if is_other_isomer(faults) and not self.held:
            faults, pos = self._faults(-pos), -pos
            yield MIRRORED, pos
        if not is_other_isomer(faults):
            yield from ((RELAXED, found) for found in self._relaxed(pos, serious(faults)))
        for made in self._embedded(seed):
            if is_other_isomer(faults := self._faults(made)) and not is_other_isomer(mirrored := self._faults(-made)):
                made, faults = -made, mirrored
            yield from ((EMBEDDED, found) for found in (*self._relaxed(made, ()), made))
            yield from ((EMBEDDED, found) for found in self._relaxed(made, serious(faults)))

    def _embedded(self, seed: int) -> Iterator[Array]:
        """Coordinates by distance geometry, within the time."""
        if not self.can_embed:
            return
        seconds = min(EMBED_SECONDS, self.deadline - time.monotonic())
        self.can_embed = False  # what cannot be made at all would take as long for each conformer
        for made in starts(stereo_mol(self.template), seed, seconds):
            self.can_embed = True
            yield made

    def _relaxed(self, pos: Array, faults: Sequence[Fault]) -> Iterator[Array]:
        """Relaxed coordinates: near the faults alone, if there are any, and of all atoms."""
        if self.field is None:
            return
        if faults:
            atoms = list({atom for fault in faults for atom in fault.atoms})
            far = np.flatnonzero(self.distances[atoms].min(axis=0) > NEAR)
            if len(far):
                yield self.field.relax(pos, self.held, [atom for atom in far.tolist() if atom not in self.held])[0]
        yield self.field.relax(pos, self.held)[0]


def repair_all(
    samples: Sequence[Data],
    check: GeometryCheck,
    seed: int,
    *,
    max_drift: float,
    held: Sequence[int],
    seconds: float,
) -> list[Data]:
    """Repair those conformers of a molecule that are marked or drift; see :class:`Repair`.

    Args:
        samples: Conformers of one molecule, marked by a ``warning`` if they have faults.
        check: Its check.
        seed: Seed of the sampling.
        max_drift: As for :class:`Repair`.
        held: As for :class:`Repair`.
        seconds: As for :class:`Repair`; without any, all stay as they are.

    Returns:
        The conformers in their order, the repaired ones as copies.
    """
    marked = list(samples)
    bad = [k for k, sample in enumerate(marked) if "warning" in sample or _drifts(sample, max_drift)]
    if not bad or seconds <= 0:
        return marked
    repair = Repair(samples[0], check, max_drift=max_drift, held=held, seconds=seconds)
    for k in bad:
        try:
            marked[k] = repair(samples[k], seed)
        except ValueError as error:
            said = filter(None, [marked[k].get("warning"), f"its repair failed: {error}"])
            marked[k] = _changed(marked[k], None, marked[k]["method"], "; ".join(said))
    return marked


def is_other_isomer(faults: Sequence[Fault]) -> bool:
    """Tell whether a conformer has other stereochemistry than asked for, which relaxing does not change."""
    return any(fault.kind in STEREO for fault in faults)


def _drifts(sample: Data, max_drift: float) -> bool:
    """Tell whether a conformer drifts, as the model made it."""
    return sample["drift"] > max_drift and sample["method"] in (SAMPLED, REDRAWN)


def _changed(sample: Data, pos: Array | None, method: str, said: str) -> Data:
    """A copy of a conformer with other coordinates, if any are given, the method that made them, and a warning."""
    item = copy.copy(sample)
    item.method = method
    if pos is not None:
        item.pos = torch.from_numpy(pos).to(sample["pos"].dtype)
    if said:
        item.warning = said
    elif "warning" in item:
        del item["warning"]
    return item
