"""From one loss per entry to one per graph."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from graphscore import ops

Reduce = Literal["sum", "mean"]


def reduce_graphs(values: Tensor, index: Tensor, num_graphs: int, reduce: Reduce) -> Tensor:
    """Reduce entries to one number per graph.

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
    if reduce == "sum":
        return ops.sum(values.sum(-1), index, num_graphs)
    if reduce == "mean":
        return ops.mean(values.mean(-1), index, num_graphs)
    raise ValueError(f"reduce must be 'sum' or 'mean' (within a graph), but is {reduce!r}")
