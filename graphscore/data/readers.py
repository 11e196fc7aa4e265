"""Reading of graphs from files; records that cannot be read are reported as failures, one by one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from graphscore.data.formats.detection import guess_format, shared_format
from graphscore.data.missing import missing
from graphscore.data.packed.index import is_packed
from graphscore.domains import Reference, gather
from graphscore.registry import resolve

if TYPE_CHECKING:  # a wrong path is reported before PyTorch is loaded
    from torch_geometric.data import Data


@dataclass(frozen=True)
class Failure:
    """A record that could not be used, and the reason.

    Attributes:
        source: File, or "input" for strings.
        location: Place in the source, e.g. "line 3".
        reason: The problem, in one sentence.
    """

    source: str
    location: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}, {self.location}: {self.reason}"


@dataclass
class ReadResult:
    """Graphs read from a file, in its order, and the records that failed."""

    items: list[Data] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


T = TypeVar("T")
Record = tuple[str, Callable[[], "Data"]]


def read(path: str | Path, format: str | None = None, **options: Any) -> ReadResult:
    """Read graphs from a file; the extension gives the format, unless it is named.

    Formats: ``.graphml`` (see :func:`~graphscore.data.networkx.from_networkx`; coordinates as ``pos="0.1 0.2 0.3"`` or
    real-valued ``x``, ``y`` and ``z``), ``.pt`` (a file of :func:`graphscore.data.writers.write`, a PyG graph, a list
    of them, a ``Batch``, or what ``InMemoryDataset.save`` writes; see
    :func:`~graphscore.data.consistency.check_graph`), ``.npy`` and ``.npz`` (see
    :mod:`graphscore.data.formats.arrays`), ``.parquet`` (see :func:`graphscore.data.formats.parquet.read_parquet`), and
    the formats of domains: for molecules ``.sdf .mol .mol2 .pdb .xyz`` (see :mod:`graphscore.molecules.readers`), and
    ``.smi .smiles .ism .can .txt .csv .tsv`` (see :mod:`graphscore.molecules.smiles_files`). Text may be compressed
    (``.sdf.gz``), and in UTF-8, UTF-16 or Latin-1, see :func:`~graphscore.data.formats.text.read_lines`.

    Args:
        path: File.
        format: Format of a file with another extension or none, such as ``"smi"``.
        options: Options of the reader: ``charge`` of the molecules of ``.xyz`` and ``.pdb`` files that state none.

    Returns:
        Graphs and failures.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file as a whole cannot be read: a folder, an unknown extension, empty, not in its
            format; or the reader does not take an option.
    """
    return collect(iterate(path, format, **options))


def iterate(path: str | Path, format: str | None = None, **options: Any) -> Iterator[Data | Failure]:
    """Iterate over the graphs of a file without keeping them in memory; see :func:`read`.

    The name of the file is checked at once, its content while it is read.

    Yields:
        Graphs in the order of the file, and the records that fail.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file as a whole cannot be read.
    """
    path = check_input(path, format)
    return (item for _, item in located(path, format, **options))


def located(path: Path, format: str | None = None, **options: Any) -> Iterator[tuple[str, Data | Failure]]:
    """Iterate over the graphs of a file with their places in it, such as ``line 3``; see :func:`iterate`.

    Raises:
        ValueError: If the file as a whole cannot be read.
    """
    for number, (place, make) in enumerate(records(path, format, **options)):
        (made,) = make_graphs(str(path), [(place, make)])
        if not number and isinstance(made, Failure):
            made = replace(made, reason=made.reason + format_hint(path, format))
        yield place, made


def records(path: Path, format: str | None = None, **options: Any) -> Iterator[Record]:
    """Iterate over the records of a file, with the functions that make their graphs; see :func:`read`.

    Raises:
        ValueError: If the file as a whole cannot be read.
    """
    name = _format(path, format)
    reader = resolve(PACKED_READER if is_packed(path) else readers()[name])
    given = {key: value for key, value in options.items() if value is not None}
    if unknown := given.keys() - inspect.signature(reader).parameters.keys():
        raise ValueError(f"Cannot read {path} with {', '.join(sorted(unknown))}: files {name} are read without")
    num = 0
    try:
        for num, record in enumerate(reader(path, **given), start=1):  # noqa: B007 (used below)
            yield record
    except ValueError as error:
        raise ValueError(f"{error}{'' if num else format_hint(path, name)}") from error
    if not num:
        raise ValueError(f"The file {path} holds no records{format_hint(path, name)}")


def format_hint(path: Path, format: str | None) -> str:
    """Write the end of a message on the format that a file rather seems to have; empty if it is the one given."""
    looks = guess_format(path)
    if not looks or _format(path, format).removesuffix(GZ) in looks:
        return ""
    name = looks[0].removeprefix(".")
    return f"; the file looks like {looks[0]}: name its format, by --format {name} or format={name!r}"


def check_input(path: str | Path, format: str | None = None) -> Path:
    """Check that an input file exists and has a known extension, without opening it.

    Args:
        path: File.
        format: Its format, if it has another extension or none, such as ``"smi"``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a folder, empty, or of an extension or format that :func:`read` does not know.
    """
    path = Path(path)
    if not path.exists():
        raise missing(path)
    if format is None and is_packed(path):
        return path
    if path.is_dir():
        raise ValueError(f"Expected a file, but {path} is a folder")
    if _format(path, format) not in (known := readers()):
        names = extensions_as_text(sorted(known))
        if format is not None:
            raise ValueError(f"Unknown format {format!r}: expected one of {names}")
        raise ValueError(f"Cannot read {path}: expected one of the extensions {names}{format_hint(path, None)}")
    if path.stat().st_size == 0:
        raise ValueError(f"The file {path} is empty")
    return path


def collect(made: Iterable[Data | Failure]) -> ReadResult:
    """Separate graphs from failures."""
    result = ReadResult()
    for item in made:
        if isinstance(item, Failure):
            result.failures.append(item)
        else:
            result.items.append(item)
    return result


def make_graphs(source: str, records: Iterable[tuple[str, Callable[[], T]]]) -> Iterator[T | Failure]:
    """Make graphs from records one by one, with a failure for each record that raises an error.

    Args:
        source: Name of their source, for failures.
        records: Pairs of a place in the source and a function that makes the graph.
    """
    for location, make in records:
        try:
            made = make()
        except (ValueError, RuntimeError) as error:
            made = Failure(source, location, str(error).split("\n")[0])
        yield made


def _format(path: Path, format: str | None) -> str:
    if format is not None:
        return f".{format.lower().removeprefix('.')}"
    name = extension(path)
    shared = shared_format(path, name.removesuffix(GZ))
    return name if shared == name.removesuffix(GZ) else shared


GZ = ".gz"
PACKED_READER = "graphscore.data.packed.graphs:read_packed"
READERS: dict[str, Reference] = {
    ".graphml": "graphscore.data.formats.graphml:read_graphml",
    ".graphml.gz": "graphscore.data.formats.graphml:read_graphml",
    ".graphml.zip": "graphscore.data.formats.graphml:read_zip",
    ".npy": "graphscore.data.formats.arrays:read_npy",
    ".npz": "graphscore.data.formats.arrays:read_npz_graphs",
    ".parquet": "graphscore.data.formats.parquet:read_parquet",
    ".pt": "graphscore.data.formats.pt:read_pt",
}
"""Readers of any graphs by extension, which also are those of the files to read in a folder; domains add others."""


def extension(path: str | Path) -> str:
    """Extension of a file in lower case, such as ``.sdf``, or with that of its compression, such as ``.sdf.gz``."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] in ([GZ], [".zip"]) else suffixes[-1:])


def extensions_as_text(known: Collection[str]) -> str:
    """List extensions for a sentence; those of compressed files are named once."""
    plain = [name for name in known if not name.endswith(GZ)]
    return " ".join(plain) + (f", also with {GZ}" if len(plain) < len(known) else "")


def readers() -> dict[str, Reference]:
    """List all readers by extension, including those of domains."""
    return READERS | gather("readers")
