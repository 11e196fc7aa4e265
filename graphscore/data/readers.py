"""Reading of graphs from files; records that cannot be read are reported as failures, one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

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


def read(path: str | Path) -> ReadResult:
    """Read graphs from a file; the extension gives the format.

    Formats: ``.graphml`` (see :func:`~graphscore.data.networkx.from_networkx`; coordinates as ``pos="0.1 0.2 0.3"`` or
    real-valued ``x``, ``y`` and ``z``), ``.pt`` (a file of :func:`graphscore.data.writers.write`, a PyG graph, or a
    list of them; see :func:`~graphscore.data.consistency.check_graph`), and the formats of domains: for molecules
    ``.sdf``, ``.mol`` and ``.xyz`` (see :mod:`graphscore.molecules.readers`), and ``.smi .smiles .ism .can .txt .csv
    .tsv`` (see :mod:`graphscore.molecules.smiles_files`). All but ``.pt`` may be compressed (``.sdf.gz``). Text may be
    in UTF-8, UTF-16 or Latin-1, see :func:`~graphscore.data.text.read_lines`.

    Args:
        path: File.

    Returns:
        Graphs and failures.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file as a whole cannot be read: a folder, an unknown extension, empty, not in its
            format.
    """
    return collect(iterate(path))


def iterate(path: str | Path) -> Iterator[Data | Failure]:
    """Iterate over the graphs of a file without keeping them in memory; see :func:`read`.

    The name of the file is checked at once, its content while it is read.

    Yields:
        Graphs in the order of the file, and the records that fail.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file as a whole cannot be read.
    """
    path = check_input(path)
    return _iterate(path, resolve(readers()[extension(path)])(path))


def _iterate(path: Path, records: Iterable[Record]) -> Iterator[Data | Failure]:
    empty = True
    for made in make_graphs(str(path), records):
        empty = False
        yield made
    if empty:
        raise ValueError(f"The file {path} holds no records")


def check_input(path: str | Path) -> Path:
    """Check that an input file exists and has a known extension, without opening it.

    Args:
        path: File.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a folder, empty, or of an extension that :func:`read` does not know.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}")
    if path.is_dir():
        raise ValueError(f"Expected a file, but {path} is a folder")
    if extension(path) not in (known := readers()):
        raise ValueError(f"Cannot read {path}: expected one of the extensions {extensions_as_text(sorted(known))}")
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


GZ = ".gz"
READERS: dict[str, Reference] = {
    ".graphml": "graphscore.data.networkx:read_graphml",
    ".graphml.gz": "graphscore.data.networkx:read_graphml",
    ".pt": "graphscore.data.pt:read_pt",
}
"""Readers of any graphs by extension; domains add others."""


def extension(path: str | Path) -> str:
    """Extension of a file in lower case, such as ``.sdf``, or with that of its compression, such as ``.sdf.gz``."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] == [GZ] else suffixes[-1:])


def extensions_as_text(known: Collection[str]) -> str:
    """List extensions for a sentence; those of compressed files are named once."""
    plain = [name for name in known if not name.endswith(GZ)]
    return " ".join(plain) + (f", also with {GZ}" if len(plain) < len(known) else "")


def readers() -> dict[str, Reference]:
    """List all readers by extension, including those of domains."""
    return READERS | gather("readers")
