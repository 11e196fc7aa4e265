"""Evaluation of generated conformers against reference conformers, from files or for several methods in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch_geometric.data import Data

from graphscore.data.readers import Failure
from graphscore.data.sources import read_files
from graphscore.molecules.baselines import Baseline, check_baseline
from graphscore.molecules.graph import flat_smiles, is_molecule, mol_from_data
from graphscore.molecules.metrics.comparison import Attempt
from graphscore.molecules.metrics.measures import Measured, Measures, measure_molecule, summarize_measures
from graphscore.molecules.metrics.protocols import PROTOCOLS, TORSIONAL_DIFFUSION
from graphscore.registry import find
from graphscore.runtime.sharing import share
from graphscore.runtime.workers import Progress

Maker = Callable[[str, Sequence[Data]], Sequence[Attempt]]
Method = Maker | Mapping[str, Sequence[Attempt]]
"""Function of a molecule's flat SMILES and references that returns its generated conformers, including failed attempts;
or a mapping of flat SMILES to them. With several worker processes, functions must be picklable."""


def evaluate_files(
    generated: Path,
    reference: Path,
    *,
    measures: Measures | None = None,
    baselines: Sequence[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate the conformers of a file against the reference conformers of another, molecule by molecule.

    Molecules are matched by their SMILES without stereo marks, so that a conformer of the wrong stereoisomer counts as
    a bad one.

    Args:
        generated: Generated conformers.
        reference: Reference conformers.
        measures: Metrics to compute.
        baselines: Keys of :data:`~graphscore.molecules.baselines.BASELINES`; the protocol sets their number of
            conformers.
        seed: Seed of the baselines.
        progress: Called with (molecules done, total).

    Returns:
        The report of :func:`evaluate_methods` for the generated conformers, with ``baselines``, the same for each
        baseline by name; ``files``; ``versions``; ``seed``; ``skipped``: each record that could not be read, has no
        coordinates or has no reference. Reference molecules without generated ones count as failed.

    Raises:
        ValueError: If a file cannot be read, they have no molecule in common, a name is unknown, or ``xtb`` is missing.
        ImportError: If PoseBusters is wanted but not installed.
    """
    measures = measures or Measures()
    versions = measures.versions()
    makers = {name: check_baseline(name) for name in baselines}
    skipped: list[Failure] = []
    ours, theirs = by_molecule(generated, skipped), by_molecule(reference, skipped)
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
    return {
        "files": {"generated": str(generated), "reference": str(reference)},
        "versions": versions,
        "seed": seed,
        **reports.pop(""),
        "baselines": reports,
        "skipped": [asdict(failure) for failure in skipped],
    }


def evaluate(
    generated: Path,
    reference: Path,
    *,
    protocol: str = TORSIONAL_DIFFUSION.name,
    posebusters: bool = False,
    energies: str | None = None,
    baselines: Sequence[str] = (),
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate the conformers of two files by the name of a protocol; see :func:`evaluate_files` and :class:`Measures`.

    Raises:
        ValueError: If there is no such protocol, or as for :func:`evaluate_files`.
    """
    measures = Measures(find(protocol, PROTOCOLS, "protocol"), posebusters, energies, workers)
    return evaluate_files(generated, reference, measures=measures, baselines=baselines, seed=seed, progress=progress)


def evaluate_methods(
    molecules: Mapping[str, Sequence[Data]],
    methods: Mapping[str, Method],
    measures: Measures | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Evaluate the conformers of several methods for the same molecules.

    Args:
        molecules: References by flat SMILES.
        methods: Methods by name.
        measures: Metrics to compute.
        progress: Called with (molecules done, total).

    Returns:
        For each method, the report of :func:`~graphscore.molecules.metrics.conformers.evaluate_conformers`, with
        ``geometry`` of :func:`~graphscore.molecules.metrics.geometry.compare_coordinates`, and if they are measured
        ``validity`` of :func:`~graphscore.molecules.metrics.validity.summarize_validity` and ``energies`` of
        :func:`~graphscore.molecules.metrics.energies.summarize_energies`, whose parts are in the entries of
        ``molecules`` too.
    """
    measures = measures or Measures()
    # Workers get the existing conformers of their own molecules alone.
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
    # The number of generated conformers grows with that of the references, and all pairs are compared.
    costs = [float(len(references) ** 2) for references in molecules.values()]
    work = _Evaluation(makers, measures)
    parts = share(work, rows, costs, measures.workers, most=32, progress=progress)
    found = {
        number: row
        for task, part in zip(parts.tasks, parts.results, strict=True)
        for number, row in zip(task, part, strict=True)
    }
    return {
        name: summarize_measures({rows[n].smiles: found[n][name] for n in range(len(rows))}, measures)
        for name in methods
    }


class _Row(NamedTuple):
    """A molecule: its flat SMILES, references, and the existing conformers by name of the method."""

    smiles: str
    references: Sequence[Data]
    made: Mapping[str, Sequence[Attempt]]


@dataclass(frozen=True)
class _Evaluation:
    """Evaluation of molecules as work for processes; methods with existing conformers have ``None``."""

    methods: Mapping[str, Maker | None]
    measures: Measures

    def __call__(self, pieces: Sequence[_Row], progress: Progress | None = None) -> list[dict[str, Measured | None]]:
        measured = []
        for number, row in enumerate(pieces):
            if progress is not None:
                progress(number, len(pieces))
            attempts = {
                name: row.made[name] if method is None else method(row.smiles, row.references)
                for name, method in self.methods.items()
            }
            measured.append(measure_molecule(row.references, attempts, self.measures))
        if progress is not None:
            progress(len(pieces), len(pieces))
        return measured


def by_molecule(path: Path, skipped: list[Failure]) -> dict[str, list[Data]]:
    """Read the conformers of a file by the flat SMILES of their molecule.

    Args:
        path: File, folder or pattern.
        skipped: Gets the records that cannot be read, or are no molecules with coordinates.

    Raises:
        ValueError: If there are no others.
    """
    result = read_files(path)
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
