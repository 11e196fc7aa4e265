"""Time training steps on batches that change, as in use: ``python tests/benchmarks/bench_training.py``.

The network of ``small-molecules`` on 60 batches of 32 molecules, no two of the same numbers of nodes and edges: the
work along edges written plainly, block by block, and block by block with products at the precision "medium". Medians
of interleaved rounds, freed memory kept.
"""

from __future__ import annotations

import time
from statistics import median
from unittest import mock

import torch
from torch_geometric.data import Batch

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.training.build import build_task
from graphscore.nn.layers import messages
from graphscore.runtime import settings as runtime

NUM_BATCHES, BATCH_SIZE, ROUNDS = 60, 32, 5
# Name, whether block by block, and the precision of products.
VARIANTS = (("plain", False, "highest"), ("blocks", True, "highest"), ("blocks, medium", True, "medium"))


def main() -> None:
    """Print the table."""
    runtime.keep_freed_memory()
    config = load_config("small-molecules", ["fields.0.scale=1.4543"])
    graphs, places = build_dataset(config).split("train"), torch.Generator().manual_seed(0)
    batches = [
        Batch.from_data_list([graphs[i] for i in torch.randperm(len(graphs), generator=places)[:BATCH_SIZE].tolist()])
        for _ in range(NUM_BATCHES)
    ]
    task = build_task(config, build_model(config))
    # A learning rate of zero: all rounds do the same work.
    optimizer = torch.optim.AdamW(task.parameters(), lr=0.0, fused=True)

    def steps() -> float:
        start = time.perf_counter()
        for number, batch in enumerate(batches):
            optimizer.zero_grad()
            (task(batch, number).loss / BATCH_SIZE).backward()
            optimizer.step()
        return (time.perf_counter() - start) / NUM_BATCHES

    seen: dict[str, list[float]] = {name: [] for name, *_ in VARIANTS}
    for _ in range(ROUNDS):
        for name, in_blocks, precision in VARIANTS:
            torch.set_float32_matmul_precision(precision)
            form = messages.in_blocks if in_blocks else lambda *_: False
            with mock.patch.object(messages, "in_blocks", form):
                seen[name].append(steps())
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, seed 0; milliseconds a training step")
    for name, times in seen.items():
        print(f"{name:16}{1e3 * median(times):8.1f}{median(times) / median(seen['blocks']):8.2f} of that by blocks")


if __name__ == "__main__":
    main()
