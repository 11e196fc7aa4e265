"""Packed graphs: a folder of memory-mapped shards, read like a list of PyG graphs of any number.

Many processes can read a store at once, and pages of the files are shared by them. Made by
:func:`graphscore.data.packed.packing.pack`, or ``graphscore data pack``. A file is data: reading runs no code from it.

The folder holds ``index.json``, the files of the shards, ``sizes.safetensors`` with the numbers of nodes and edges of
all graphs, and ``skipped.json`` if records could not be packed.

The format was chosen by measurement, of 200,000 graphs of 20 nodes and 40 edges in random batches of 64
(``python tests/benchmarks/bench_formats.py``, one core of an AMD EPYC): arrays with offsets in safetensors give 535,000
graphs a second and are opened in 0.013 s; ``.npy`` files 502,000, in 0.001 s; lists in an IPC file of Arrow 140,000, in
0.5 s; in parquet, read whole, 114,000; LMDB, a record for each graph, 162,000 in twice the space; chunks of zarr 158.
Writing is slowest with safetensors, at 118,000 graphs a second, which is still far from what limits packing. Of the two
that read fast, safetensors keeps all arrays of a shard in one file, which is written, checked and named as a whole, and
takes no file descriptor while it is mapped, and the library uses it for models already.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.packed.columns import Column
from graphscore.data.packed.gathered import GatheredGraphs
from graphscore.data.packed.store import Store
from graphscore.data.readers import Record

_AT_ONCE = 1024
"""Graphs that are read together in an iteration."""


class PackedGraphs(Sequence[Data]):
    """Graphs of a packed store as a sequence, read from disk when they are asked for.

    ``graphs[3]`` is a graph, ``graphs[:100]`` and :meth:`select` give a part of the same kind without reading
    anything. PyTorch's loaders read whole batches at once by ``__getitems__``. Each graph read has memory of its own.
    It can be pickled, for worker processes, which open the files again.

    Args:
        path: Folder of the store.

    Raises:
        FileNotFoundError: If the folder holds no packed graphs.
        ValueError: If a file is missing or has another size than when it was written; the message names it. The content
            of a shard is checked when it is first read.
    """

    def __init__(self, path: str | Path) -> None:
        self._store = Store(Path(path))
        self._indices: NDArray[np.int64] | None = None
        self._without: frozenset[str] = frozenset()

    @property
    def path(self) -> Path:
        """Folder of the store."""
        return self._store.path

    @property
    def num_nodes(self) -> NDArray[np.int64]:
        """Number of nodes of each graph ``[G]``, known without reading the graphs."""
        return self._chosen(self._store.num_nodes)

    @property
    def num_edges(self) -> NDArray[np.int64]:
        """Number of edges of each graph ``[G]``, known without reading the graphs."""
        return self._chosen(self._store.num_edges)

    @property
    def num_skipped(self) -> int:
        """Number of records that could not be packed, which ``skipped.json`` lists."""
        return self._store.index["num_skipped"]

    @property
    def prepared(self) -> dict[str, Any] | None:
        """Description of the :class:`~graphscore.data.preparation.Preparation` of the graphs, if there was one."""
        return self._store.index["prepared"]

    def _chosen(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        return values if self._indices is None else values[self._indices]

    def __len__(self) -> int:
        return len(self._store) if self._indices is None else len(self._indices)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, {len(self):,} graphs)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.path, self._store.index["checksum"], self._indices, self._without)

    @overload
    def __getitem__(self, index: int) -> Data: ...

    @overload
    def __getitem__(self, index: slice) -> PackedGraphs: ...

    def __getitem__(self, index: int | slice) -> Data | PackedGraphs:
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: ArrayLike) -> GatheredGraphs:
        """Read graphs by their numbers at once.

        Raises:
            IndexError: If there is no graph of one of these numbers.
            ValueError: If a shard is damaged.
        """
        return self._store.read(self._numbers(indices), self._without)

    def __iter__(self) -> Iterator[Data]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self.__getitems__(np.arange(start, min(start + _AT_ONCE, len(self))))

    def _numbers(self, indices: ArrayLike) -> NDArray[np.int64]:
        """Numbers in the store of graphs by their numbers in this sequence."""
        chosen = np.asarray(indices)
        if chosen.size and chosen.dtype.kind not in "iu":
            raise TypeError(f"Expected numbers of graphs, but got {chosen.dtype}")
        chosen = chosen.astype(np.int64).reshape(-1)
        outside = (chosen < -len(self)) | (chosen >= len(self))
        if outside.any():
            raise IndexError(f"Expected numbers of graphs below {len(self)}, but got {chosen[outside][0]}")
        chosen = np.where(chosen < 0, chosen + len(self), chosen)
        return chosen if self._indices is None else self._indices[chosen]

    def select(self, indices: ArrayLike) -> PackedGraphs:
        """Choose graphs by their numbers, in the given order, without reading them.

        Raises:
            IndexError: If there is no graph of one of these numbers.
        """
        chosen = copy.copy(self)
        chosen._indices = self._numbers(indices)
        return chosen

    def without(self, names: Collection[str]) -> PackedGraphs:
        """Leave out attributes of some names."""
        chosen = copy.copy(self)
        chosen._without = self._without | frozenset(names)
        return chosen

    def __copy__(self) -> PackedGraphs:
        made = PackedGraphs.__new__(PackedGraphs)
        made.__dict__.update(self.__dict__)
        return made

    @property
    def files(self) -> list[str]:
        """Files that the graphs come from."""
        return self._store.index["files"]

    @property
    def alone(self) -> bool:
        """True if the graphs come from a single file, in which their numbers are enough to tell them apart."""
        return self._store.index["alone"]

    @property
    def starts(self) -> list[int]:
        """Number of the first graph of each shard."""
        return self._store.starts[:-1].tolist()

    def keys(self, shard: int) -> dict[str, list[Any]]:
        """Read the keys of the graphs of a shard, see :mod:`graphscore.data.packed.keys`."""
        return self._store.keys(shard)

    @property
    def columns(self) -> list[list[Column]]:
        """Columns of each shard, from the index."""
        return [info.columns for info in self._store.infos]

    def common(self) -> set[str]:
        """Names of the attributes that all graphs have."""
        everywhere = (
            {column.name for column in columns if column.everywhere} - self._without for columns in self.columns
        )
        common = set.intersection(*everywhere)
        others = {column.name for columns in self.columns for column in columns} - self._without - common
        if not others:
            return common
        # Some graphs of the store lack these, but those chosen may all have them.
        for start in range(0, len(self), _AT_ONCE):
            for graph in self.__getitems__(np.arange(start, min(start + _AT_ONCE, len(self)))):
                others &= set(graph.keys())
            if not others:
                break
        return common | others

    def rows(self, name: str, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Read one attribute of the graphs from ``start`` to before ``stop``, without making them.

        Returns:
            Values of all graphs, one after the other along the first dimension, and the number of rows of each.

        Raises:
            ValueError: If a graph lacks it, or the values differ in more than their rows.
        """
        return self._store.read(self._numbers(np.arange(start, min(stop, len(self)))), self._without).rows(name)

    def verify(self) -> None:
        """Check the content of all files.

        Raises:
            ValueError: If a file is missing or altered; the message names it.
        """
        store = self._store
        for info in (*store.infos, *store.key_infos, store.sizes_info):
            info.check_content(store.path)


def read_packed(path: Path) -> Iterator[Record]:
    """Read the graphs of a store one by one; a reader like those of files.

    Raises:
        ValueError: If a file is damaged, or the graphs were transformed when they were packed.
    """
    graphs = PackedGraphs(path)
    if graphs.prepared is not None and graphs.prepared["transforms"]:
        names = ", ".join(transform["name"] for transform in graphs.prepared["transforms"])
        raise ValueError(f"The graphs in {path} were packed to train with the transforms {names}: read their files")
    for number, graph in enumerate(graphs):
        yield f"graph {number}", lambda graph=graph: graph


def _reopen(path: Path, checksum: str, indices: NDArray[np.int64] | None, without: frozenset[str]) -> PackedGraphs:
    """Open a store in another process."""
    graphs = PackedGraphs(path)
    if graphs._store.index["checksum"] != checksum:
        raise ValueError(f"The packed graphs in {path} were replaced while they were in use")
    graphs._indices, graphs._without = indices, without
    return graphs
