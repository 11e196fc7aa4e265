"""Peak memory of a training step by the size of a micro-batch: measured on small batches, and extrapolated."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch_geometric.data import Batch, Data

from graphscore.nn.edges.search import searches_of
from graphscore.train.parts import Budget, Sizes, sizes_of
from graphscore.train.task import ScoreMatchingTask

SHARE = 0.6
"""Share of the free memory that a micro-batch may take by default."""
_MOST_EDGES = 20_000
_SMALL_EDGES = 100_000


class MemoryModel(NamedTuple):
    """Memory of forward and backward pass, linear in the size of a micro-batch.

    Attributes:
        fixed: Bytes for any micro-batch, such as for the gradients of the weights.
        per_graph: Bytes for each graph.
        per_node: Bytes for each node.
        per_edge: Bytes for each edge.
    """

    fixed: float
    per_graph: float
    per_node: float
    per_edge: float

    def of_graphs(self, sizes: Sizes) -> np.ndarray:
        """Predict the bytes of each graph in a micro-batch, without the fixed ones, ``[G]``."""
        return self.per_graph + self.per_node * sizes.nodes + self.per_edge * sizes.edges


def measure_memory(task: ScoreMatchingTask, graphs: Sequence[Data], sizes: Sizes, device: torch.device) -> MemoryModel:
    """Measure the memory of a training step on a few small batches; the task and its model stay as they are.

    Args:
        task: Model and loss.
        graphs: Graphs to train on.
        sizes: Their sizes.
        device: Device of the training.

    Returns:
        The model that fits the measurements best, in relative terms.
    """
    task = copy.deepcopy(task).to(device)
    peak = _peak_on_cuda if device.type == "cuda" else _peak_on_cpu
    searches, rows, found = searches_of(task.model), [], []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for number, probe in enumerate(_probes(graphs, sizes)):
            batch, size = Batch.from_data_list(probe).to(device), sizes_of(probe, searches)
            if number == 0:
                _step(task, batch)  # allocates what stays
            found.append(peak(task, batch))
            rows.append([1.0, len(probe), size.nodes.sum(), size.edges.sum()])
    return MemoryModel(*_fit(np.array(rows), np.array(found, dtype=np.float64)).tolist())


def _fit(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Fit values by non-negative multiples of the columns, with least squares of relative errors.

    With negative ones, an extrapolation from small batches could be far too small. For four columns, all choices of
    those that are not zero are quickly tried.
    """
    scaled, wanted = matrix / np.sqrt(values)[:, None], np.sqrt(values)
    best, least = np.zeros(matrix.shape[1]), math.inf
    for chosen in product((False, True), repeat=matrix.shape[1]):
        solution = np.zeros(matrix.shape[1])
        solution[list(chosen)] = np.linalg.lstsq(scaled[:, list(chosen)], wanted, rcond=None)[0]
        error = float(np.square(scaled @ solution - wanted).sum())
        if error < least and (solution >= 0).all():
            best, least = solution, error
    return best


class MemoryPlan(NamedTuple):
    """Memory of the micro-batches of a run.

    Attributes:
        limit: Bytes that a micro-batch may take.
        model: Prediction of what it takes.
    """

    limit: int
    model: MemoryModel

    def describe(self, sizes: Sizes) -> str:
        """Describe the plan in one line, with the largest of the training graphs."""
        of_graphs = self.model.of_graphs(sizes)
        largest = int(np.argmax(of_graphs))
        takes = (self.model.fixed + float(of_graphs[largest])) / 1e9
        alone = ", more than that, and goes alone" if takes > self.limit / 1e9 else ""
        return (
            f"Memory: up to {self.limit / 1e9:.1f} GB for a micro-batch; the largest, graph {largest} with "
            f"{sizes.nodes[largest]:,} nodes and {sizes.edges[largest]:,} edges, takes about {takes:.1f} GB{alone}"
        )

    def budget(self, budget: Budget) -> Budget:
        """Add the limit to a budget."""
        return budget._replace(bytes=max(1, int(self.limit - self.model.fixed)))

    def measured(self, sizes: Sizes) -> Sizes:
        """Add the memory of each graph to its sizes."""
        return replace(sizes, bytes=self.model.of_graphs(sizes))


