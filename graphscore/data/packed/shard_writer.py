"""Writing of graphs into shards, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.packed.columns import EDGE, NODE, Signed, signed
from graphscore.data.packed.index import SIZES_FILE
from graphscore.data.packed.shards import ShardInfo, open_arrays, write_arrays, write_shard

GRAPHS = 16_384
BYTES = 2**26
"""Limits of a shard: number of graphs, and memory of their tensors in bytes."""


class ShardWriter:
    """Writer of the shards of a task: ``NUMBER-0000.safetensors``, and of the keys of their graphs.

    Args:
        folder: Folder of the store.
        number: Number of the task.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.num_graphs = 0
        self._shards: list[dict[str, Any]] = []
        self._begin()

    def _begin(self) -> None:
        self._graphs: list[list[Signed]] = []
        self._keys: list[list[Signed]] = []
        self._nodes: list[int] = []
        self._edges: list[int] = []
        self._bytes = 0

    def add(self, graph: Data, keys: Mapping[str, Any]) -> None:
        """Add a graph.

        Args:
            graph: The graph.
            keys: Keys of its splits and group, and where it comes from.

        Raises:
            ValueError: If it holds something that cannot be stored.
        """
        content, num_nodes = signed(graph.to_dict()), graph.num_nodes
        if num_nodes is None:
            raise ValueError(f"its attributes do not tell its number of nodes: {sorted(graph.keys())}")
        self._graphs.append(content)
        self._keys.append(signed(keys))
        self._nodes.append(num_nodes)
        self._edges.append(graph.num_edges)
        self._bytes += sum(value.nbytes for _, value in content if isinstance(value, Tensor))
        self.num_graphs += 1
        if len(self._graphs) >= GRAPHS or self._bytes >= BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._graphs:
            return
        name = f"{self.number:06d}-{len(self._shards):04d}"
        made = {"graphs": self._graphs, "keys": self._keys}
        self._shards.append(
            {
                what: write_shard(
                    self.folder / f"{name}-{what}.safetensors", content, self._nodes, self._edges
                ).as_json()
                for what, content in made.items()
            }
        )
        self._begin()

    def close(self) -> list[dict[str, Any]]:
        """Write what is left, and return the entries of all shards in the index."""
        self._flush()
        return self._shards


def write_sizes(folder: Path, keys: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Write the numbers of nodes and edges of all graphs, and return the entry of the file in the index.

    Args:
        folder: Folder of the store.
        keys: Entries of the files of keys, which have the offsets of nodes and edges, too.
    """
    opened = [open_arrays(folder, ShardInfo.of_json(info)) for info in keys]
    sizes = {
        name: torch.cat([arrays[level].diff() for arrays in opened])
        for name, level in (("num_nodes", NODE), ("num_edges", EDGE))
    }
    return write_arrays(folder / SIZES_FILE, sizes, len(sizes["num_nodes"]), []).as_json()
