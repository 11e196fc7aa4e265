"""Reading files into graphs. What cannot be read is reported line by line, never dropped silently."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

if TYPE_CHECKING:  # a wrong path is answered before PyTorch is loaded
    import networkx as nx
    from torch_geometric.data import Data


@dataclass(frozen=True)
class Failure:
    """One record that could not be used.

    Attributes:
        source: File, or "input" for strings.
        location: Where in it, e.g. "line 3".
        reason: What is wrong, in one sentence.
    """

    source: str
    location: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}, {self.location}: {self.reason}"


@dataclass
class ReadResult:
    """What came out of a file: graphs in its order, and the records that failed."""

    items: list[Data] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


Record = tuple[str, Callable[[], "Data"]]


def read(path: str | Path) -> ReadResult:
    """Read graphs from a file, by its extension.

    ``.smi`` (SMILES and optional name per line; empty lines and those that start with ``#`` are skipped),
    ``.csv`` (column ``smiles``, optional ``name``), ``.sdf`` and ``.mol`` (hydrogens are completed; flat
    depictions give no coordinates), ``.xyz`` (any number of frames; bonds are perceived for a neutral
    molecule), ``.graphml`` (see :func:`~graphscore.data.networkx_io.from_networkx`; coordinates as ``pos="0.1
    0.2 0.3"`` or real-valued ``x``, ``y`` and ``z``), ``.pt`` (what :func:`graphscore.data.writers.write`
    writes, a PyG graph, or a list of them; see :func:`~graphscore.data.consistency.check_graph`).

    Args:
        path: File.

    Returns:
        Graphs and failures.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file as a whole cannot be read: a folder, an unknown extension, empty, not in its
            format.
    """
    path = check_input(path)
    result = _collect(str(path), READERS[path.suffix.lower()](path))
    if not result.items and not result.failures:
        raise ValueError(f"The file {path} holds no records")
    return result


def check_input(path: str | Path) -> Path:
    """Check the name of a file to read, and that it is there; what it holds is not looked at.

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
    if path.suffix.lower() not in READERS:
        raise ValueError(f"Cannot read {path}: expected one of the extensions {' '.join(sorted(READERS))}")
    if path.stat().st_size == 0:
        raise ValueError(f"The file {path} is empty")
    return path


def read_smiles(smiles: Iterable[str]) -> ReadResult:
    """Read SMILES strings; those that fail are located by their number, from 1."""
    return _collect("input", ((f"SMILES {i}", _smiles_record(text)) for i, text in enumerate(smiles, start=1)))


def _collect(source: str, records: Iterable[Record]) -> ReadResult:
    result = ReadResult()
    for location, make in records:
        try:
            result.items.append(make())
        except (ValueError, RuntimeError) as error:
            result.failures.append(Failure(source, location, str(error).split("\n")[0]))
    return result


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"Cannot read {path} as text: {error}") from error


def _smiles_record(smiles: str, name: str = "") -> Callable[[], Data]:
    from graphscore.molecules.graph import data_from_smiles

    return lambda: data_from_smiles(smiles, name)


def _read_smi(path: Path) -> Iterator[Record]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            smiles, _, name = line.strip().replace("\t", " ").partition(" ")
            yield f"line {number}", _smiles_record(smiles, name.strip())


def _read_csv(path: Path) -> Iterator[Record]:
    rows = csv.reader(_text(path).splitlines(keepends=True))
    header = [column.strip().lower() for column in next(rows, [])]
    if "smiles" not in header:
        raise ValueError(f"Expected a column 'smiles' in line 1 of {path}, but found the columns {header}")
    for row in rows:
        if any(cell.strip() for cell in row):
            values = dict(zip(header, (cell.strip() for cell in row), strict=False))
            yield f"line {rows.line_num}", _smiles_record(values.get("smiles", ""), values.get("name", ""))


