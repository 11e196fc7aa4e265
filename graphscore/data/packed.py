"""Packed graphs: a folder of memory-mapped shards, read like a list of PyG graphs of any number.

Many processes can read a store at once, and pages of the files are shared by them. Made by
:func:`graphscore.data.packing.pack`, or ``graphscore data pack``. A file is data: reading runs no code from it.

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

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch_geometric.data import Data

from graphscore.data.columns import Decoder
from graphscore.data.gathered import GatheredGraphs, Pieces
from graphscore.data.index import read_index
from graphscore.data.shards import ShardInfo, Values, open_arrays, open_shard

_AT_ONCE = 1024
"""Graphs that are read together in an iteration."""


class Store:
    """Folder of packed graphs: its index, and its shards, which are opened when they are first read.

    Args:
        path: The folder.

    Raises:
        FileNotFoundError: If it holds no index.
        ValueError: If the index cannot be read, or a file is missing or has another size.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.index = path, read_index(path)
        self.infos = [ShardInfo.of_json(values["graphs"]) for values in self.index["shards"]]
        self.key_infos = [ShardInfo.of_json(values["keys"]) for values in self.index["shards"]]
        self.sizes_info = ShardInfo.of_json(self.index["sizes"])
        for info in (*self.infos, *self.key_infos, self.sizes_info):
            info.check_size(path)
        self.starts = np.cumsum([0, *(info.graphs for info in self.infos)])
        sizes = open_arrays(path, self.sizes_info)
        self.num_nodes, self.num_edges = (sizes[name].numpy() for name in ("num_nodes", "num_edges"))
        self._opened: list[list[Values] | None] = [None] * len(self.infos)
        self._decoders: dict[Decoder, Decoder] = {}

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, indices: NDArray[np.int64]) -> GatheredGraphs:
        """Read graphs by their numbers, in the given order."""
        order = np.argsort(indices, kind="stable")  # neighbours in a file are read together
        shards = np.searchsorted(self.starts, indices[order], side="right") - 1
        rows = indices[order] - self.starts[shards]
        found: dict[int, Pieces] = {}
        for place, shard, row in zip(order.tolist(), shards.tolist(), rows.tolist(), strict=True):
            for values in self._opened[shard] or self._open(shard):
                decoder, stored, offsets, slots, shapes = values
                slot = row if slots is None else slots[row]
                if slot < 0:
                    continue
                pieces = found.get(id(decoder))
                if pieces is None:
                    pieces = found[id(decoder)] = Pieces(decoder, [], [], [])
                pieces.places.append(place)
                pieces.parts.append(
                    stored[slot : slot + 1] if offsets is None else stored[offsets[slot] : offsets[slot + 1]]
                )
                if shapes is not None:
                    pieces.shapes.append(shapes[slot].tolist())
        return GatheredGraphs(list(found.values()), self.num_nodes[indices])

    def _open(self, number: int) -> list[Values]:
        """Open a shard, whose content is checked."""
        opened = open_shard(self.path, self.infos[number])
        # Equal decoders of different shards become the same object.
        opened = [
            values._replace(decoder=self._decoders.setdefault(values.decoder, values.decoder)) for values in opened
        ]
        self._opened[number] = opened
        return opened


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
        return _reopen, (self.path, self._store.index["checksum"], self._indices)

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
        return self._store.read(self._numbers(indices))

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
        chosen = PackedGraphs.__new__(PackedGraphs)
        chosen._store, chosen._indices = self._store, self._numbers(indices)
        return chosen

    def verify(self) -> None:
        """Check the content of all files.

        Raises:
            ValueError: If a file is missing or altered; the message names it.
        """
        store = self._store
        for info in (*store.infos, *store.key_infos, store.sizes_info):
            info.check_content(store.path)


def _reopen(path: Path, checksum: str, indices: NDArray[np.int64] | None) -> PackedGraphs:
    """Open a store in another process."""
    graphs = PackedGraphs(path)
    if graphs._store.index["checksum"] != checksum:
        raise ValueError(f"The packed graphs in {path} were replaced while they were in use")
    graphs._indices = indices
    return graphs
