"""Packed graphs as graphs of a user: their keys and fields are known from the index, and graphs are read on demand."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import ArrayLike
from torch_geometric.data import Data

from graphscore.attributes import NOTES
from graphscore.data.dataset import Transform
from graphscore.data.own_graph import OwnGraph
from graphscore.data.packed.columns import Column
from graphscore.data.packed.gathered import GatheredGraphs
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.packed.index import SKIPPED_FILE
from graphscore.data.packed.keys import CONTENT, DOMAIN, FAILURE, FILE, GROUP, PLAIN, RECORD, SPLIT
from graphscore.data.preparation import Preparation
from graphscore.data.readers import Failure
from graphscore.data.split import Part
from graphscore.domains import GRAPHS, Domain, attributes, domains


class PreparedGraphs(Sequence[Data]):
    """Packed graphs that are prepared for training each time that they are read.

    Args:
        graphs: The packed graphs.
        preparation: Applied to each.
    """

    def __init__(self, graphs: PackedGraphs, preparation: Preparation) -> None:
        self.graphs, self.preparation = graphs, preparation

    def __len__(self) -> int:
        return len(self.graphs)

    @overload
    def __getitem__(self, index: int) -> Data: ...

    @overload
    def __getitem__(self, index: slice) -> PreparedGraphs: ...

    def __getitem__(self, index: int | slice) -> Data | PreparedGraphs:
        if isinstance(index, slice):
            return PreparedGraphs(self.graphs[index], self.preparation)
        return self.preparation(self.graphs[index])

    def __getitems__(self, indices: ArrayLike) -> list[Data]:
        """Read and prepare graphs by their numbers at once."""
        return [self.preparation(graph) for graph in self.graphs.__getitems__(indices)]

    def __iter__(self) -> Iterator[Data]:
        return map(self.preparation, self.graphs)

    def select(self, indices: ArrayLike) -> PreparedGraphs:
        """Choose graphs by their numbers, in the given order, without reading them."""
        return PreparedGraphs(self.graphs.select(indices), self.preparation)


def prepared(graphs: PackedGraphs, preparation: Preparation) -> PackedGraphs | PreparedGraphs:
    """Prepare packed graphs for training: as they are, if they were packed with the same preparation.

    Raises:
        ValueError: If they were packed with another one.
    """
    before = graphs.prepared
    if before is None:
        columns = [column for columns in graphs.columns for column in columns if column.name in preparation.fields]
        if not preparation.steps and all(column.dtype == "float32" for column in columns):
            return graphs.without(_left_out(graphs))
        return PreparedGraphs(graphs, preparation)
    now = preparation.describe()
    if before != now:
        told = [
            f"{', '.join(one['name'] for one in each['transforms']) or 'no transform'} and the fields "
            f"{', '.join(each['fields'])}"
            for each in (before, now)
        ]
        same = " (of other options or code)" if told[0] == told[1] else ""
        raise ValueError(
            f"The graphs in {graphs.path} were packed with {told[0]}, but {told[1]}{same} are wanted: pack them again "
            "for this configuration, by graphscore data pack --config, or without one"
        )
    return graphs


def _left_out(graphs: PackedGraphs) -> set[str]:
    """Names of labels, notes and mappings, see :func:`~graphscore.data.preparation.without`."""
    known = attributes()
    names = {(column.name, column.kind) for columns in graphs.columns for column in columns}
    return {
        name for name, kind in names if name == NOTES or kind == "mapping" or (name in known and known[name].is_label)
    }


class PackedOwn(OwnGraph):
    """A packed graph of a user, with what identifies it from the store; the attributes are those of the base class."""

    def __init__(self, shard: _Shard, row: int, source: str, number: int, place: str, part: Part | None) -> None:
        self.__dict__.update(shard=shard, row=row, source=source, number=number, place=place, part=part)

    @property
    def graph(self) -> Data:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The graph, which is read; of one that was prepared, its single values before."""
        if PLAIN in self.shard.keys:
            return Data(**json.loads(self.shard.keys[PLAIN][self.row]))
        return self.shard.graph(self.row)

    @cached_property
    def domain(self) -> Domain:
        """The domain of the graph."""
        keys = self.shard.keys
        if DOMAIN not in keys or (name := keys[DOMAIN][self.row]) is None:
            raise ValueError(keys[FAILURE][self.row])
        return _domain(name)

    @property
    def group_key(self) -> str:
        """Key of its group; empty for a group of its own."""
        return self._key(GROUP)

    def split_key(self, by: str) -> str:
        """Look up its key in a split of its domain."""
        return self._key(SPLIT + by)

    def _key(self, name: str) -> str:
        assert self.domain
        keys = self.shard.keys
        return (keys[name][self.row] or "") if name in keys else ""

    def content(self, names: Collection[str]) -> bytes:
        """Look up the hash of its fields and edges; of a graph that was not prepared, hash attributes."""
        return bytes.fromhex(self._key(CONTENT)) or super().content(names)

    def columns(self, fields: Sequence[str]) -> dict[str, int]:
        """Look up the numbers of columns of fields; a graph whose fields may not be as they must be is read."""
        known = {name: self.shard.columns(name) for name in fields}
        if all(columns and self.row not in infinite for columns, infinite in known.values()):
            return {name: columns for name, (columns, _) in known.items()}
        return super().columns(fields)

    def prepared(self, fields: Sequence[str], transform: Transform | None) -> int:
        """Return the number of the graph in the store."""
        return self.shard.start + self.row