def plan_memory(
    task: ScoreMatchingTask,
    graphs: Sequence[Data],
    sizes: Sizes,
    num_graphs: int,
    limit_gb: float | Literal["auto"] | None,
    device: torch.device,
    processes: int = 1,
) -> MemoryPlan | None:
    """Plan the memory of micro-batches, so that graphs of very different sizes do not exhaust it.

    Args:
        task: Model and loss.
        graphs: Graphs to train on.
        sizes: Their sizes.
        num_graphs: Largest number of graphs in a micro-batch.
        limit_gb: Memory that a micro-batch may take, in GB; ``"auto"`` for a share of what is free now, without a
            measurement where even the largest graphs are small; ``None`` for no limit.
        device: Device of the training.
        processes: Number of processes that share the memory of this machine, unless each has a device of its own.

    Returns:
        The plan; ``None`` without a limit.

    Raises:
        ValueError: If a graph alone is expected to take more than the memory that is free.
    """
    if limit_gb is None or (limit_gb == "auto" and num_graphs * int(sizes.edges.max(initial=0)) <= _SMALL_EDGES):
        return None
    model = measure_memory(task, graphs, sizes, device)
    free = free_memory(device) // (1 if device.type == "cuda" else processes)
    largest = int(np.argmax(model.of_graphs(sizes)))
    needed = model.fixed + float(model.of_graphs(sizes)[largest])
    if needed > free:
        raise ValueError(
            f"Graph {largest} of the training part ({sizes.nodes[largest]:,} nodes, {sizes.edges[largest]:,} edges for "
            f"the network) would take about {needed / 1e9:.1f} GB in training, and {free / 1e9:.1f} GB are free: leave "
            "such graphs out by training.max_nodes, or take a network with fewer edges (network.neighbors) or channels"
        )
    return MemoryPlan(int(SHARE * free) if limit_gb == "auto" else int(limit_gb * 1e9), model)


def free_memory(device: torch.device) -> int:
    """Read the bytes that are free: on a CUDA device, or of the machine."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def _probes(graphs: Sequence[Data], sizes: Sizes) -> Iterator[list[Any]]:
    """Choose quickly computed batches: few and many graphs, small and large ones, and parts of the largest."""
    order = np.argsort(sizes.edges, kind="stable")
    quick = order[: max(1, int(np.searchsorted(sizes.edges[order], _MOST_EDGES, side="right")))]
    for place in dict.fromkeys((0, len(quick) // 2, len(quick) - 1)):
        number = max(2, _MOST_EDGES // max(1, int(sizes.edges[quick[place]])))
        neighbors = quick[max(0, place - number + 1) : place + 1]
        for indices in (quick[place : place + 1], neighbors):
            yield [graphs[int(index)] for index in indices]
    if len(quick) < len(order):
        largest = graphs[int(order[-1])]
        for most in (_MOST_EDGES // 4, _MOST_EDGES):
            yield [_first_nodes(largest, (most / int(sizes.edges[order[-1]])) ** 0.5)]


def _first_nodes(graph: Data, share: float) -> Data:
    """The graph of a share of the nodes; the whole graph if other attributes than its edges count nodes."""
    values = {key: value for key, value in graph.to_dict().items() if isinstance(value, Tensor) and key != "edge_index"}
    if any(bool(torch.as_tensor(graph.__inc__(key, value)).any()) for key, value in values.items()):
        return graph
    return graph.subgraph(torch.arange(max(2, round(share * (graph.num_nodes or 0)))))


def _step(task: ScoreMatchingTask, batch: Batch) -> None:
    task(batch, 0).loss.backward()
    task.zero_grad(set_to_none=True)


def _peak_on_cuda(task: ScoreMatchingTask, batch: Batch) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    _step(task, batch)
    return torch.cuda.max_memory_allocated() - before


def _peak_on_cpu(task: ScoreMatchingTask, batch: Batch) -> int:
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else each profile is announced on stderr
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        _step(task, batch)
    results: Any = profiled.profiler
    total = most = 0
    for event in results.kineto_results.events():
        if event.name() == "[memory]":
            total += event.nbytes()
            most = max(most, total)
    return most
