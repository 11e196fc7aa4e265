"""Memory and speed of training on graphs of 10 and 400 nodes: ``python tests/benchmarks/bench_budget.py``.

Trains an EGNN on complete graphs, 19 small ones for each large one, twice with the same memory: by steps of as few
graphs as fit if all are large, and by steps of 64 graphs in micro-batches of the memory of so many large graphs. Each
training is a process of its own. Prints graphs per second and their ratio, and the peak memory of the process beside
what was predicted: what it has before the first step, plus the micro-batch.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from torch_geometric.data import Data

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import Config, load_config
from graphscore.experiment.training.build import build_task
from graphscore.experiment.training.run import train_model
from graphscore.train.engine.module import TaskModule
from graphscore.train.memory import measure_memory
from graphscore.train.metrics import peak_memory
from graphscore.train.parts import sizes_of

CONFIG = """
data: {dataset: {name: given}}
fields: [{name: pos, width: 3, zero_mean: true, scale: 1.0, sde: {name: edm}}]
network: {backbone: {name: BACKBONE, hidden_channels: 64, num_layers: 4}}
training: {max_steps: 1, log_every: 1, validate_every: 1000, checkpoint_every: 1000, memory_gb: null}
"""


def complete(num_nodes: int, seed: int) -> Data:
    nodes = torch.arange(num_nodes)
    pairs = torch.cartesian_prod(nodes, nodes)
    pos = torch.randn(num_nodes, 3, generator=torch.Generator().manual_seed(seed))
    return Data(pos=pos, edge_index=pairs[pairs[:, 0] != pairs[:, 1]].T.contiguous())


def make_graphs() -> list[Data]:
    return [complete(400 if number % 20 == 0 else 10, number) for number in range(200)]


def make_config(backbone: str, *changes: str) -> Config:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mix.yaml"
        path.write_text(CONFIG.replace("BACKBONE", backbone))
        return load_config(path, changes)


def train(backbone: str, changes: list[str]) -> None:
    """Train in this process, and print the memory before the first step, the peak and the graphs per second."""
    before: list[int] = []
    step = TaskModule.training_step

    def watched(self: TaskModule, *arguments: object) -> None:
        before or before.append(peak_memory(torch.device("cpu")))
        step(self, *arguments)  # type: ignore[arg-type]

    TaskModule.training_step = watched  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        train_model(make_config(backbone, *changes), folder, data={"train": make_graphs()}, progress=False)
        with (Path(folder) / "logs" / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))[1:]
    seconds = sum(1 / float(row["graphs_per_second"]) for row in rows)
    print(json.dumps([before[0], peak_memory(torch.device("cpu")), len(rows) / seconds]))


def run(backbone: str, *changes: str) -> tuple[int, int, float]:
    command = [sys.executable, __file__, "--backbone", backbone, "--train", *changes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="egnn")
    parser.add_argument("--large", type=int, default=2, help="large graphs that the memory holds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.backbone, options.train)
        return
    graphs, config = make_graphs(), make_config(options.backbone)
    task, sizes = build_task(config, build_model(config)), sizes_of(graphs)
    model = measure_memory(task, graphs, sizes, torch.device("cpu"))
    limit = model.fixed + 1.01 * options.large * float(model.of_graphs(sizes).max())
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {options.backbone}; {limit / 1e9:.2f} GB")
    fixed = [f"training.batch_size={options.large}", "training.max_steps=200"]
    budget = ["training.batch_size=64", "training.max_steps=7", f"training.memory_gb={limit / 1e9}"]
    speeds: dict[str, list[float]] = {"fixed": [], "budget": []}
    for _ in range(options.rounds):
        for name, changes in (("fixed", fixed), ("budget", budget)):
            before, peak, speed = run(options.backbone, *changes)
            speeds[name].append(speed)
            share = peak / (before + limit)
            print(f"{name:7}{speed:8.1f} graphs/s  peak {peak / 1e9:.2f} GB, {share:.2f} of the prediction", flush=True)
    print(f"budget / fixed: {median(speeds['budget']) / median(speeds['fixed']):.2f} times the graphs/s")


if __name__ == "__main__":
    main()
