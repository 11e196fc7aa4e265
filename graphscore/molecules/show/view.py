"""Interactive pages from files of molecules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graphscore.data.readers import Failure
from graphscore.experiment.evaluation.files import View
from graphscore.experiment.evaluation.pictures import check_suffix
from graphscore.molecules.show.records import SAMPLE, Record, read_records, read_trajectories
from graphscore.molecules.show.viewer import Entry, Frame, viewer_page


def view(
    path: str | Path, out: str | Path, reference: str | Path | None = None, trajectories: Sequence[str | Path] = ()
) -> View:
    """Write an HTML page that shows the conformers of a file.

    Molecules are matched by their SMILES without stereo marks.

    Args:
        path: Conformers of one or more molecules; see :func:`graphscore.molecules.show.records.read_records`.
        out: The page, ``*.html``.
        reference: Reference conformers; each conformer is superposed on the closest one.
        trajectories: Sampling trajectories; see :func:`graphscore.molecules.show.records.read_trajectories`. Sample k
            belongs to the conformer whose value ``sample`` is k; conformers without it are numbered from 0 for each
            molecule.

    Returns:
        The page and a summary of its content.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If ``out`` is not a page, a file cannot be read or has no conformers, no molecule has a reference,
            or no trajectory of a file leads to one of the conformers.
    """
    check_suffix(out, ".html")
    records, failures = read_records(path)
    groups = _by_molecule(records)
    references: dict[str, list[Record]] = {}
    if reference is not None:
        found, more = read_records(reference)
        references, failures = _by_molecule(found), [*failures, *more]
        if not groups.keys() & references.keys():
            raise ValueError(
                f"{reference} has no conformer of {', '.join(list(groups)[:3])}{' ...' * (len(groups) > 3)}, "
                f"but of {', '.join(list(references)[:3])}{' ...' * (len(references) > 3)}"
            )
        failures += [
            Failure(str(reference), smiles, "no reference conformer of this molecule")
            for smiles in groups
            if smiles not in references
        ]
    frames: dict[str, dict[int, list[Frame]]] = {smiles: {} for smiles in groups}
    for file in trajectories:
        failures += _add_trajectories(frames, file, path, groups)
    entries = [_entry(group, references.get(smiles, []), frames[smiles]) for smiles, group in groups.items()]
    written = viewer_page(entries, out, Path(path).name, notes=(notes := [str(failure) for failure in failures]))
    ways = f", trajectories of {sum(map(len, frames.values()))}" if trajectories else ""
    return View(written, f"{len(groups)} molecule(s), {len(records)} conformer(s){ways}", notes)


def _by_molecule(records: Sequence[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.molecule, []).append(record)
    return groups


def _add_trajectories(
    frames: dict[str, dict[int, list[Frame]]], file: str | Path, path: str | Path, groups: dict[str, list[Record]]
) -> list[Failure]:
    """Add the trajectories of a file, by molecule and position of the conformer; return those without a conformer."""
    ways, failures = read_trajectories(file)
    before = sum(map(len, frames.values()))
    for (smiles, sample), way in ways.items():
        own = [record.values.get(SAMPLE, number) for number, record in enumerate(groups.get(smiles, []))]
        if sample not in own:
            failures.append(Failure(str(file), f"sample {sample:g} of {smiles}", f"{path} has no such conformer"))
        elif (number := own.index(sample)) in frames[smiles]:
            raise ValueError(f"Sample {sample:g} of {smiles} has more than one trajectory; the second is in {file}")
        else:
            frames[smiles][number] = way
    if sum(map(len, frames.values())) == before:
        raise ValueError(f"No trajectory leads to a conformer: {failures[-1]}")
    return failures


def _entry(group: Sequence[Record], references: Sequence[Record], frames: dict[int, list[Frame]]) -> Entry:
    first = group[0].data
    return Entry(
        name=first.get("name") or first.get("smiles") or group[0].molecule,
        conformers=[record.data for record in group],
        references=[record.data for record in references],
        smiles=first.get("smiles") or group[0].molecule,
        values=[record.values for record in group],
        trajectories=frames,
    )
