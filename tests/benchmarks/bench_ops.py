"""Time per-graph sums on both back ends, forward and backward: ``python tests/benchmarks/bench_ops.py``.

Needs torch-scatter. Prints medians of interleaved runs and their ratio, for nodes to graphs and for edges to nodes, by
index and, as these are sorted, by segments.
"""

from __future__ import annotations

from statistics import median

import torch
from torch.utils.benchmark import Timer

from graphscore import ops
from graphscore.testing import ragged_batch


def cases() -> dict[str, tuple[torch.Tensor, torch.Tensor, int]]:
    """Values, index and number of targets: molecules of 10 to 25 atoms, and point clouds of 200."""
    found = {}
    for name, sizes in (("64 graphs of 10-25", [10 + i % 16 for i in range(64)]), ("8 graphs of 200", [200] * 8)):
        batch = ragged_batch(sizes)
        nodes = torch.randn(batch.num_nodes, 96, requires_grad=True)
        edges = torch.randn(batch.num_edges, 96, requires_grad=True)
        found[f"{name}: nodes to graphs"] = (nodes, batch.batch, batch.num_graphs)
        found[f"{name}: edges to nodes"] = (edges, batch.edge_index[1], batch.num_nodes)
    return found


def step(backend: str, values: torch.Tensor, index: torch.Tensor, num: int, ptr: torch.Tensor | None) -> None:
    """Sum, and differentiate the sum."""
    values.grad = None
    with ops.use_backend(backend):
        sums = ops.sum(values, index, num) if ptr is None else ops.segment_sum(values, index, ptr)
        sums.square().sum().backward()


def main() -> None:
    """Print the table."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; milliseconds, forward and backward")
    print(f"{'':54}{'native':>10}{'scatter':>10}{'scatter/native':>16}")
    pointed = {}
    for name, (values, index, num) in cases().items():
        index, order = index.sort()
        values = values[order].detach().requires_grad_()
        pointed[name] = (values, index, num, None)
        pointed[f"{name}, segments"] = (values, index, num, torch.searchsorted(index, torch.arange(num + 1)))
    for name, (values, index, num, ptr) in pointed.items():
        times: dict[str, list[float]] = {"native": [], "scatter": []}
        for _ in range(7):
            for backend, seen in times.items():
                scope = {"step": step, "backend": backend, "values": values, "index": index, "num": num, "ptr": ptr}
                seen.append(Timer("step(backend, values, index, num, ptr)", globals=scope).timeit(20).mean * 1e3)
        native, scatter = median(times["native"]), median(times["scatter"])
        print(f"{name:54}{native:10.3f}{scatter:10.3f}{scatter / native:16.2f}")


if __name__ == "__main__":
    main()
