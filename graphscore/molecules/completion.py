"""From all samples of a molecule to those that are given back: relaxed, checked again, selected, ranked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch_geometric.data import Data

from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.ensemble import assemble
from graphscore.molecules.relaxation import Refined, refine
from graphscore.molecules.repair import EASY, badness, faults_of, mark, serious
from graphscore.molecules.request import ConformerRequest

MENDED = (*EASY, "bond", "angle", "plane", "flat ring")
"""Kinds of faults that relaxing by MMFF94 nearly always mends, and no repair need mend before."""


class Completed(NamedTuple):
    """Result of :func:`complete`.

    Attributes:
        samples: The conformers that stay.
        notes: Notes on them, and on those that do not stay, one sentence each.
        failures: Reasons why fewer stay than asked for, where that is a failure.
    """

    samples: list[Data]
    notes: list[str]
    failures: list[str]


def waiting(samples: Sequence[Data], check: GeometryCheck, refine: str) -> list[int]:
    """Find the marked conformers whose repair waits for the relaxation, since that will probably mend them.

    Args:
        samples: Conformers of one molecule.
        check: Its check.
        refine: The relaxation to come.

    Returns:
        Their places.
    """
    marked = [place for place, sample in enumerate(samples) if "warning" in sample]
    if refine != "mmff" or not marked:
        return []
    found = check(torch.stack([samples[place]["pos"] for place in marked]))
    waits = [all(fault.kind in MENDED for fault in serious(faults)) for faults in found]
    return [place for place, all_mended in zip(marked, waits, strict=True) if all_mended]


def complete(
    samples: Sequence[Data],
    wanted: ConformerRequest,
    num: int,
    check: GeometryCheck | None,
    held: Sequence[int],
    mend: Callable[[Sequence[Data]], list[Data]],
) -> Completed:
    """Relax conformers of one molecule, leave out marked ones, and select and rank them, as far as it is requested.

    Args:
        samples: All conformers that were drawn, with a ``warning`` if they have faults.
        wanted: The request.
        num: Number of conformers that are asked for.
        check: Check of the molecule; needed for energies.
        held: Atoms that must not move.
        mend: Repairs marked conformers: those whose repair waited for the relaxation, if it did not mend them.
    """
    found, notes, failures = list(samples), [], []
    if found and wanted.has_energies and check is not None:
        late = waiting(found, check, wanted.refine)
        found, notes = _relaxed(found, wanted, held, check)
        if late := [place for place in late if serious(faults_of(found[place], check))]:
            mended, told = _relaxed(mend([samples[place] for place in late]), wanted, held, check)
            notes += [note for note in told if note not in notes]
            for place, sample in zip(late, mended, strict=True):
                found[place] = sample
    if wanted.strict and (said := _marked(found, "left out, since they would be marked")):
        found = [sample for sample in found if "warning" not in sample]
        (notes if len(found) >= num else failures).append(said)
    if found:
        found, told = assemble(found, wanted, num)
        (notes if found else failures).extend(told)
    if said := _marked(found, "marked"):
        notes.append(said)
    return Completed(found, notes, failures)


def _relaxed(samples: Sequence[Data], wanted: ConformerRequest, held: Sequence[int], check: GeometryCheck) -> Refined:
    """Relax conformers and mark those that have faults then; without a relaxation, add their energies alone."""
    refined = refine(samples, wanted.refine, held, wanted.dielectric, partial(_wrong, check=check))
    return refined if wanted.refine == "none" else refined._replace(samples=mark(refined.samples, check))


def _wrong(sample: Data, check: GeometryCheck) -> float:
    """Return the badness of a conformer, 0 if nothing is wrong."""
    return badness(faults_of(sample, check))


def _marked(samples: Sequence[Data], what: str) -> str:
    """A sentence on the conformers with a warning; empty if there are none."""
    warnings = [sample["warning"] for sample in samples if "warning" in sample]
    return f"{len(warnings)} of {len(samples)} conformers are {what}: {warnings[0]}" if warnings else ""
