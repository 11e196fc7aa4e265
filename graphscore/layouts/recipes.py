"""Recipe of the drawings of the data set ``rome``; the graphs themselves are those of the embedded file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.data.formats.npz import write_npz
from graphscore.layouts.distances import shortest_paths
from graphscore.layouts.refinement import refine
from graphscore.layouts.rome import COLLECTIONS, FILE, UNIT, GraphRecord, read_collection
from graphscore.runtime.workers import map_in_workers

STARTS, KEEP, CHUNK = 4, 2, 4
STEPS, ROUNDS, PRICE = 70, 12, 2.0


def build(
    out: str | Path,
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    source: str | Path | None = None,
) -> tuple[Path]:
    """Draw anew the Rome graphs that have drawings, and write the data file.

    Args:
        out: Folder of the file.
        num_workers: Number of processes; 0 for one per CPU core.
        progress: Called with (graphs done, total).
        source: Data file with the graphs; by default the embedded one.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    collections = {name: [*read_collection(name, source)] for name in COLLECTIONS}
    rome = collections["rome"]
    wanted = [number for number, record in enumerate(rome) if len(record.drawings)]
    # Graphs of about equal size are drawn together.
    wanted.sort(key=lambda number: rome[number].graph.num_nodes or 0)
    chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)]
    tasks = [[rome[number] for number in chunk] for chunk in chunks]
    done = 0
    collections["rome"] = [record._replace(drawings=record.drawings[:0]) for record in rome]
    with closing(map_in_workers(draw, tasks, num_workers)) as made:
        for chunk, drawings in zip(chunks, made, strict=True):
            for number, pos in zip(chunk, drawings, strict=True):
                collections["rome"][number] = rome[number]._replace(drawings=pos)
            done += len(chunk)
            if progress is not None:
                progress(done, len(wanted))
    return (write_collections(collections, out / FILE),)


def draw(records: Sequence[GraphRecord]) -> list[Tensor]:
    """Draw graphs: majorise random starts, choose the best by stress and crossings, and remove crossings.

    Returns:
        Drawings ``[2, N, 2]`` of each graph, centered, in lengths of an edge.
    """
    batch = Batch.from_data_list([record.graph for record in records])
    distances = shortest_paths(batch.edge_index, batch.batch, len(records))
    # The same drawings for the same graphs, whatever their number.
    generator = torch.Generator().manual_seed(sum(record.graph.num_edges for record in records))
    start = 4 * torch.randn(len(records), STARTS, distances.shape[1], 2, generator=generator)
    found = refine(
        start,
        distances,
        distances == 1,
        "crossings",
        keep=KEEP,
        short=0,
        steps=STEPS,
        rounds=ROUNDS,
        price=PRICE,
        generator=generator,
    ).pos
    drawings = [pos[:, : record.graph.num_nodes] for pos, record in zip(found, records, strict=True)]
    return [pos - pos.mean(1, keepdim=True) for pos in drawings]


def write_collections(collections: dict[str, list[GraphRecord]], path: Path) -> Path:
    """Write the data file of :func:`~graphscore.layouts.rome.read_collection`."""
    arrays = {f"{name}_{key}": value for name, records in collections.items() for key, value in _arrays(records)}
    write_npz(path, arrays)
    return path


def _arrays(records: Sequence[GraphRecord]) -> Iterator[tuple[str, np.ndarray]]:
    both = ((record.graph.edge_index, record.graph.num_edges // 2) for record in records)
    edges = [index[:, :count].t().numpy() for index, count in both if index is not None]
    yield "name", np.array([record.name for record in records])
    yield "part", np.array([record.part for record in records])
    yield "num_nodes", np.array([record.graph.num_nodes for record in records], dtype=np.uint8)
    yield "num_edges", np.array([len(pairs) for pairs in edges], dtype=np.uint16)
    yield "edges", np.concatenate(edges).astype(np.uint8)
    yield "num_drawings", np.array([len(record.drawings) for record in records], dtype=np.uint8)
    rows = [(record.drawings / UNIT).round().reshape(-1, 2).to(torch.int16).numpy() for record in records]
    yield "drawings", np.concatenate(rows)
