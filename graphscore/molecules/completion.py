"""From all samples of a molecule to those that are given back: relaxed, checked again, selected, ranked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from torch_geometric.data import Data

from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.ensemble import assemble
from graphscore.molecules.relaxation import refine
from graphscore.molecules.repair import badness, faults_of, mark
from graphscore.molecules.request import ConformerRequest


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


def complete(
    samples: Sequence[Data], wanted: ConformerRequest, num: int, check: GeometryCheck | None, held: Sequence[int]
) -> Completed:
    """Relax conformers of one molecule, leave out marked ones, and select and rank them, as far as it is requested.

    Args:
        samples: All conformers that were drawn, with a ``warning`` if they have faults.
        wanted: The request.
        num: Number of conformers that are asked for.
        check: Check of the molecule; needed for energies.
        held: Atoms that must not move.
    """
    found, notes, failures = list(samples), [], []
    if found and wanted.has_energies and check is not None:
        refined = refine(found, wanted.refine, held, wanted.dielectric, partial(_wrong, check=check))
        found = refined.samples if wanted.refine == "none" else mark(refined.samples, check)
        notes += refined.notes
    if wanted.strict and (said := _marked(found, "left out, since they would be marked")):
        found = [sample for sample in found if "warning" not in sample]
        (notes if len(found) >= num else failures).append(said)
    if found:
        found, told = assemble(found, wanted, num)
        (notes if found else failures).extend(told)
    if said := _marked(found, "marked"):
        notes.append(said)
    return Completed(found, notes, failures)


def _wrong(sample: Data, check: GeometryCheck) -> float:
    """Return the badness of a conformer, 0 if nothing is wrong."""
    return badness(faults_of(sample, check))


def _marked(samples: Sequence[Data], what: str) -> str:
    """A sentence on the conformers with a warning; empty if there are none."""
    warnings = [sample["warning"] for sample in samples if "warning" in sample]
    return f"{len(warnings)} of {len(samples)} conformers are {what}: {warnings[0]}" if warnings else ""
