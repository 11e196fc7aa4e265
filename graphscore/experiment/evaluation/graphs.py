"""Evaluation of graphs of no domain: distributions of their real-valued attributes, and of differences across edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.sources import read_files
from graphscore.experiment.evaluation.wasserstein import wasserstein


def compare_graphs(references: Sequence[Data], generated: Sequence[Data]) -> dict[str, float]:
    """Compare the real-valued attributes of two sets of graphs.

    Args:
        references: Reference graphs.
        generated: Generated graphs.

    Returns:
        For each attribute ``[rows]`` or ``[rows, columns]`` that all graphs have, ``distance of NAME``: the
        1-Wasserstein distance of the values of all rows, in standard deviations of the references (in data units if
        they are all equal), as the mean over columns. For attributes of nodes with edges, ``distance of NAME across
        edges``: the same for the absolute differences of the two ends, which depend on the structure of the graphs.

    Raises:
        ValueError: If no attribute is there to compare, or a value is not finite.
    """
    graphs = [*references, *generated]
    names = [name for name in graphs[0].keys() if all(_is_real(graph.get(name)) for graph in graphs)]  # noqa: SIM118
    names = [name for name in names if len({graph[name].shape[1:] for graph in graphs}) == 1]
    if not names:
        raise ValueError(
            "There is nothing to compare: no real-valued attribute [rows, columns] is in all graphs of both files"
        )
    sides, scores = (references, generated), {}
    for name in names:
        scores[f"distance of {name}"] = _distance([[_table(graph, name) for graph in side] for side in sides])
        of_nodes = all(len(graph[name]) == graph.num_nodes for graph in graphs)
        if of_nodes and all(any(graph.num_edges for graph in side) for side in sides):
            across = [[_across(graph, name) for graph in side] for side in sides]
            scores[f"distance of {name} across edges"] = _distance(across)
    return scores


def evaluate(generated: Path, reference: Path, *, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Compare the generated graphs of a file with the reference graphs of another; see :func:`compare_graphs`.

    Args:
        generated: Generated graphs.
        reference: Reference graphs.
        progress: Called with (comparisons done, comparisons in all).

    Returns:
        The distances and numbers of graphs; ``files``; and ``skipped``: the records that could not be read.

    Raises:
        ValueError: If a file cannot be read, or there is nothing to compare.
    """
    sides = [read_files(path) for path in (reference, generated)]
    for path, side in zip((reference, generated), sides, strict=True):
        if not side.items:
            raise ValueError(f"{path} holds no graphs that can be read")
    first, second = (side.items for side in sides)
    scores = compare_graphs(first, second)
    if progress is not None:
        progress(1, 1)
    return {
        "files": {"generated": str(generated), "reference": str(reference)},
        "num_references": len(first),
        "num_generated": len(second),
        **scores,
        "skipped": [asdict(failure) for side in sides for failure in side.failures],
    }


def _is_real(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() in (1, 2)


def _table(graph: Data, name: str) -> NDArray[np.float64]:
    """Values of an attribute, ``[rows, columns]``."""
    values = graph[name].detach().cpu().double().numpy()
    if not np.isfinite(values).all():
        raise ValueError(f"Expected finite values of {name}, but a graph of {graph.num_nodes} nodes has others")
    return values.reshape(len(values), -1)


def _across(graph: Data, name: str) -> NDArray[np.float64]:
    """Absolute differences of the two ends of each edge, ``[E, columns]``."""
    values = _table(graph, name)
    if graph.edge_index is None:
        return values[:0]
    source, target = graph.edge_index.cpu().numpy()
    return np.abs(values[source] - values[target])


def _distance(sides: Sequence[Sequence[NDArray[np.float64]]]) -> float:
    """Mean over columns of the distance of two sets of tables, in standard deviations of the first set."""
    first, second = (np.concatenate(tables) for tables in sides)
    scales = first.std(axis=0)
    scales[scales == 0] = 1.0
    return float(np.mean([wasserstein(a, b) for a, b in zip((first / scales).T, (second / scales).T, strict=True)]))
