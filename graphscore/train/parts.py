"""Division of a step's graphs over ranks, and into micro-batches of limited size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch_geometric.data import Data

from graphscore.nn.edges.search import Search, count_edges


@dataclass(frozen=True, eq=False)
class Sizes:
    """Sizes of graphs.

    Attributes:
        nodes: Number of nodes of each graph, int64, ``[G]``.
        edges: Number of edges on which the network works, with those that it finds itself, int64, ``[G]``.
        bytes: Memory that each graph takes in a micro-batch, ``[G]``; ``None`` if it was not measured.
    """

    nodes: np.ndarray
    edges: np.ndarray
    bytes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.nodes)

    def pick(self, indices: Sequence[int]) -> Sizes:
        """Choose graphs by their indices."""
        indices = list(indices)
        return Sizes(self.nodes[indices], self.edges[indices], None if self.bytes is None else self.bytes[indices])


class Budget(NamedTuple):
    """Largest micro-batch: what goes through the network at once; ``None`` for no limit.

    Attributes:
        graphs: Number of graphs.
        nodes: Number of nodes.
        edges: Number of edges.
        bytes: Memory, of graphs whose memory was measured.
    """

    graphs: int | None = None
    nodes: int | None = None
    edges: int | None = None
    bytes: int | None = None


UNLIMITED = Budget()


def sizes_of(graphs: Sequence[Data], searches: Sequence[Search] = ()) -> Sizes:
    """Count the nodes and edges of graphs.

    Args:
        graphs: The graphs. Sequences with the arrays ``num_nodes`` and ``num_edges``, such as those on disk, are not
            read.
        searches: Searches of the model for further edges, see :func:`~graphscore.nn.edges.search.searches_of`.
    """
    known: Any = graphs
    if hasattr(known, "num_nodes") and hasattr(known, "num_edges"):
        nodes, given = np.asarray(known.num_nodes, dtype=np.int64), np.asarray(known.num_edges, dtype=np.int64)
    else:
        counts = [(graph.num_nodes or 0, graph.num_edges) for graph in graphs]
        nodes, given = np.array(counts, dtype=np.int64).reshape(-1, 2).T
    # There are few different sizes, even among millions of graphs.
    base = int(given.max(initial=0)) + 1
    keys, which = np.unique(nodes * base + given, return_inverse=True)
    edges = [count_edges(searches, int(key) // base, int(key) % base) for key in keys]
    return Sizes(nodes, np.array(edges, dtype=np.int64)[which])


def share_of(sizes: Sizes, rank: int, num_ranks: int) -> list[int]:
    """Choose the graphs of a step that a rank works on, so that all ranks have about as much work.

    The largest graph left goes to the rank with the least work. A rank may have more graphs than another.

    Args:
        sizes: Sizes of the graphs of the step.
        rank: Rank of this process.
        num_ranks: Number of processes.

    Returns:
        Places of its graphs in the step, in order; each place belongs to one rank.
    """
    if num_ranks == 1:
        return list(range(len(sizes)))
    work = (sizes.nodes + sizes.edges).tolist()
    loads, counts, mine = [0] * num_ranks, [0] * num_ranks, []
    for place in sorted(range(len(work)), key=lambda place: -work[place]):
        taker = min(range(num_ranks), key=lambda r: (loads[r], counts[r]))
        loads[taker] += work[place]
        counts[taker] += 1
        mine += [place] if taker == rank else []
    return sorted(mine)


def micro_batches(sizes: Sizes, budget: Budget) -> list[list[int]]:
    """Divide graphs into few micro-batches within a budget, by first-fit decreasing.

    A graph that exceeds the budget makes a micro-batch of its own.

    Args:
        sizes: Sizes of the graphs.
        budget: Largest micro-batch.

    Returns:
        Places of the graphs of each micro-batch, in order; each place is in one of them.
    """
    limits = [math.inf if limit is None else limit for limit in budget]
    ones, none = np.ones_like(sizes.nodes), np.zeros_like(sizes.nodes)
    costs = np.stack([ones, sizes.nodes, sizes.edges, none if sizes.bytes is None else sizes.bytes], axis=1)
    if (costs.sum(axis=0) <= limits).all():
        return [list(range(len(costs)))] if len(costs) else []
    rows = costs.tolist()
    fill = [max(cost / limit for cost, limit in zip(row, limits, strict=True)) for row in rows]
    parts: list[list[int]] = []
    totals: list[list[int]] = []
    for place in sorted(range(len(rows)), key=lambda place: -fill[place]):
        for part, total in zip(parts, totals, strict=True):
            sums = [have + cost for have, cost in zip(total, rows[place], strict=True)]
            if all(value <= limit for value, limit in zip(sums, limits, strict=True)):
                part.append(place)
                total[:] = sums
                break
        else:
            parts.append([place])
            totals.append(list(rows[place]))
    return [sorted(part) for part in parts]
