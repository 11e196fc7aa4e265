"""Time what comes before the first step of a training on a large file: ``python tests/benchmarks/bench_startup.py``.

A file of 200,000 graphs of 20 nodes is read, split and measured, as ``graphscore train`` does; at the second start from
the cache. Seconds, and those of the processor, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from graphscore.data import FileDataset
from graphscore.experiment.trained_on import TrainedOn
from graphscore.experiment.training.split_record import record_split
from graphscore.fields import measure_scale
from graphscore.generate.inputs import categories
from graphscore.train.parts import sizes_of

NODES, EDGES = 20, 40


def write(path: Path, num: int) -> None:
    """Write a file of graphs."""
    random = np.random.default_rng(0)
    first = np.repeat(np.arange(num) * NODES, EDGES)
    np.savez(
        path,
        ptr=np.arange(num + 1) * NODES,
        pos=random.standard_normal((num * NODES, 3)).astype(np.float32),
        kind=random.integers(0, 9, num * NODES),
        edge_index=random.integers(0, NODES, (2, num * EDGES)) + first,
    )


def start(path: Path) -> None:
    """Do what a training does with its data before the first step."""
    data = FileDataset(path)
    graphs = data.split("train")
    measure_scale(graphs, "pos", zero_mean=True)
    categories(graphs, ["kind"])
    record_split(data)
    TrainedOn.measure(data, "files", graphs)
    sizes_of(graphs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--num", type=int, default=200_000, help="Number of graphs.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        os.environ["GRAPHSCORE_DATA_CACHE"] = name
        write(path := Path(name) / "graphs.npz", given.num)
        for which in ("first", "second", "third"):
            wall, cpu = time.perf_counter(), time.process_time()
            start(path)
            print(f"{which:8}{time.perf_counter() - wall:8.2f} s {time.process_time() - cpu:8.2f} s of the processor")


if __name__ == "__main__":
    main()