class _Shard:
    """Keys, fields and graphs of a shard."""

    def __init__(self, graphs: PackedGraphs, number: int, start: int) -> None:
        self.graphs, self.start = graphs, start
        self.keys = graphs.keys(number)
        self._columns = graphs.columns[number]
        self._read: tuple[int, GatheredGraphs] | None = None
        self._known: dict[str, tuple[int, frozenset[int]]] = {}

    def columns(self, name: str) -> tuple[int, frozenset[int]]:
        """Number of columns of an attribute in all graphs, 0 if that is not known; and graphs that are not finite."""
        if name not in self._known:
            found = [column for column in self._columns if column.name == name]
            simple = len(found) == 1 and _is_simple(found[0])
            self._known[name] = (found[0].shape[-1], frozenset(found[0].infinite)) if simple else (0, frozenset())
        return self._known[name]

    def graph(self, row: int, many: int = 256) -> Data:
        """Read a graph, and some that follow it."""
        block = row // many
        if self._read is None or self._read[0] != block:
            rows = np.arange(block * many, min((block + 1) * many, len(self.keys[RECORD]))) + self.start
            self._read = block, self.graphs.__getitems__(rows)
        return self._read[1][row % many]


def _is_simple(column: Column) -> bool:
    """Tell whether a column has floating-point numbers ``[rows, columns]`` of one number of columns, in all graphs."""
    floating = column.dtype in ("float16", "bfloat16", "float32", "float64") and column.everywhere
    rows = column.layout == "ragged" and column.dim == 0 and len(column.shape) == 1
    return floating and (rows or (column.layout == "stacked" and len(column.shape) == 2)) and column.shape[-1] > 0


def own_graphs(
    graphs: PackedGraphs, part: Part | None = None, source: str | None = None, prefix: str = ""
) -> Iterator[OwnGraph | Failure]:
    """Iterate over the graphs of a store, without reading them, and what could not be packed.

    Args:
        graphs: The whole store.
        part: The part that the store is for, if each has one of its own.
        source: Source of all graphs, which are numbered in the store; by default the files that they come from, in
            which they are numbered.
        prefix: Beginning of the places of graphs of a store of graphs that come from no file.
    """
    files = [Path(file) for file in graphs.files]
    for number, info in enumerate(graphs.starts):
        shard = _Shard(graphs, number, info)
        for row, (file, record) in enumerate(zip(shard.keys[FILE], shard.keys[RECORD], strict=True)):
            place = f"{prefix}{record}" if graphs.alone else f"{files[file].name}:{record}"
            if source is None:
                yield PackedOwn(shard, row, str(files[file]), record, place, part)
            else:
                yield PackedOwn(shard, row, source, info + row + 1, place, part)
    if graphs.num_skipped:
        for entry in json.loads((graphs.path / SKIPPED_FILE).read_text(encoding="utf-8")):
            yield Failure(**entry)


@cache
def _domain(name: str) -> Domain:
    for domain in (GRAPHS, *domains()):
        if domain.name == name:
            return domain
    raise ValueError(f"it is one of the {name}, a domain that is not installed")
