"""Record of the split of a run, ``split.json`` in its folder, and the parts of its data set made again from it."""

from __future__ import annotations

import base64
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, ValidationError
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset
from graphscore.data.own.dataset import OwnDataset
from graphscore.data.own.files import by_part
from graphscore.data.own.rules import Recorded
from graphscore.data.packed.index import digest_of
from graphscore.data.sources import find_files
from graphscore.data.split import PARTS, Part
from graphscore.data.writers import write_json
from graphscore.experiment.config.components import Component
from graphscore.experiment.config.schema import Config, check_model
from graphscore.experiment.config.sections import Section
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.weights import find_model
from graphscore.registry import Trust, Trusted, shown
from graphscore.runtime.checkpoint import read_header

SPLIT_FILE = "split.json"
_MOST = 10**9  # records of a file
_MISSED: dict[Part, str] = {
    "val": "no loss is measured on graphs apart from training",
    "test": "no graphs are kept to evaluate",
}


class PartRecord(Section):
    """Size of a part."""

    graphs: int = Field(ge=0)
    groups: int = Field(ge=0)


class SourceRecord(Section):
    """A file of graphs, or graphs given in Python: a hash of the content, and the part of each record.

    ``parts`` are bytes, compressed by zlib and written in base 64: the number of the part in (train, val, test) plus 1,
    or 0 for a record that is in none.
    """

    name: str
    digest: str
    records: int = Field(ge=0, le=_MOST)
    parts: str

    def codes(self) -> bytes:
        """Decompress the parts of the records.

        Raises:
            ValueError: If they are damaged.
        """
        try:
            return zlib.decompressobj().decompress(base64.b64decode(self.parts), max(self.records, 1))
        except (ValueError, zlib.error) as error:
            raise ValueError(f"The parts of {self.name} in the record of the split are damaged: {error}") from error


class SplitRecord(Section):
    """Record of the split of a run."""

    dataset: str
    rule: str
    folder: str
    """Working folder of the run, to which relative paths of its data belong."""
    parts: dict[Part, PartRecord]
    sources: tuple[SourceRecord, ...] = ()
    notes: tuple[str, ...] = ()


def record_split(dataset: Dataset) -> SplitRecord:
    """Describe the split of a data set, with notes on what is remarkable about it, such as empty parts."""
    parts: dict[Part, PartRecord] = {}
    for part in PARTS:
        graphs, groups = dataset.size(part)
        parts[part] = PartRecord(graphs=graphs, groups=groups)
    own = dataset if isinstance(dataset, OwnDataset) else None
    codes = {} if own is None else own.codes
    sources = [
        SourceRecord(
            name=name,
            digest=digest,
            records=len(codes.get(name, b"")),
            parts=base64.b64encode(zlib.compress(codes.get(name, b""), 9)).decode(),
        )
        for name, digest in dataset.digests().items()
    ]
    missed: list[Part] = [part for part in _MISSED if not parts[part].graphs]
    notes = [f"The part {part} is empty: {_MISSED[part]}" for part in missed]
    if own is not None and (hint := own.rule.fill(missed)):
        notes.append(hint)
    return SplitRecord(
        dataset=dataset.name,
        rule="of the data set" if own is None else own.rule.text,
        folder=str(Path.cwd()),
        parts=parts,
        sources=tuple(sources),
        notes=(*notes, *(own.notes if own is not None else ())),
    )


def check_split(dataset: Dataset, folder: Path, resume: bool) -> SplitRecord:
    """Record the split of a data set, print its notes to stderr, and compare it with that of a run to resume.

    Raises:
        ValueError: If the run in the folder is to be resumed, and had another split.
    """
    split = record_split(dataset)
    before = read_split(folder) if resume else None
    if before is not None and (different := differences(before, split)):
        raise ValueError(f"Cannot resume {folder} with other data: {'; '.join(different)}")
    for note in split.notes:
        print(f"Warning: {note}", file=sys.stderr)
    return split


def write_split(record: SplitRecord, folder: Path) -> None:
    """Write the record of a split to the folder of a run."""
    write_json(record.model_dump(mode="json"), folder / SPLIT_FILE)


def read_split(folder: Path) -> SplitRecord | None:
    """Read the record of the split in the folder of a run; ``None`` if it has none.

    Raises:
        ValueError: If the file is damaged.
    """
    path = folder / SPLIT_FILE
    if not path.is_file():
        return None
    try:
        return SplitRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"{path} is not the record of a split: {key} {first['msg']}, got {shown(first['input'])}"
        ) from error


