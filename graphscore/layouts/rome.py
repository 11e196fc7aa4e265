"""Data set of the Rome graphs with good drawings of them; its data card is ``datasets/graph_drawings/README.md``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, embedded_file, with_coordinates
from graphscore.data.formats.npz import TEXT, WHOLE, read_npz

FOLDER, FILE = "graph_drawings", "graph_drawings.npz"
UNIT = 1 / 32
"""Resolution of the stored positions, in lengths of an edge."""
COLLECTIONS = ("rome", "north")
_ARRAYS = {
    "name": (TEXT, 1), "part": (TEXT, 1), "num_nodes": (WHOLE, 1), "num_edges": (WHOLE, 1), "edges": (WHOLE, 2),
    "num_drawings": (WHOLE, 1), "drawings": (WHOLE, 2),
}  # fmt: skip
OTHER = "other"
"""Part of the three Rome graphs that are not connected, which belong to no part of the published split."""


class GraphRecord(NamedTuple):
    """A graph of a collection.

    Attributes:
        name: Name in the collection.
        part: ``"train"``, ``"val"``, ``"test"`` or :data:`OTHER`; North has ``"test"`` alone.
        graph: Graph with both directions of each edge in ``edge_index``, and ``link`` ``[E]``, all 1.
        drawings: Drawings ``[L, N, 2]`` float32, in lengths of an edge; L may be 0.
    """

    name: str
    part: str
    graph: Data
    drawings: torch.Tensor


def read_collection(collection: str, path: str | Path | None = None) -> Iterator[GraphRecord]:
    """Read the graphs of a collection.

    Args:
        collection: ``"rome"`` or ``"north"``.
        path: Data file; by default the embedded one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such collection, or the file is not such a data file.
    """
    if collection not in COLLECTIONS:
        raise ValueError(f"Expected a collection among {COLLECTIONS}, but got {collection!r}")
    path = Path(embedded_file(FOLDER, FILE) if path is None else path)
    wanted = {f"{collection}_{key}": kind for key, kind in _ARRAYS.items()}
    arrays = read_npz(path, wanted, path)
    name, part, nodes, lines, edges, counts, drawings = (arrays[key] for key in wanted)
    ends = np.cumsum(lines, dtype=np.int64)
    stops = np.cumsum(nodes.astype(np.int64) * counts)
    for row in range(len(name)):
        one_way = torch.from_numpy(edges[ends[row] - lines[row] : ends[row]].astype(np.int64)).t()
        size, count = int(nodes[row]), int(counts[row])
        pos = drawings[stops[row] - size * count : stops[row]].astype(np.float32) * UNIT
        yield GraphRecord(
            str(name[row]),
            str(part[row]),
            Data(
                edge_index=torch.cat([one_way, one_way.flip(0)], 1),
                link=torch.ones(2 * one_way.shape[1], dtype=torch.long),
                num_nodes=size,
            ),
            torch.from_numpy(pos).view(count, size, 2),
        )


class RomeDrawings(Dataset):
    """The Rome graphs (10 to 110 nodes) in their published split, with drawings of low stress and few crossings.

    A graph has ``edge_index``, both directions of each edge, ``link`` ``[E]``, all 1, and ``pos`` ``[N, 2]`` float32,
    in lengths of an edge. Drawings of one graph share all tensors but ``pos``. Graphs without a drawing are left out.

    Args:
        path: Data file; by default the embedded one.
        max_nodes: Largest graphs of the training part.
        transform: Applied once to each graph, before it gets positions.

    Attributes:
        name: ``"rome"``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a data file.
    """

    name = "rome"

    def __init__(
        self, path: str | Path | None = None, max_nodes: int | None = None, transform: Transform | None = None
    ) -> None:
        self.transform = transform
        self.max_nodes = max_nodes
        self._records: dict[str, list[GraphRecord]] = {}
        for record in read_collection("rome", path):
            if len(record.drawings):
                self._records.setdefault(record.part, []).append(record)
        self._groups: dict[str, list[list[Data]]] = {}

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        if part not in self._groups:  # built on first use: the tables of pairs of nodes take memory
            records = self._records.get(part, [])
            if part == "train" and self.max_nodes is not None:
                records = [record for record in records if (record.graph.num_nodes or 0) <= self.max_nodes]
            self._groups[part] = [
                with_coordinates(record.graph, record.drawings.unbind(), self.transform) for record in records
            ]
        return self._groups[part]
