"""Measure how time and memory grow with the points of a cloud: ``python tests/benchmarks/bench_cloud_scale.py``.

One cloud on a sphere goes through a training step (noise, neighbors, network, derivatives, optimiser) and a sampling
step (one evaluation of the denoiser and a step towards the data). Neighbors are found anew from the noisy points.
Seconds by the processor's clock, the faster of two; the exponent is the slope of a line through the logarithms; memory
is the largest of the process so far. Each network runs in its own process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Batch, Data

import graphscore as gs
from graphscore.nn import BACKBONES, NearestNeighbors

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
NETWORKS = {
    "latent-transformer": {"hidden_channels": 96, "num_layers": 4},
    "egnn": {"hidden_channels": 32, "num_layers": 3},
    "equivariant-transformer": {"hidden_channels": 32, "num_layers": 2},
}
LEVEL = 0.5


def sphere(num_points: int) -> Batch:
    """Points on a unit sphere."""
    pos = torch.nn.functional.normalize(torch.randn(num_points, 3), dim=1)
    return Batch.from_data_list([Data(pos=pos, edge_index=torch.empty(2, 0, dtype=torch.long))])


def fastest(call: Callable[[], object]) -> float:
    """Seconds of the faster of two calls."""
    times = []
    for _ in range(2):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return min(times)


def measure(name: str, sizes: tuple[int, ...], seed: int) -> None:
    """Print the table of a network."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    process = gs.ForwardProcess({gs.Field("pos", width=3, zero_mean=True, scale=0.58): gs.VESDE(sigma=25.0)})
    network = gs.ScoreNetwork(BACKBONES[name](**NETWORKS[name]), process, neighbors=NearestNeighbors(8))
    model = gs.Denoiser(network, process)
    optimizer = torch.optim.AdamW(model.parameters())
    _, sde = next(iter(process))
    t = sde.time(torch.full((1,), LEVEL, dtype=torch.float64))
    sampler = gs.HeunSampler(model, torch.tensor([float(t), float(t) / 2], dtype=torch.float64))
    seconds = []
    print(f"{name}: {sum(p.numel() for p in model.parameters()):,} parameters, 8 nearest neighbors")
    print(f"{'points':>9}{'training step, s':>18}{'sampling step, s':>18}{'memory, GiB':>13}")
    for size in sizes:
        batch = sphere(size)

        def train(batch: Batch = batch) -> None:
            optimizer.zero_grad()
            model.loss(batch, t=t).backward()
            optimizer.step()

        def sample(batch: Batch = batch) -> None:
            sampler(batch)

        seconds.append((fastest(train), fastest(sample)))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{size:9,}{seconds[-1][0]:18.2f}{seconds[-1][1]:18.2f}{memory:13.2f}", flush=True)
    slopes = np.polyfit(np.log(sizes), np.log(np.array(seconds)), 1)[0]
    print(f"{'exponent':>9}{slopes[0]:18.2f}{slopes[1]:18.2f}\n", flush=True)


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--points", nargs="+", type=int, default=SIZES)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    load = Path("/proc/loadavg")
    print(f"one thread; load {load.read_text().split()[0] if load.exists() else 'unknown'}\n")
    for name in arguments.network:
        run = multiprocessing.get_context("spawn").Process(
            target=measure, args=(name, tuple(arguments.points), arguments.seed)
        )
        run.start()
        run.join()


if __name__ == "__main__":
    main()
