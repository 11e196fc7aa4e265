"""Geometry of edges: their features, envelopes and directions, measured once for all layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.edges.sorted import Block, Edges

BLOCK_EDGES = 2048
"""Edges per block, fast on CPUs: temporaries fit in the cache, and the overhead of calls is small."""


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
    def fans(self) -> list[Fan]:
        """The edges of each block grouped by source node, for sums over sources."""
        return list(_fans(self.edges, self.blocks))


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
