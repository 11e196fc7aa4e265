"""Reduction of losses from one per entry to one per graph."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from graphscore import ops

Reduce = Literal["sum", "mean"]
"""Reduction of a loss over the rows and columns of a graph."""


def reduce_graphs(values: Tensor, index: Tensor, num_graphs: int, reduce: Reduce) -> Tensor:
    """Reduce entries to their sum or mean over each graph.

    Args:
        values: Shape ``[rows, width]``.
        index: Graph of each row, shape ``[rows]``.
        num_graphs: Number of graphs B.
        reduce: ``"sum"`` over a graph's rows and columns, or their ``"mean"``.

    Returns:
        Shape ``[B]``; zero for an empty graph.

    Raises:
        ValueError: If ``reduce`` is neither ``"sum"`` nor ``"mean"``.
    """
    return reduce_sums(ops.sum(values.sum(-1), index, num_graphs), index, values.shape[1], reduce)


def reduce_sums(sums: Tensor, index: Tensor, width: int, reduce: Reduce) -> Tensor:
    """Convert sums over the entries of each graph, ``[B]``, to means if requested; see :func:`reduce_graphs`."""
    if reduce == "sum":
        return sums
    if reduce == "mean":
        return sums / (width * ops.count(index, len(sums), sums.dtype)).clamp(min=1)
    raise ValueError(f"reduce must be 'sum' or 'mean' (within a graph), but is {reduce!r}")
