"""Geometry of edges: their features, envelopes and directions, measured once for all layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.edges.sorted import Block, Edges

BLOCK_EDGES = 2048
"""Edges per block, fast on CPUs: temporaries fit in the cache, and the overhead of calls is small."""

DENSE_PAIRS = 1024
"""The same for pairs of nodes of complete graphs; a block has one graph at least."""

FEW_PAIRS = 400
"""Mean number of pairs in a block below which the overhead of dense products is larger than what they save."""


class Fan(NamedTuple):
    """The edges of a block, grouped by source node.

    Attributes:
        sources: The source nodes, each once, shape ``[S]``.
        order: The edges grouped by these nodes, counted from the first of the block.
        ptr: Where the edges of each node start and end in ``order``, shape ``[S + 1]``.
    """

    sources: Tensor
    order: Tensor
    ptr: Tensor


class Rows(NamedTuple):
    """The features of the edges of a block, stored once for both edges of a pair if they are equal.

    Attributes:
        features: Rows of features, shape ``[R, K]``.
        number: Row of each edge, shape ``[edges]``; ``None`` if edges have one row each, in order.
    """

    features: Tensor
    number: Tensor | None


class Dense(NamedTuple):
    """Geometry of all pairs of nodes of consecutive complete graphs of n nodes each; 0 from a node to itself.

    Attributes:
        nodes: The nodes, a slice of all.
        graphs: Number of graphs.
        size: Number n of nodes of each.
        features: Invariants of each pair, shape ``[K, graphs * n * n]``.
        envelope: Factor of its contributions, shape ``[graphs, n, n]``, first of targets.
        direction: Vector along it, with the envelope as a factor, shape ``[graphs * n, D, n]``.
    """

    nodes: slice
    graphs: int
    size: int
    features: Tensor
    envelope: Tensor
    direction: Tensor


@dataclass(frozen=True)
class EdgeGeometry:
    """Invariants and directions of sorted edges, computed once for all layers.

    Attributes:
        edges: The edges.
        features: Invariants of each edge, shape ``[E, K]``.
        envelope: Factor of the contributions of each edge, shape ``[E]``.
        direction: Vector along each edge, with the envelope as a factor, shape ``[E, D]``.
    """

    edges: Edges
    features: Tensor
    envelope: Tensor
    direction: Tensor

    @classmethod
    def measure(
        cls, pos: Tensor, edge_index: Tensor, edge_attr: Tensor | None, basis: nn.Module, cutoff: nn.Module
    ) -> EdgeGeometry:
        """Compute features, envelopes and directions of edges from positions.

        Args:
            pos: Positions, shape ``[N, D]``.
            edge_index: Source and target of each edge, shape ``[2, E]``.
            edge_attr: Edge attributes, shape ``[E, *]``.
            basis: Maps distances ``[E, 1]`` to features.
            cutoff: Maps distances ``[E, 1]`` to factors from 1 to 0.

        Returns:
            Features are the basis, a constant in place of a bias, and the attributes. The envelope is the cutoff over
            the root of one plus the sum of cutoffs into the same node. The direction is ``(x_i - x_j) / (1 + d_ij)``
            times the envelope.
        """
        edges = Edges.from_index(edge_index, pos.shape[0])
        distance, direction = edges.measure(pos)
        envelope, features = cutoff(distance), [basis(distance), torch.ones_like(distance)]
        if edge_attr is not None:
            features.append(edges.sort(edge_attr))
        # A smooth count of the neighbors within the cutoff.
        degree = ops.segment_sum(envelope, edges.target, edges.ptr)
        envelope = envelope * (1 + degree).rsqrt().index_select(0, edges.target)
        return cls(edges, torch.cat(features, dim=-1), envelope[:, 0], envelope * direction)

    @property
    def blocks(self) -> list[Block]:
        """The edges in blocks of :data:`BLOCK_EDGES`."""
        return self.edges.blocks(BLOCK_EDGES)

    @cached_property
    def rows(self) -> list[Rows]:
        """The features of the edges of each block."""
        return [_rows(self.edges, self.features[block.edges], block) for block in self.blocks]

    @cached_property
    def dense(self) -> list[Dense]:
        """The geometry of all graphs in blocks, if they are complete and not small; else empty."""
        blocks = _dense_blocks(self.edges.complete_sizes)
        pairs = sum(graphs * size**2 for size, graphs in blocks)
        return list(_dense(self, blocks)) if pairs > FEW_PAIRS * len(blocks) else []

    @cached_property
    def fans(self) -> list[Fan]:
        """The edges of each block grouped by source node, for sums over sources."""
        return list(_fans(self.edges, self.blocks))


def _dense_blocks(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Put consecutive graphs of one size into blocks: their size and number."""
    blocks = []
    for size, run in groupby(sizes):
        left, most = len(list(run)), max(DENSE_PAIRS // size**2, 1)
        blocks += [(size, min(most, left - begun)) for begun in range(0, left, most)]
    return blocks


def _dense(geometry: EdgeGeometry, blocks: Sequence[tuple[int, int]]) -> Iterator[Dense]:
    node = edge = 0
    for size, graphs in blocks:
        nodes, edges = slice(node, node + graphs * size), slice(edge, edge + graphs * size * (size - 1))
        node, edge = nodes.stop, edges.stop
        features, envelope, direction = (
            _with_diagonal(values[edges].t(), graphs, size)
            for values in (geometry.features, geometry.envelope[:, None], geometry.direction)
        )
        directions = direction.permute(1, 2, 0, 3).reshape(graphs * size, -1, size)
        yield Dense(nodes, graphs, size, features.flatten(1), envelope[0], directions)


def _with_diagonal(values: Tensor, graphs: int, size: int) -> Tensor:
    """Insert zeros from each node to itself among values ``[C, E]`` of complete graphs: ``[C, graphs, n, n]``."""
    table = values.new_zeros(len(values), graphs, size * size)
    # Without the first of all, each row ends with the diagonal element of the next.
    table[..., 1:].unflatten(-1, (size - 1, size + 1))[..., :-1] = values.unflatten(1, (graphs, size - 1, size))
    return table.unflatten(-1, (size, size))


def _rows(edges: Edges, features: Tensor, block: Block) -> Rows:
    ends = torch.stack([edges.source[block.edges], block.target])
    low, high = ends.aminmax(dim=0)
    pairs, number = torch.unique(low * edges.num_nodes + high, return_inverse=True)
    # Unless many edges share a row, gathering costs more than it saves.
    if len(pairs) > 0.75 * len(block.rows):
        return Rows(features, None)
    shared = features[block.rows.new_empty(len(pairs)).scatter_(0, number, block.rows)]
    # Attributes may differ between the two directions.
    return Rows(shared, number) if torch.equal(shared[number], features) else Rows(features, None)


def _fans(edges: Edges, blocks: Sequence[Block]) -> Iterator[Fan]:
    sizes = torch.tensor([len(block.rows) for block in blocks])
    number = torch.arange(len(blocks)).repeat_interleave(sizes)
    keys, order = (number * edges.num_nodes + edges.source).sort(stable=True)
    keys, counts = keys.unique_consecutive(return_counts=True)
    sources, ptr = keys % edges.num_nodes, F.pad(counts.cumsum(0), (1, 0))
    bounds = torch.searchsorted(keys, torch.arange(len(blocks) + 1) * edges.num_nodes).tolist()
    for block, start, stop in zip(blocks, bounds[:-1], bounds[1:], strict=True):
        first = block.edges.start
        yield Fan(sources[start:stop], order[block.edges] - first, ptr[start : stop + 1] - first)