def differences(before: SplitRecord, now: SplitRecord) -> list[str]:
    """Say in what two splits differ: content of files, parts of records, sizes of parts; empty if in nothing."""
    found = []
    if len(before.sources) != len(now.sources):
        found.append(f"it was read from {len(before.sources)} files, now from {len(now.sources)}")
    for old, new in zip(before.sources, now.sources, strict=False):
        if old.digest != new.digest:
            found.append(f"{new.name} has changed")
    if not found:
        moved = sum(map(_num_moved, before.sources, now.sources))
        found += [f"{moved:,} graphs are in another part"] * bool(moved)
    for part, old in before.parts.items():
        new = now.parts.get(part)
        if new is not None and new != old:
            found.append(
                f"{part} had {old.graphs:,} graphs in {old.groups:,} groups, now {new.graphs:,} in {new.groups:,}"
            )
    return found


def _num_moved(old: SourceRecord, new: SourceRecord) -> int:
    before, now = old.codes(), new.codes()
    length = max(len(before), len(now))
    return sum(a != b for a, b in zip(before.ljust(length, b"\0"), now.ljust(length, b"\0"), strict=True))


class RunPart(NamedTuple):
    """A part of the data set of a run.

    Attributes:
        groups: Its graphs in groups, as they were before the transforms of the run.
        notes: What has changed since the training, in sentences.
    """

    groups: Sequence[Sequence[Data]]
    notes: Sequence[str]

    @property
    def graphs(self) -> list[Data]:
        """All graphs, one group after the other."""
        return [graph for group in self.groups for graph in group]


def load_part(run: str | Path, part: Part, trust: Trusted = ()) -> RunPart:
    """Make a part of the data set of a run again.

    If the files have not changed since, each graph is in the part that it was in; otherwise they are split anew by the
    same rule.

    Args:
        run: Folder of the run, or its model file.
        part: ``"train"``, ``"val"`` or ``"test"``.
        trust: For runs with a custom data set, see :func:`graphscore.experiment.pretrained.load_model`.

    Raises:
        FileNotFoundError: If there is no such run, or its data are not where they were.
        ValueError: If the model is of no run, the data cannot be read, or the part is empty.
    """
    path = find_model(run)
    config = check_model(read_header(path).config, str(path), Trust(trust))
    if not isinstance(config, Config):
        raise ValueError(f"{path} was trained by no run of this library, and does not say on which data")
    before = read_split(path.parent) or read_split(path.parents[1])  # of a model in checkpoints/
    config, rule = _placed(config, before)
    dataset = build_dataset(config, transformed=False, rule=rule)
    groups = dataset.groups(part)
    if not groups:
        sizes = ", ".join(f"{dataset.size(other)[0]:,} {other}" for other in PARTS)
        raise ValueError(
            f"The part {part} of the data set of {run} is empty (it has {sizes} graphs): choose another part, or train "
            "with another split, by data.dataset.seed or data.dataset.fractions"
        )
    changed = [] if before is None else differences(before, record_split(dataset))
    return RunPart(groups, [f"The data are not those of the training: {what}" for what in changed])


def _placed(config: Config, record: SplitRecord | None) -> tuple[Config, Recorded | None]:
    """Find the files of a run, and the rule that gives each record its part, if the files are unchanged."""
    component = config.data.dataset
    if record is None or component.name != "files" or "path" not in component.options:
        return config, None
    paths = by_part(component.options["path"])
    found = {}
    for name, path in paths.items():
        try:
            found[name] = find_files(path)
        except FileNotFoundError:
            paths[name] = Path(record.folder) / path
            found[name] = find_files(paths[name])
    value = str(paths[None]) if None in paths else {str(name): str(path) for name, path in paths.items()}
    component = Component.model_validate({"name": component.name, **component.options, "path": value})
    config = config.model_copy(update={"data": config.data.model_copy(update={"dataset": component})})
    files = [file for each in found.values() for file in each]
    digests = {str(file): digest_of(file) for file in files}
    if None not in paths or [source.digest for source in record.sources] != list(digests.values()):
        return config, None
    codes = {name: source.codes() for name, source in zip(digests, record.sources, strict=True)}
    return config, Recorded(record.rule, codes)