def _read_sdf(path: Path) -> Iterator[Record]:
    blocks = re.split(r"^\$\$\$\$[^\n]*\n?", _text(path).replace("\r\n", "\n"), flags=re.MULTILINE)
    for number, block in enumerate(blocks, start=1):
        if block.strip():
            yield f"record {number}", _molblock_record(block)


def _molblock_record(block: str) -> Callable[[], Data]:
    from graphscore.molecules.files import mol_from_molblock
    from graphscore.molecules.graph import data_from_mol

    return lambda: data_from_mol(mol_from_molblock(block), name=block.split("\n", 1)[0].strip())


def _read_xyz(path: Path) -> Iterator[Record]:
    lines = _text(path).splitlines()
    start = frame = 0
    while start < len(lines):
        if not lines[start].strip():
            start += 1
            continue
        frame += 1
        count = lines[start].strip()
        if not count.isdecimal() or start + 2 + int(count) > len(lines):
            raise ValueError(
                f"Expected a number of atoms in line {start + 1} of {path}, a comment and that many atoms, "
                f"but found {lines[start].strip()!r} and {len(lines) - start - 1} more lines"
            )
        end = start + 2 + int(count)
        yield f"frame {frame} (line {start + 1})", _xyz_record(lines[start:end])
        start = end


def _xyz_record(lines: Sequence[str]) -> Callable[[], Data]:
    from graphscore.molecules.files import mol_from_xyz
    from graphscore.molecules.graph import data_from_mol

    return lambda: data_from_mol(mol_from_xyz("\n".join(lines)), name=lines[1].strip())


def _read_graphml(path: Path) -> Iterator[Record]:
    import networkx as nx

    from graphscore.data.networkx_io import from_networkx

    try:
        graph = nx.read_graphml(path)
    except (ParseError, nx.NetworkXError, ValueError, KeyError) as error:
        raise ValueError(f"Cannot read {path} as GraphML: {error}") from error
    yield "graph 1", lambda: from_networkx(_completed(graph))


def _completed(graph: nx.Graph) -> nx.Graph:
    """Apply GraphML's defaults, which networkx only lists, and gather coordinates.

    GraphML knows no arrays: they are a string ``pos``, or one real number per axis.
    """
    graph = graph.copy()
    node_default, edge_default = graph.graph.pop("node_default", {}), graph.graph.pop("edge_default", {})
    for _, _, values in graph.edges(data=True):
        values.update({key: value for key, value in edge_default.items() if key not in values})
    for label, values in graph.nodes(data=True):
        values.update({key: value for key, value in node_default.items() if key not in values})
        if isinstance(values.get("pos"), str):
            try:
                values["pos"] = [float(word) for word in re.split(r"[,\s]+", values["pos"].strip("[]() "))]
            except ValueError as error:
                raise ValueError(f"Expected numbers in pos of node {label!r}, but got {values['pos']!r}") from error
        elif isinstance(values.get("x"), float) and isinstance(values.get("y"), float) and "pos" not in values:
            # An integer z is an atomic number.
            axes = [axis for axis in "xyz" if isinstance(values.get(axis), float)]
            values["pos"] = [values.pop(axis) for axis in axes]
    return graph


def _read_pt(path: Path) -> Iterator[Record]:
    content = _load(path)
    for number, value in enumerate(content if isinstance(content, list) else [content]):
        yield f"graph {number}", lambda value=value: _checked(value)


def _load(path: Path) -> Any:
    import torch
    from torch_geometric.data import Data
    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    try:
        with torch.serialization.safe_globals([Data, DataEdgeAttr, DataTensorAttr, GlobalStorage]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(
            f"Cannot read {path}: expected tensors in plain dicts, or PyG Data, saved by torch.save "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error


def _checked(value: Any) -> Data:
    from graphscore.data.consistency import check_graph

    return check_graph(value)


READERS: dict[str, Callable[[Path], Iterable[Record]]] = {
    ".smi": _read_smi,
    ".csv": _read_csv,
    ".sdf": _read_sdf,
    ".mol": _read_sdf,
    ".xyz": _read_xyz,
    ".graphml": _read_graphml,
    ".pt": _read_pt,
}
