"""Conformers of several methods against the same references by the same rules; files of conformers and baselines."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch_geometric.data import Data

from graphscore import __version__
from graphscore.data.readers import Failure, read
from graphscore.data.writers import write_json
from graphscore.molecules import xtb
from graphscore.molecules.baselines import BASELINES, Baseline
from graphscore.molecules.graph import flat_smiles, is_molecule, mol_from_data, rdBase
from graphscore.molecules.metrics.comparison import Attempt, Comparison, prepare
from graphscore.molecules.metrics.conformers import evaluate_molecule, summarize
from graphscore.molecules.metrics.energies import METHODS, Energies, compare_energies, summarize_energies
from graphscore.molecules.metrics.geometry import Coordinates, compare_coordinates, internal_coordinates
from graphscore.molecules.metrics.protocols import TORSIONAL_DIFFUSION, Protocol
from graphscore.molecules.metrics.validity import check_validity, posebusters_version, summarize_validity
from graphscore.molecules.smiles import rdkit_errors
from graphscore.registry import find
from graphscore.runtime.sharing import check_workers, share

Progress = Callable[[int, int], None]
Maker = Callable[[str, Sequence[Data]], Sequence[Attempt]]
Method = Maker | Mapping[str, Sequence[Attempt]]
"""Gives the generated conformers of a molecule, failed attempts included, from its flat SMILES and references; or has
them by flat SMILES already. What is to be shared among workers must be possible to pickle."""
_Measured = tuple[dict[str, Any], dict[str, Coordinates]]
"""The entry of a molecule, and its internal coordinates."""


@dataclass(frozen=True)
class Measures:
    """What is measured beside RMSD, stereochemistry and internal coordinates.

    Attributes:
        protocol: How many conformers count, what covered means, and what becomes of failures.
        posebusters: Whether to run the checks of PoseBusters.
        energies: Key of :data:`~graphscore.molecules.metrics.energies.METHODS`; no energies if None.
        workers: Processes that share the molecules; ``None`` for as many as PyTorch has threads, if a measurement on
            the first molecules says that it pays, see :mod:`graphscore.runtime.sharing`. The measures are the same.
    """

    protocol: Protocol = TORSIONAL_DIFFUSION
    posebusters: bool = False
    energies: str | None = None
    workers: int | None = 1

    def __post_init__(self) -> None:
        check_workers(self.workers)

    def versions(self) -> dict[str, str]:
        """The versions of the programs that measure.

        Raises:
            ValueError: If the energies are unknown, or there is no program ``xtb`` for them.
            ImportError: If PoseBusters is wanted but not installed.
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


