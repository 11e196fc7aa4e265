"""Compare drawings of ``graphscore.layout`` with those of networkx: ``python tests/benchmarks/bench_layouts.py``.

Stress (after optimal scaling, over ordered pairs) and crossings on the test part of the Rome graphs, or on the AT&T
graphs of ``--collection north``; means over graphs. The methods take turns on each graph, so that their times, in
seconds of one thread, compare on a busy machine too. ``random`` is our refinement from random starts, without the
model: what the model is worth. Where ``s_gd2`` is installed, which minimises stress by stochastic gradients in compiled
code, it has a row.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import networkx as nx
import numpy as np
import torch
from torch_geometric.data import Data

import graphscore as gs
from graphscore.layouts.distances import shortest_paths
from graphscore.layouts.metrics import METRICS, measure_drawings
from graphscore.layouts.refinement import STEPS, refine
from graphscore.layouts.rome import COLLECTIONS, read_collection

Array = np.ndarray


def by_networkx(method: Callable[..., dict]) -> Callable[[Data, int], Array]:
    """Draw by a layout of networkx."""

    def draw(graph: Data, seed: int) -> Array:
        G = nx.Graph()
        G.add_nodes_from(range(graph.num_nodes))
        G.add_edges_from(graph.edge_index.t().tolist())
        return np.array([*(method(G, seed=seed) if method is nx.spring_layout else method(G)).values()])

    return draw


def by_s_gd2(graph: Data, seed: int) -> Array:
    """Draw by the library ``s_gd2``."""
    import s_gd2  # pyright: ignore[reportMissingImports]

    source, target = graph.edge_index.numpy().astype(np.int32)
    return s_gd2.layout(source, target, random_seed=seed)


def by_model(num: int, refinement: str | None, model: str) -> Callable[[Data, int], Array]:
    """Draw by ``graphscore.layout``, the best of ``num``."""

    def draw(graph: Data, seed: int) -> Array:
        found = gs.layout(graph, tries=num, refine=refinement, seed=seed, scale=None, model=model)
        return np.array([*found.values()])

    return draw


def at_random(num: int) -> Callable[[Data, int], Array]:
    """Refine random starts as drawings of the model are refined."""

    def draw(graph: Data, seed: int) -> Array:
        generator = torch.Generator().manual_seed(seed)
        distances = shortest_paths(graph.edge_index, torch.zeros(graph.num_nodes, dtype=torch.long), 1)
        start = 4 * torch.randn(1, num, graph.num_nodes, 2, generator=generator)
        steps = STEPS + 1000 // graph.num_nodes
        found = refine(start, distances, distances == 1, "crossings", finalists=1, steps=steps, generator=generator)
        return found.pos[0, 0].numpy()

    return draw


def compare_lists(limit: int, seed: int) -> None:
    """Print the milliseconds for a graph, alone and in a list, for training graphs of less than 60 nodes."""
    graphs = [one.graph for one in read_collection("rome") if one.part == "train" and one.graph.num_nodes < 60][:limit]
    gs.layout(graphs[:2], seed=seed)
    for options in ({"refine": "stress"}, {"refine": "crossings"}, {"refine": "crossings", "tries": 4}):
        seconds, found = [0.0, 0.0], []
        for _ in range(2):  # in turn
            calls = (lambda: [gs.layout(graph, seed=seed, **options) for graph in graphs],  # noqa: B023
                     lambda: gs.layout(graphs, seed=seed, **options))  # noqa: B023  # fmt: skip
            for place, call in enumerate(calls):
                started = time.process_time()
                found.append(call())
                seconds[place] += time.process_time() - started
        pairs = zip(*found[:2], strict=True)
        equal = all(all((a[node] == b[node]).all() for node in a) for a, b in pairs)
        alone, together = (1e3 * value / 2 / len(graphs) for value in seconds)
        print(f"{options}: alone {alone:.1f} ms, in a list {together:.1f} ms; equal bit for bit: {equal}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", choices=COLLECTIONS, default="rome")
    parser.add_argument("--part", default="test")
    parser.add_argument("--limit", type=int, help="so many graphs, drawn at random")
    parser.add_argument("--method", nargs="+", help="some of the rows")
    parser.add_argument("--model", default="layout", help="weights of the library, a model file or a run")
    parser.add_argument("--together", action="store_true", help="lists of graphs against one after another, instead")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    methods = {
        "spring": by_networkx(nx.spring_layout),
        "kamada-kawai": by_networkx(nx.kamada_kawai_layout),
        "random, crossings, best of 8": at_random(8),
        "random, crossings, best of 16": at_random(16),
        "model": by_model(1, None, arguments.model),
        "model, stress": by_model(1, "stress", arguments.model),
        "model, crossings": by_model(1, "crossings", arguments.model),
        "model, stress, best of 8": by_model(8, "stress", arguments.model),
        "model, crossings, best of 8": by_model(8, "crossings", arguments.model),
    }
    if find_spec("s_gd2"):
        methods["s_gd2"] = by_s_gd2
    methods = {name: methods[name] for name in arguments.method or methods}
    if arguments.together:
        compare_lists(arguments.limit or 300, arguments.seed)
        return
    graphs = [record.graph for record in read_collection(arguments.collection) if record.part == arguments.part]
    if arguments.limit is not None:
        chosen = np.random.default_rng(arguments.seed).permutation(len(graphs))[: arguments.limit]
        graphs = [graphs[number] for number in chosen]
    seconds, drawings = dict.fromkeys(methods, 0.0), {name: [] for name in methods}
    for number, graph in enumerate(graphs):
        for name, draw in methods.items():
            if not number:
                draw(graph, arguments.seed)  # weights are loaded once
            started = time.process_time()
            pos = draw(graph, arguments.seed)
            seconds[name] += time.process_time() - started
            drawings[name].append(
                Data(edge_index=graph.edge_index, pos=torch.from_numpy(pos), num_nodes=graph.num_nodes)
            )
    load = Path("/proc/loadavg")
    print(f"{len(graphs)} graphs of {arguments.collection}, {arguments.part}; one thread; load "
          f"{load.read_text().split()[0] if load.exists() else 'unknown'}")  # fmt: skip
    print(f"{'':30}{'ms':>8}" + "".join(f"{name:>27}" for name in METRICS))
    for name, items in drawings.items():
        values = measure_drawings(items)
        shown = "".join(f"{values[metric].nanmean():27.3f}" for metric in METRICS)
        print(f"{name:30}{1e3 * seconds[name] / len(graphs):8.1f}{shown}")


if __name__ == "__main__":
    main()
