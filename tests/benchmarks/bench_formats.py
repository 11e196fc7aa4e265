"""Compare file formats for ragged arrays: ``python tests/benchmarks/bench_formats.py``.

Graphs of 20 nodes and 40 edges are written, opened, and read in random batches of 64 as numpy arrays, through each
library that is installed: numpy (``.npy``), safetensors, pyarrow (IPC and parquet), lmdb, zarr.
The arrays of all graphs lie one after the other, with offsets; lmdb has one record for each graph.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

NODES, EDGES, BATCH = 20, 40, 64
Arrays = dict[str, np.ndarray]
Rows = Callable[[str, int], np.ndarray]


def graphs(num: int) -> Arrays:
    """Arrays of all graphs, one after the other."""
    random = np.random.default_rng(0)
    pos = random.standard_normal((num * NODES, 3)).astype(np.float32)
    return {
        "pos": pos,
        "z": random.integers(0, 10, (num * NODES, 1)),
        "edge_index": random.integers(0, NODES, (num * EDGES, 2)),
    }


def length(name: str) -> int:
    """Number of rows of an array in each graph."""
    return EDGES if name == "edge_index" else NODES


def by_offsets(arrays: Any) -> Rows:
    """Read the rows of a graph from arrays in memory or mapped files."""
    return lambda name, graph: arrays[name][graph * length(name) : (graph + 1) * length(name)]


def npy(folder: Path, arrays: Arrays | None) -> Rows | None:
    """Write numpy's ``.npy`` files, or map them."""
    if arrays is not None:
        for name, array in arrays.items():
            np.save(folder / name, array)
        return None
    names = (file.stem for file in folder.iterdir())
    return by_offsets({name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in names})


def safetensors(folder: Path, arrays: Arrays | None) -> Rows | None:
    """Write one file of safetensors, or open it."""
    import torch
    from safetensors.torch import load_file, save_file

    if arrays is not None:
        save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, folder / "a.safetensors")
        return None
    return by_offsets({name: tensor.numpy() for name, tensor in load_file(folder / "a.safetensors").items()})


def arrow_table(arrays: Arrays) -> Any:
    """A table with one list for each graph and column."""
    import pyarrow as pa

    columns = {}
    for name, array in arrays.items():
        step = length(name) * array.shape[1]
        columns[name] = pa.LargeListArray.from_arrays(np.arange(0, array.size + 1, step), array.reshape(-1))
    return pa.table(columns)


def by_arrow(table: Any, width: dict[str, int]) -> Rows:
    """Read the rows of a graph from a table of Arrow."""
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    return lambda name, graph: columns[name][graph].values.to_numpy().reshape(-1, width[name])


WIDTH = {"pos": 3, "z": 1, "edge_index": 2}


def arrow(folder: Path, arrays: Arrays | None) -> Rows | None:
    """Write an IPC file of Arrow, or map it."""
    import pyarrow as pa

    if arrays is not None:
        table = arrow_table(arrays)
        with pa.OSFile(str(folder / "a.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        return None
    return by_arrow(pa.ipc.open_file(pa.memory_map(str(folder / "a.arrow"))).read_all(), WIDTH)


def parquet(folder: Path, arrays: Arrays | None) -> Rows | None:
    """Write a parquet file, or read it whole, since it has no random access."""
    import pyarrow.parquet as pq

    if arrays is not None:
        pq.write_table(arrow_table(arrays), folder / "a.parquet")
        return None
    return by_arrow(pq.read_table(folder / "a.parquet"), WIDTH)


def lmdb(folder: Path, arrays: Arrays | None) -> Rows | None:
    """Write one record for each graph into LMDB, or open it."""
    import lmdb as library

    sizes = [("pos", 12 * NODES, np.float32), ("z", 8 * NODES, np.int64), ("edge_index", 16 * EDGES, np.int64)]
    if arrays is not None:
        rows, num = by_offsets(arrays), len(arrays["pos"]) // NODES
        with library.open(str(folder / "a"), map_size=2**36) as env, env.begin(write=True) as write:
            for graph in range(num):
                write.put(graph.to_bytes(8, "big"), b"".join(rows(name, graph).tobytes() for name, *_ in sizes))
        return None
    read = library.open(str(folder / "a"), readonly=True, lock=False).begin(buffers=True)
    places, start = {}, 0
    for name, size, dtype in sizes:
        places[name], start = (start, size, dtype), start + size

    def rows(name: str, graph: int) -> np.ndarray:
        start, size, dtype = places[name]
        record = read.get(graph.to_bytes(8, "big"))
        return np.frombuffer(record[start : start + size], dtype).reshape(-1, WIDTH[name])

    return rows


def zarr(folder: Path, arrays: Arrays | None) -> Rows | None:
    """Write chunks of zarr, or open them."""
    import zarr as library

    if arrays is not None:
        group = library.open_group(str(folder / "a"), mode="w")
        for name, array in arrays.items():
            made = group.create_array(name, shape=array.shape, chunks=(2**16, array.shape[1]), dtype=array.dtype)
            made[:] = array
        return None
    return by_offsets(library.open_group(str(folder / "a"), mode="r"))


FORMATS = (npy, safetensors, arrow, parquet, lmdb, zarr)


def write_all(format: Callable[[Path, Arrays | None], Rows | None], folder: Path, arrays: Arrays) -> float:
    """Graphs written in a second."""
    started = time.perf_counter()
    format(folder, arrays)
    return len(arrays["pos"]) / NODES / (time.perf_counter() - started)


def read_all(rows: Rows, batches: Iterable[list[int]]) -> None:
    """Read batches of graphs, and join each of their arrays."""
    for batch in batches:
        for name in WIDTH:
            np.concatenate([rows(name, graph) for graph in batch])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=200_000, help="Number of graphs.")
    parser.add_argument("--seconds", type=float, default=5, help="Longest time of reading.")
    given = parser.parse_args()
    arrays = graphs(given.num)
    order = np.random.default_rng(1).permutation(given.num)
    print(f"{given.num:,} graphs of {NODES} nodes and {EDGES} edges, one thread, files cached by the system")
    print(f"{'':12}{'write, graphs/s':>16}{'open, s':>10}{'read, graphs/s':>16}{'MiB':>8}")
    for format in FORMATS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            try:
                write = write_all(format, folder, arrays)
            except ImportError:
                print(f"{format.__name__:12}{'not installed':>16}")
                continue
            started = time.perf_counter()
            rows = format(folder, None)
            assert rows is not None
            opened, done, started = time.perf_counter() - started, 0, time.perf_counter()
            while done + BATCH <= given.num and time.perf_counter() - started < given.seconds:
                read_all(rows, [order[done : done + BATCH].tolist()])
                done += BATCH
            speed = done / (time.perf_counter() - started)
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
            print(f"{format.__name__:12}{write:16,.0f}{opened:10.3f}{speed:16,.0f}{size:8.0f}")


if __name__ == "__main__":
    main()