def evaluate_files(
    generated: Path,
    reference: Path,
    out: Path | None = None,
    *,
    measures: Measures | None = None,
    baselines: Sequence[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare the conformers of two files, molecule by molecule.

    Molecules are matched by their SMILES without stereo marks: a conformer of wrong stereo counts, as a bad one.

    Args:
        generated: Generated conformers.
        reference: Reference conformers.
        out: Where to write the report.
        measures: What is measured.
        baselines: Keys of :data:`~graphscore.molecules.baselines.BASELINES`; each makes as many conformers as the
            protocol wants.
        seed: Seed of the baselines.
        progress: Called with (molecules done, molecules in all).

    Returns:
        The report of :func:`evaluate_methods` for the generated conformers, with ``baselines``, the same for each of
        them by name; ``files``; ``versions``; ``seed``; ``skipped``: each record that could not be read, has no
        coordinates or has no reference. Reference molecules without generated ones count as failed.

    Raises:
        ValueError: If a file cannot be read, they have no molecule in common, a name is unknown, or ``xtb`` is missing.
        ImportError: If PoseBusters is wanted but not installed.
    """
    if out is not None and out.suffix != ".json":
        raise ValueError(f"The report is JSON; expected a name that ends in .json, but got {out}")
    measures = measures or Measures()
    versions = measures.versions()
    makers = {name: find(name, BASELINES, "baseline") for name in baselines}
    skipped: list[Failure] = []
    ours, theirs = _by_molecule(generated, skipped), _by_molecule(reference, skipped)
    if not set(ours) & set(theirs):
        raise ValueError(f"{generated} and {reference} have no molecule in common")
    for smiles in ours.keys() - theirs.keys():
        skipped.append(Failure(str(generated), smiles, "no reference conformer of this molecule"))
    reports = evaluate_methods(
        theirs,
        {"": ours} | {name: Baseline(make, measures.protocol.per_reference, seed) for name, make in makers.items()},
        measures,
        progress,
    )
    report = {
        "files": {"generated": str(generated), "reference": str(reference)},
        "versions": versions,
        "seed": seed,
        **reports.pop(""),
        "baselines": reports,
        "skipped": [asdict(failure) for failure in skipped],
    }
    if out is not None:
        write_json(report, out)
    return report


def evaluate_methods(
    molecules: Mapping[str, Sequence[Data]],
    methods: Mapping[str, Method],
    measures: Measures | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure the conformers that several methods make of the same molecules.

    Args:
        molecules: References by flat SMILES.
        methods: By name.
        measures: What is measured.
        progress: Called with (molecules done, molecules in all).

    Returns:
        For each method, the report of :func:`~graphscore.molecules.metrics.conformers.evaluate_conformers`, with
        ``geometry`` of :func:`~graphscore.molecules.metrics.geometry.compare_coordinates`, and if they are measured
        ``validity`` of :func:`~graphscore.molecules.metrics.validity.summarize_validity` and ``energies`` of
        :func:`~graphscore.molecules.metrics.energies.summarize_energies`, whose parts are in the entries of
        ``molecules`` too.
    """
    measures = measures or Measures()
    # Of what is there already, a worker is sent only what it compares.
    made: dict[str, Mapping[str, Sequence[Attempt]]] = {}
    makers: dict[str, Maker | None] = {}
    for name, method in methods.items():
        if isinstance(method, Mapping):
            made[name], makers[name] = method, None
        else:
            makers[name] = method
    rows = [
        _Row(smiles, references, {name: method.get(smiles, ()) for name, method in made.items()})
        for smiles, references in molecules.items()
    ]
    # Each conformer made is compared with each reference.
    costs = [float(len(references) ** 2) for references in molecules.values()]
    work = _Evaluation(makers, measures)
    parts = share(work, rows, costs, measures.workers, most=32, progress=progress)
    found = {
        number: row
        for task, part in zip(parts.tasks, parts.results, strict=True)
        for number, row in zip(task, part, strict=True)
    }
    return {name: _summary({rows[n].smiles: found[n][name] for n in range(len(rows))}, measures) for name in methods}


class _Row(NamedTuple):
    """A molecule: its flat SMILES, references, and the conformers that are there already by name of the method."""

    smiles: str
    references: Sequence[Data]
    made: Mapping[str, Sequence[Attempt]]


@dataclass(frozen=True)
class _Evaluation:
    """Evaluation of molecules, as work for processes; methods whose conformers are there already have a name alone."""

    methods: Mapping[str, Maker | None]
    measures: Measures

    def __call__(self, pieces: Sequence[_Row], progress: Progress | None = None) -> list[dict[str, _Measured | None]]:
        measured = []
        for number, row in enumerate(pieces):
            if progress is not None:
                progress(number, len(pieces))
            attempts = {
                name: row.made[name] if method is None else method(row.smiles, row.references)
                for name, method in self.methods.items()
            }
            measured.append(_molecule(row.references, attempts, self.measures))
        if progress is not None:
            progress(len(pieces), len(pieces))
        return measured


def _molecule(
    references: Sequence[Data], attempts: Mapping[str, Sequence[Attempt]], measures: Measures
) -> dict[str, _Measured | None]:
    """Measure what each method made of a molecule; ``None`` where it is left out.

    That is by the protocol, or if the references cannot be measured. If what a method made cannot, all of it failed.
    """
    measured: dict[str, _Measured | None] = {}
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
) -> _Measured | None:
    """Measure what one method made of a molecule."""
    comparison = measures.protocol.select(prepare(references, attempts))
    if comparison is None:
        return None
    return _entry(comparison, measures, reference_energies), internal_coordinates(comparison)


def _entry(comparison: Comparison, measures: Measures, reference_energies: Energies | str | None) -> dict[str, Any]:
    """The entry of one molecule."""
    entry = evaluate_molecule(comparison, protocol=measures.protocol)
    if measures.posebusters:
        entry["validity"] = check_validity(comparison)
    energies = _energies(comparison, "generated", measures.energies)
    if isinstance(energies, Energies) and isinstance(reference_energies, Energies):
        entry["energies"] = compare_energies(reference_energies, energies)
    elif isinstance(energies, str):
        entry["energies"] = {"failures": [energies]}
    return entry


def _summary(measured: Mapping[str, _Measured | None], measures: Measures) -> dict[str, Any]:
    """The report of one method, from what was measured of each molecule."""
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
    """Energies of one side of a comparison, why there are none, or None if they are not wanted."""
    if method is None:
        return None
    try:
        return METHODS[method](comparison.mol, getattr(comparison, side))
    except ValueError as error:
        return str(error)


def _by_molecule(path: Path, skipped: list[Failure]) -> dict[str, list[Data]]:
    result = read(path)
    skipped += result.failures
    molecules: dict[str, list[Data]] = {}
    for number, item in enumerate(result.items, start=1):
        if not is_molecule(item) or "pos" not in item:
            skipped.append(Failure(str(path), f"record {number}", "not a molecule with 3-D coordinates"))
            continue
        molecules.setdefault(flat_smiles(mol_from_data(item)), []).append(item)
    if not molecules:
        reason = f": {skipped[-1].reason}" if skipped else ""
        raise ValueError(f"{path} has no molecule with 3-D coordinates{reason}")
    return molecules
