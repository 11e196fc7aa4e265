"""Time sampling by edges in a batch: ``python tests/benchmarks/bench_generate.py``.

The network of ``small-molecules``, untrained, on 30 molecules of the test part, 6 samples each; medians of interleaved
runs.
"""

from __future__ import annotations

import time
from statistics import median

import torch

from graphscore.experiment.build import build_model, build_sampler
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.datasets import build_dataset
from graphscore.generate.jobs import generate

BUDGETS = (4_000, 10_000, 30_000, 100_000)


def main() -> None:
    """Print the table."""
    config = load_config("small-molecules", ["fields.0.scale=1.4543"])
    templates = [group[0] for group in build_dataset(config).groups("test")[:30]]
    sampler = build_sampler(config, build_model(config).eval())
    seconds: dict[int, list[float]] = {budget: [] for budget in BUDGETS}
    for _ in range(3):
        for budget, seen in seconds.items():
            start = time.perf_counter()
            list(generate(sampler, templates, num=6, max_edges=budget, window=None))
            seen.append(time.perf_counter() - start)
    best = median(seconds[10_000])
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {6 * len(templates)} samples")
    for budget, seen in seconds.items():
        print(f"{budget:>8,} edges: {median(seen):6.2f} s, {median(seen) / best:.2f} of the default's")


if __name__ == "__main__":
    main()
