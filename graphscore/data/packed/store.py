"""Folder of packed graphs on disk: its index and its shards, of which those that are read are mapped into memory."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphscore.data.packed.columns import Decoder, decode
from graphscore.data.packed.gathered import GatheredGraphs, Pieces
from graphscore.data.packed.index import read_index
from graphscore.data.packed.shards import ShardInfo, Values, open_arrays, open_shard


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

    def read(self, indices: NDArray[np.int64], without: Collection[str] = ()) -> GatheredGraphs:
        """Read graphs by their numbers, in the given order, without attributes of some names."""
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
        kept = [pieces for pieces in found.values() if pieces.decoder.name not in without]
        return GatheredGraphs(kept, self.num_nodes[indices])

    def keys(self, number: int) -> dict[str, list[Any]]:
        """Read the keys of the graphs of a shard, ``None`` for none, see :mod:`graphscore.data.packed.keys`."""
        info, found = self.key_infos[number], dict[str, list[Any]]()
        for values in open_shard(self.path, info):
            slots = range(info.graphs) if values.slots is None else values.slots.tolist()
            offsets = values.offsets
            parts = [
                values.stored[row : row + 1] if offsets is None else values.stored[offsets[row] : offsets[row + 1]]
                for row in range(1 + max(slots))
            ]
            decoded = decode(values.decoder, parts, [])
            found[values.decoder.name] = [None if slot < 0 else decoded[slot] for slot in slots]
        return found

    def _open(self, number: int) -> list[Values]:
        """Open a shard, whose content is checked."""
        opened = open_shard(self.path, self.infos[number])
        # Equal decoders of different shards become the same object.
        opened = [
            values._replace(decoder=self._decoders.setdefault(values.decoder, values.decoder)) for values in opened
        ]
        self._opened[number] = opened
        return opened
