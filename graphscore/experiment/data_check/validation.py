"""Validation of files of graphs: which records can be used, without sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from graphscore.attributes import NOTES
from graphscore.data.readers import Failure
from graphscore.data.sources import count_records, find_files, iterate_files
from graphscore.data.writers import check_output, write_json
from graphscore.domains import domain_of
from graphscore.experiment.data_check.kinds import Kinds
from graphscore.experiment.trained_on import TrainedOn
from graphscore.experiment.weights import find_model, named_weights
from graphscore.registry import resolve
from graphscore.runtime.checkpoint import read_header


def validate_file(
    path: Path,
    out: Path | None = None,
    *,
    format: str | None = None,
    checkpoint: Path | None = None,
    source: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Read a file, a folder or a pattern, and tell what of it can be used.

    Args:
        path: The file, folder or pattern.
        out: File for the report, ``*.json``.
        format: Format of the files, if the extension does not give it.
        checkpoint: A model that is to sample the graphs; by default the one that comes with the package for them.
        source: Name of the file in the report; by default its path.
        progress: Called with (records done, all).
        **options: Options of the reader, such as ``charge``, see :func:`graphscore.data.readers.read`.

    Returns:
        The numbers of all records (``num_records``), of those that can be used (``num_usable``) and of usable ones with
        notes (``num_noted``); ``failures`` and ``notes``: for each kind ``kind``, ``count``, the ``places`` (of several
        files, with the file), and the first one in full (``example``), the most frequent first.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read as a whole, or the report cannot be written.
    """
    files, out = find_files(path, format), None if out is None else check_output(out, [".json"])
    model = _Model(checkpoint)
    total = count_records(files, format, **options)
    failures, notes = Kinds(), Kinds()
    num_usable = num_noted = 0
    for done, (file, place, item) in enumerate(iterate_files(files, format, **options), start=1):
        reason = item.reason if isinstance(item, Failure) else model.refuses(item)
        place = place if len(files) == 1 else f"{file}, {place}"
        if reason:
            failures.add(place, reason)
        else:
            found = () if isinstance(item, Failure) else item.get(NOTES) or ()
            num_usable, num_noted = num_usable + 1, num_noted + bool(found)
            for note in found:
                notes.add(place, note)
        if progress is not None:
            progress(done, total)
    counts = {"num_records": total, "num_usable": num_usable, "num_noted": num_noted}
    report = {"file": source or str(path), **counts, "failures": failures.table(), "notes": notes.table()}
    if out is not None:
        write_json(report, out)
    return report


class _Model:
    """Facts about the training of the model that is to sample: that of a file, or the one that comes with a domain."""

    def __init__(self, checkpoint: Path | None) -> None:
        self.given = None if checkpoint is None else _facts(str(checkpoint))
        self.shipped: dict[str, _Facts] = {}

    def refuses(self, item: Any) -> str:
        """Reason why the model cannot sample a graph; empty if none is known."""
        domain = domain_of(item)
        if domain.name not in self.shipped:
            named = domain.weights if domain.weights in named_weights() else None
            self.shipped[domain.name] = _Facts({}, None) if named is None else _facts(named)
        known, trained_on = self.shipped[domain.name] if self.given is None else self.given
        return (trained_on.refuses(item) if trained_on else "") or resolve(domain.unknown)(item, known)


class _Facts(NamedTuple):
    known: Mapping[str, Sequence[int]]
    trained_on: TrainedOn | None


def _facts(checkpoint: str) -> _Facts:
    info = read_header(find_model(checkpoint)).info
    return _Facts(info.get("known", {}), TrainedOn.read(info, checkpoint))
