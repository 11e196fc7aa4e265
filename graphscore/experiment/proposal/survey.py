"""Survey of a user's data: the attributes, sizes and distances of a sample of the graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.readers import Failure
from graphscore.data.sources import count_records, find_files, iterate_files
from graphscore.domains import GRAPHS, Domain, attributes, domain_of, domains
from graphscore.fields import Level, measure_scale
from graphscore.nn.edges.neighbors import knn_edges
from graphscore.registry import resolve, shown

NUM_GRAPHS = 1000
"""Number of graphs that are looked at."""
NUM_MEASURED = 20
"""Number of graphs whose distances are measured."""


@dataclass(frozen=True)
class Column:
    """An attribute that all graphs have, an array with the same columns in each.

    Attributes:
        level: What a row belongs to; ``None`` if it is none of the levels.
        dtype: Type of its numbers.
        width: Number of columns of ``[rows, width]``; ``None`` for ``[rows]``, 0 for arrays of more dimensions.
        low: Smallest value.
        high: Largest value.
    """

    level: Level | None
    dtype: torch.dtype
    width: int | None
    low: float
    high: float

    def __str__(self) -> str:
        rows = {"node": "N", "edge": "E", "graph": "1", None: "..."}[self.level]
        shape = f"[{rows}]" if self.width is None else f"[{rows}, {self.width or '...'}]"
        return f"{str(self.dtype).removeprefix('torch.')} {shape} from {self.low:g} to {self.high:g}"


class KnownLayout(NamedTuple):
    """A folder in a published layout, which a data set of a domain reads better than file by file.

    Attributes:
        dataset: The data set as a component.
        transforms: Transforms as components, with a comment each.
        files: Files of its graphs.
        read: Function ``(file) -> graph or failure`` that reads a graph as data set and transforms make it.
    """

    dataset: Mapping[str, Any]
    transforms: Sequence[tuple[Mapping[str, Any], str]]
    files: Sequence[Path]
    read: Callable[[Path], Data | Failure]


@dataclass(frozen=True)
class Survey:
    """Facts about the graphs of a file, a folder or a pattern.

    Attributes:
        path: The path as given.
        num_files: Number of files.
        num_graphs: Number of records, those that were not looked at included.
        domain: Domain of the graphs; that of any graphs if they have several.
        sizes: Numbers of nodes of the graphs looked at, rising.
        num_edges: Mean number of edges.
        columns: Attributes that all graphs have, by name.
        partial: Names of attributes that only some graphs have.
        failures: Records among those looked at that could not be used.
        graphs: Some of the graphs.
        layout: The layout of the folder, if it is a known one.
    """

    path: Path
    num_files: int
    num_graphs: int
    domain: Domain
    sizes: list[int]
    num_edges: float
    columns: Mapping[str, Column]
    partial: list[str]
    failures: list[Failure]
    graphs: list[Data] = field(repr=False)
    layout: KnownLayout | None = field(default=None, repr=False)

    @property
    def is_complete(self) -> bool:
        """True if all graphs were looked at."""
        return len(self.sizes) + len(self.failures) >= self.num_graphs

    def described(self) -> str:
        """Describe the data in a phrase."""
        low, high = self.sizes[0], self.sizes[-1]
        return f"{self.num_graphs:,} graphs of {low if low == high else f'{low} to {high}'} nodes in {self.path}"

    def radius(self, name: str, neighbors: int) -> float:
        """Measure the mean distance of the k-th neighbor of a node, in standard deviations of the positions.

        Args:
            name: The positions.
            neighbors: Number k of neighbors; fewer in graphs that have fewer nodes.
        """
        scale, furthest = measure_scale(self.graphs, name, zero_mean=True), list[Tensor]()
        for graph in self.graphs:
            pos = graph[name].float() / scale
            source, target = knn_edges(pos, torch.zeros(len(pos), dtype=torch.long), 1, neighbors)
            distance = (pos[source] - pos[target]).norm(dim=1)
            furthest.append(distance.new_zeros(len(pos)).scatter_reduce(0, target, distance, "amax"))
        return float(torch.cat(furthest).mean())


def survey(path: Path) -> Survey:
    """Look at the graphs of a file, a folder or a pattern: all, or a sample of many.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If no graph can be read.
    """
    layouts = (resolve(domain.layout_of)(path) for domain in domains() if domain.layout_of is not None)
    layout: KnownLayout | None = next(filter(None, layouts), None)
    files = find_files(path) if layout is None else layout.files
    step = max(1, len(files) // NUM_GRAPHS)
    some = files[::step]
    items = map(itemgetter(2), iterate_files(some)) if layout is None else map(layout.read, some)
    graphs, failures, ended = _sample(items)
    if not graphs:
        raise ValueError(f"No graph of {path} can be read; the first failure: {failures[0]}")
    num_graphs = step * (len(graphs) + len(failures)) if ended else count_records(files)
    found = {domain.name: domain for domain in map(domain_of, graphs)}
    names = dict.fromkeys(name for graph in graphs for name in graph.keys() if name != "num_nodes")  # noqa: SIM118
    everywhere = [name for name in names if all(name in graph for graph in graphs)]
    columns = {name: column for name in everywhere if (column := _column(name, graphs)) is not None}
    return Survey(
        path,
        len(files),
        num_graphs,
        next(iter(found.values())) if len(found) == 1 else GRAPHS,
        sorted(int(graph.num_nodes or 0) for graph in graphs),
        sum(graph.num_edges for graph in graphs) / len(graphs),
        columns,
        sorted(names.keys() - set(everywhere)),
        failures,
        graphs[:: max(1, len(graphs) // NUM_MEASURED)][:NUM_MEASURED],
        layout,
    )


def _sample(items: Iterable[Data | Failure]) -> tuple[list[Data], list[Failure], bool]:
    """The first graphs and the failures among them, and whether there are no more."""
    graphs, failures = list[Data](), list[Failure]()
    for item in items:
        if len(graphs) == NUM_GRAPHS:
            return graphs, failures, False
        if isinstance(item, Failure):
            failures.append(item)
        else:
            graphs.append(item)
    return graphs, failures, True


def _column(name: str, graphs: Sequence[Data]) -> Column | None:
    """Describe an attribute; ``None`` if it is no array, or has other columns in other graphs."""
    values = [graph[name] for graph in graphs]
    if name == "edge_index" or not all(isinstance(value, Tensor) and value.dim() for value in values):
        return None
    first = values[0]
    if any(value.dtype != first.dtype or value.shape[1:] != first.shape[1:] for value in values):
        return None
    filled = [value.double() for value in values if value.numel()]
    low = min((float(value.min()) for value in filled), default=0.0)
    high = max((float(value.max()) for value in filled), default=0.0)
    width = None if first.dim() == 1 else first.shape[1] if first.dim() == 2 else 0
    return Column(_level(name, graphs), first.dtype, width, low, high)


def _level(name: str, graphs: Sequence[Data]) -> Level | None:
    """The level of an attribute: by its name if it has a fixed meaning, or else by its number of rows."""
    known = attributes().get(name)
    if known is not None and all(known.beside is None or known.beside in graph for graph in graphs):
        return None if known.level == "none" else known.level
    rows: dict[Level, Callable[[Data], int | None]] = {
        "node": lambda graph: graph.num_nodes,
        "edge": lambda graph: graph.num_edges,
        "graph": lambda graph: 1,
    }
    return next((level for level, count in rows.items() if all(len(g[name]) == count(g) for g in graphs)), None)


def missing(name: str, survey: Survey) -> str:
    """Say why an attribute is not one of all graphs, with those that are."""
    has = f"all graphs have {sorted(survey.columns)}" if survey.columns else "no array is in all graphs"
    if name in survey.partial:
        return f"only some graphs of {survey.path} have {shown(name)}; {has}"
    return f"no graph of {survey.path} has an array {shown(name)}; {has}"
