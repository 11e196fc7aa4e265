"""All metrics of the conformers of a molecule, for several methods, and their averages over molecules."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch_geometric.data import Data

from graphscore.molecules import xtb
from graphscore.molecules.graph import rdBase
from graphscore.molecules.metrics.comparison import Attempt, Comparison, prepare
from graphscore.molecules.metrics.conformers import evaluate_molecule, summarize
from graphscore.molecules.metrics.energies import METHODS, Energies, compare_energies, summarize_energies
from graphscore.molecules.metrics.geometry import Coordinates, compare_coordinates, internal_coordinates
from graphscore.molecules.metrics.protocols import TORSIONAL_DIFFUSION, Protocol
from graphscore.molecules.metrics.validity import check_validity, posebusters_version, summarize_validity
from graphscore.molecules.smiles import rdkit_errors
from graphscore.registry import find
from graphscore.runtime.sharing import check_workers
from graphscore.runtime.version import __version__

Measured = tuple[dict[str, Any], dict[str, Coordinates]]
"""Report entry of a molecule, and its internal coordinates."""


@dataclass(frozen=True)
class Measures:
    """Options of an evaluation: protocol, and metrics beside RMSD, stereochemistry and internal coordinates.

    Attributes:
        protocol: Number of conformers that count, definition of coverage, and treatment of failures.
        posebusters: Whether to run the checks of PoseBusters.
        energies: Key of :data:`~graphscore.molecules.metrics.energies.METHODS`; no energies if None.
        workers: Number of processes; ``None`` for as many as PyTorch has threads, if the first molecules show that this
            is faster, see :mod:`graphscore.runtime.sharing`. Results do not depend on it.
    """

    protocol: Protocol = TORSIONAL_DIFFUSION
    posebusters: bool = False
    energies: str | None = None
    workers: int | None = 1

    def __post_init__(self) -> None:
        check_workers(self.workers)

    def versions(self) -> dict[str, str]:
        """List the versions of the programs that compute the metrics.

        Raises:
            ValueError: If the energies are unknown, or there is no program ``xtb`` for them.
            ImportError: If PoseBusters is needed but not installed.
        """
        versions = {
            "graphscore": __version__,
            "python": platform.python_version(),
            "rdkit": rdBase.rdkitVersion,
            "torch": torch.__version__,
        }
        if self.posebusters:
            versions["posebusters"] = posebusters_version()
        if self.energies is not None:
            find(self.energies, METHODS, "method for energies")
        if self.energies == "gfn2":
            try:
                versions["xtb"] = xtb.version()
            except RuntimeError as error:
                raise ValueError(str(error)) from error
        return versions


def measure_molecule(
    references: Sequence[Data], attempts: Mapping[str, Sequence[Attempt]], measures: Measures
) -> dict[str, Measured | None]:
    """Compute the metrics of a molecule for each method; ``None`` where it is left out.

    A molecule is left out by the protocol, or if its references cannot be measured. If the conformers of a method
    cannot be measured, all of them count as failed.
    """
    measured: dict[str, Measured | None] = {}
    try:
        with rdkit_errors():
            reference_energies = _energies(prepare(references, []), "references", measures.energies)
        for name, some in attempts.items():
            try:
                measured[name] = _measure(references, some, measures, reference_energies)
            except ValueError as error:
                failed = [f"it cannot be measured: {error}"] * len(some)
                measured[name] = _measure(references, failed, measures, reference_energies)
    except ValueError:  # the references
        return dict.fromkeys(attempts)
    return measured


@rdkit_errors()
def _measure(
    references: Sequence[Data],
    attempts: Sequence[Attempt],
    measures: Measures,
    reference_energies: Energies | str | None,
) -> Measured | None:
    """Compute the metrics of a molecule for one method."""
    comparison = measures.protocol.select(prepare(references, attempts))
    if comparison is None:
        return None
    return _entry(comparison, measures, reference_energies), internal_coordinates(comparison)


def _entry(comparison: Comparison, measures: Measures, reference_energies: Energies | str | None) -> dict[str, Any]:
    """Report entry of one molecule."""
    entry = evaluate_molecule(comparison, protocol=measures.protocol)
    if measures.posebusters:
        entry["validity"] = check_validity(comparison)
    energies = _energies(comparison, "generated", measures.energies)
    if isinstance(energies, Energies) and isinstance(reference_energies, Energies):
        entry["energies"] = compare_energies(reference_energies, energies)
    elif isinstance(energies, str):
        entry["energies"] = {"failures": [energies]}
    return entry


def summarize_measures(measured: Mapping[str, Measured | None], measures: Measures) -> dict[str, Any]:
    """Make the report of one method from the metrics of each molecule."""
    entries = [row[0] for row in measured.values() if row is not None]
    coordinates = [row[1] for row in measured.values() if row is not None]
    left_out = [smiles for smiles, row in measured.items() if row is None]
    report = summarize(entries, protocol=measures.protocol, left_out=left_out)
    if measures.posebusters:
        report["validity"] = summarize_validity([entry["validity"] for entry in entries])
    if measures.energies is not None:
        report["energies"] = summarize_energies(measures.energies, [entry["energies"] for entry in entries])
    return report | {"geometry": compare_coordinates(coordinates), "molecules": entries}


def _energies(comparison: Comparison, side: str, method: str | None) -> Energies | str | None:
    """Energies of one side of a comparison, or the reason of their failure, or None if not requested."""
    if method is None:
        return None
    try:
        return METHODS[method](comparison.mol, getattr(comparison, side))
    except ValueError as error:
        return str(error)
