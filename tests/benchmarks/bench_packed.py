"""Time packed graphs against a list in memory: ``python tests/benchmarks/bench_packed.py``.

Graphs of 20 nodes and 40 edges are packed by one process, opened, and read in shuffled batches of 64 by processes of
their own, one with the store and one with the list, in turns. ``--num`` shrinks it: a million graphs as a list take 6
GB.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import torch
from torch_geometric.data import Batch, Data

from graphscore.data.packed.gathered import collate
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.packed.packing import pack

NODES, EDGES, BATCH, TURNS = 20, 40, 64, 10


class Repeated(Sequence[Data]):
    """Some thousand different graphs, over and over."""

    def __init__(self, num: int) -> None:
        random = torch.Generator().manual_seed(0)
        self.num = num
        self.graphs = [
            Data(
                pos=torch.randn(NODES, 3, generator=random),
                x=torch.randint(0, 10, (NODES,), generator=random),
                edge_index=torch.randint(0, NODES, (2, EDGES), generator=random),
                y=torch.randn(1, generator=random),
            )
            for _ in range(min(num, 10_000))
        ]

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> Data:  # pyright: ignore[reportIncompatibleMethodOverride]
        if index >= self.num:
            raise IndexError
        return self.graphs[index % len(self.graphs)]


def resident() -> float:
    """Most memory that this process has had, in MiB; on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


def batches(num: int) -> Iterator[list[int]]:
    """Shuffled batches of an epoch."""
    order = torch.randperm(num, generator=torch.Generator().manual_seed(0))
    return (part.tolist() for part in order.split(BATCH))


def serve(connection: Connection, folder: Path, kind: str) -> None:
    """Read a share of the batches of an epoch each time that it is asked for."""
    torch.set_num_threads(1)
    before = resident()
    started = time.perf_counter()
    packed = PackedGraphs(folder)
    opened = time.perf_counter() - started
    graphs = list(packed) if kind == "list" else packed
    connection.send(opened)
    waiting = batches(len(packed))
    while (count := connection.recv()) > 0:
        started = time.perf_counter()
        for _, indices in zip(range(count), waiting, strict=False):
            if isinstance(graphs, list):
                Batch.from_data_list([graphs[index] for index in indices])
            elif kind == "store":
                collate(graphs.__getitems__(indices))
            else:
                Batch.from_data_list(list(graphs.__getitems__(indices)))
        connection.send(time.perf_counter() - started)
    connection.send((before, resident()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--num", type=int, default=1_000_000, help="Number of graphs.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder, graphs = Path(name) / "packed", Repeated(given.num)
        started = time.perf_counter()
        pack(graphs, folder)
        packing = time.perf_counter() - started
        size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
        print(f"pack     {given.num / packing:,.0f} graphs/s; {size:,.0f} MiB")
        kinds, times = ("store", "store, as list", "list"), {}
        context = get_context("spawn")
        pipes, processes = {}, []
        for kind in kinds:
            pipes[kind], there = context.Pipe()
            processes.append(context.Process(target=serve, args=(there, folder, kind)))
            processes[-1].start()
        opened = [pipes[kind].recv() for kind in kinds]
        print(f"open     {median(opened):.3f} s")
        share = -(-given.num // BATCH // TURNS)
        for _ in range(TURNS):
            for kind in kinds:
                pipes[kind].send(share)
                times.setdefault(kind, []).append(pipes[kind].recv())
        for kind, process in zip(kinds, processes, strict=True):
            pipes[kind].send(0)
            before, after = pipes[kind].recv()
            process.join()
            ratio = median(there / here for there, here in zip(times["list"], times[kind], strict=True))
            print(
                f"{kind:15} {given.num / sum(times[kind]):9,.0f} graphs/s, {ratio:.2f} times the speed of the list; "
                f"{after:,.0f} MiB resident at most, {before:,.0f} before"
            )


if __name__ == "__main__":
    main()
