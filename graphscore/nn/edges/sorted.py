"""Edges of a ragged batch sorted by target, as layers use them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from graphscore import ops
from graphscore.nn.kernels.measure import differentiate_measure


@dataclass(frozen=True)
class Block:
    """Some consecutive edges, and their target nodes.

    Attributes:
        nodes: Targets, a slice of the nodes. A node whose edges lie in several blocks is a target in all of these, so
            the results of blocks have to be added up.
        edges: The edges, a slice of the sorted edges.
        rows: Their numbers, counted from the first of the block.
        ptr: Where the edges into each of the targets start and end in ``rows``.
        target: Target of each edge.
        ends: Rows of target and source of each edge, one edge after the other, in a table of two rows for each node,
            the first for targets.
        singles: Pointers that make each row a segment.
        doubles: Pointers that make each two rows a segment.
    """

    nodes: slice
    edges: slice
    rows: Tensor
    ptr: Tensor
    target: Tensor
    ends: Tensor
    singles: Tensor
    doubles: Tensor


@dataclass(frozen=True)
class Edges:
    """Edges sorted by target, so that a sum over the edges into a node is a sum over consecutive rows.

    Construct them by :meth:`from_index`; sort edge attributes by :meth:`sort`. Derived quantities are computed once and
    cached for all layers of a network.

    Attributes:
        source: Source node of each edge, shape ``[E]``.
        target: Target node of each edge, rising, shape ``[E]``.
        ptr: Edges ``ptr[i]`` up to ``ptr[i + 1]`` go into node i, shape ``[N + 1]``.
        order: Place of each edge in the original list, shape ``[E]``; ``None`` if that was sorted already.
    """

    source: Tensor
    target: Tensor
    ptr: Tensor
    order: Tensor | None = None

    @classmethod
    def from_index(cls, edge_index: Tensor, num_nodes: int) -> Edges:
        """Sort edges by target, keeping the order of those into the same node.

        Args:
            edge_index: Source and target of each edge, shape ``[2, E]``.
            num_nodes: Number of nodes N.
        """
        source, target = edge_index
        if ops.on_host(target) and bool((target[1:] >= target[:-1]).all()):
            return cls(source, target, _pointers(target, num_nodes))
        # Exporters of ONNX know no stable sort; the order of edges into the same node is free.
        target, order = target.sort() if torch.compiler.is_compiling() else target.sort(stable=True)
        return cls(source.index_select(0, order), target, _pointers(target, num_nodes), order)

    @property
    def num_nodes(self) -> int:
        """Number of nodes N."""
        return self.ptr.shape[0] - 1

    def sort(self, values: Tensor) -> Tensor:
        """Sort edge attributes ``[E, *]`` from the order of ``edge_index`` into the order of these edges."""
        return values if self.order is None else values.index_select(0, self.order)

    def degree(self, dtype: torch.dtype) -> Tensor:
        """Number of edges into each node, shape ``[N]``."""
        return self.ptr.diff().to(dtype)

    def measure(self, pos: Tensor) -> tuple[Tensor, Tensor]:
        r"""Lengths and bounded directions of the edges.

        Args:
            pos: Positions, shape ``[N, D]``.

        Returns:
            The distance :math:`d_{ij} = \sqrt{|x_i - x_j|^2 + 10^{-12}}` of target i and source j, whose derivatives
            are finite where they meet, shape ``[E, 1]``, and the direction :math:`(x_i - x_j) / (1 + d_{ij})`, shorter
            than 1 and smooth there too, shape ``[E, D]``.
        """
        if torch.compiler.is_compiling():
            return measure(pos, self.source, self.target)
        return differentiate_measure(measure, pos, self)

    @cached_property
    def by_source(self) -> tuple[Tensor, Tensor]:
        """Edges grouped by source: their numbers ``[E]``, and pointers ``[N + 1]`` as for targets."""
        source, order = self.source.sort(stable=True)
        return order, _pointers(source, self.num_nodes)

    @cached_property
    def complete_sizes(self) -> list[int]:
        """Sizes of the graphs in order, if each node has edges from all others of its graph; else empty.

        Reads the edges on the host, which would synchronise devices other than the CPU.
        """
        degrees, sizes, first = self.ptr.diff(), list[int](), 0
        of_nodes = degrees.tolist()
        while first < len(of_nodes):
            sizes.append(of_nodes[first] + 1)
            first += sizes[-1]
        counts = torch.tensor(sizes, dtype=torch.long)
        if first != len(of_nodes) or not torch.equal(degrees, counts.repeat_interleave(counts) - 1):
            return []
        starts = (counts.cumsum(0) - counts).repeat_interleave(counts) - self.ptr[:-1]
        expected = starts.index_select(0, self.target) + torch.arange(len(self.target))
        return sizes if torch.equal(expected + (expected >= self.target), self.source) else []

    def blocks(self, size: int) -> list[Block]:
        """Cut the edges into blocks of ``size`` edges; only the last may have fewer.

        One size means matrix products of one shape, whose kernels some libraries compile at their first use. Reads the
        targets on the host, which would synchronise devices other than the CPU.
        """
        if size not in self._blocks:
            self._blocks[size] = list(self._cut(size))
        return self._blocks[size]

    @cached_property
    def _blocks(self) -> dict[int, list[Block]]:
        return {}

    def _cut(self, size: int) -> Iterator[Block]:
        pointers, num_edges = self.ptr.tolist(), len(self.source)
        ends = torch.stack([2 * self.target, 2 * self.source + 1], dim=1)
        numbers = torch.arange(min(size, num_edges) + 1, device=self.ptr.device)
        for start in range(0, num_edges, size):
            stop = min(start + size, num_edges)
            edges, singles = slice(start, stop), numbers[: stop - start + 1]
            nodes = slice(bisect_right(pointers, start) - 1, bisect_left(pointers, stop))
            ptr = (self.ptr[nodes.start : nodes.stop + 1] - start).clamp(0, stop - start)
            yield Block(
                nodes, edges, rows=singles[:-1], ptr=ptr, target=self.target[edges], ends=ends[edges].flatten(),
                singles=singles, doubles=2 * singles,
            )  # fmt: skip


def measure(pos: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths and bounded directions of edges in any order, see :meth:`Edges.measure`."""
    difference = pos.index_select(0, target) - pos.index_select(0, source)
    # The small constant keeps the gradient of the root finite where two nodes meet.
    distance = (difference.square().sum(-1, keepdim=True) + 1e-12).sqrt()
    return distance, difference / (1 + distance)


def _pointers(index: Tensor, num_rows: int) -> Tensor:
    """Start and end of the entries of each row in a rising index, shape ``[num_rows + 1]``."""
    if torch.compiler.is_compiling():  # ONNX knows no binary search
        return torch.nn.functional.pad(ops.count(index, num_rows).cumsum(0), (1, 0))
    return torch.searchsorted(index.contiguous(), torch.arange(num_rows + 1, device=index.device))
