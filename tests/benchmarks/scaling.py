"""The cost of EGNN against the number of edges, from 10 to 5,000 nodes."""

from __future__ import annotations

from cases import Graphs, complete, molecules, nearest
from contenders import build
from measure import interleaved
from rich.table import Table

from graphscore.testing import observed_order

NAME = "egnn-5x96"
COMPLETE = (10, 20, 50, 100, 200)
NEAREST = (500, 1000, 2000, 5000)
DEGREE = 32
FEWEST_EDGES = 5_000  # below, launching operators takes much of the time


def graphs(nodes: int) -> Graphs:
    """One graph: complete up to 200 nodes, of the 32 nearest neighbors beyond."""
    graph = molecules((nodes,))
    return complete(graph) if nodes in COMPLETE else nearest(graph, DEGREE)


def table(rounds: int, seconds: float, sizes: tuple[int, ...] = COMPLETE + NEAREST) -> Table:
    """Measure, and fit ``time ~ edges ** exponent`` by least squares."""
    contender = build(NAME, "fp32")
    batches = {nodes: graphs(nodes) for nodes in sizes}
    inputs = {nodes: contender.prepare(batch) for nodes, batch in batches.items()}
    tasks = {}
    for nodes in sizes:
        tasks[nodes, "forward"] = lambda n=nodes: contender.forward(inputs[n])
        tasks[nodes, "train"] = lambda n=nodes: contender.train(inputs[n])
    for task in tasks.values():
        task()
    times = interleaved(tasks, rounds, seconds)
    edges = {nodes: batch.edge_index.shape[1] for nodes, batch in batches.items()}
    fitted = [nodes for nodes in sizes if edges[nodes] >= FEWEST_EDGES]
    exponents = {
        kind: -observed_order([edges[n] for n in fitted], [times[n, kind] for n in fitted])
        for kind in ("forward", "train")
    }
    found = Table(
        title=f"Cost of {NAME} against edges, float32",
        caption=f"From {FEWEST_EDGES:,} edges on, as the number of edges to the power of "
        f"{exponents['forward']:.2f} (forward) and {exponents['train']:.2f} (training).",
        title_justify="left",
        caption_justify="left",
    )
    for column in ("nodes", "edges", "forward ms", "training ms", "forward us/edge", "training us/edge"):
        found.add_column(column, justify="right")
    for nodes in sizes:
        forward, train = times[nodes, "forward"], times[nodes, "train"]
        found.add_row(
            f"{nodes:,}", f"{edges[nodes]:,}", f"{1e3 * forward:,.1f}", f"{1e3 * train:,.1f}",
            f"{1e6 * forward / edges[nodes]:.2f}", f"{1e6 * train / edges[nodes]:.2f}",
        )  # fmt: skip
    return found
