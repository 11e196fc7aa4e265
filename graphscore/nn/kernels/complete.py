"""Attention along all edges of complete graphs on a CPU, by small dense matrix products, without derivatives.

Between all nodes of a graph nothing has to be gathered: what the source nodes send is an operand of matrix products.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from graphscore.nn.edges.geometry import Dense, EdgeGeometry


def attend_in_graphs(
    geometry: EdgeGeometry, query: Tensor, source: Tensor, vectors: Tensor | None, filters: Tensor, factors: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the formula of :class:`~graphscore.nn.layers.attention.EquivariantAttention` graph by graph.

    Args:
        geometry: The edges, those of complete graphs: ``geometry.dense`` has all nodes.
        query: Shape ``[N, F]``.
        source: Keys and values, shape ``[N, (1 + kinds) * F]``.
        vectors: Shape ``[N, D, F]``, or ``None``.
        filters: Map from edge features to the filters of the values, shape ``[kinds * F, K]``.
        factors: Map from edge features to the factors of inner products, shape ``[H, K]``.

    Returns:
        Sums at each node: scalars ``[N, F]`` and vectors ``[N, D, F]``.
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype
    query, source, filters, factors = (x.to(dtype) for x in (query, source, filters, factors))
    width, (of_value, of_push, *of_carry) = query.shape[1], filters.split(query.shape[1])
    # Those in rows are computed with a row for each channel, and the others with a row for each edge.
    rows = torch.cat([of_value, *of_carry, factors])
    tables = _Tables(geometry, len(rows), width, dtype)
    received, turned = torch.empty_like(query), query.new_empty(len(query), geometry.direction.shape[1], width)
    for block in geometry.dense:
        nodes, (count, size) = block.nodes, (block.graphs, block.size)
        key, value, push, *carry = source[nodes].split(width, dim=1)
        features, envelope = block.features.to(dtype), block.envelope.to(dtype)
        scalar, *carried, factor = tables.by_channel(rows, features).split(
            [width] * (1 + len(of_carry)) + [len(factors)]
        )
        attention = _products(query[nodes], key, len(factors), block).mul_(factor.view(-1, *envelope.shape))
        attention = F.silu(attention).mul_(envelope).view(len(factors), 1, -1)
        F.silu(scalar, inplace=True).view(len(factors), -1, attention.shape[-1]).mul_(attention)
        received[nodes] = _sums(scalar, value[:, None], block)[:, 0]
        pushed = tables.by_edge(features, of_push).view(count, size, size, width)
        pushed.mul_(push.view(count, 1, size, width))
        turned[nodes] = torch.bmm(block.direction.to(dtype), pushed.view(count * size, size, width))
        if vectors is not None:
            F.silu(carried[0], inplace=True).view(width, *envelope.shape).mul_(envelope)
            turned[nodes] += _sums(carried[0], carry[0][:, None] * vectors[nodes].to(dtype), block)
    return received, turned


def _products(query: Tensor, key: Tensor, heads: int, block: Dense) -> Tensor:
    """Inner products of all pairs of nodes ``[H, graphs, n, n]``."""
    by_head = (block.graphs, block.size, heads, -1)
    # Contiguous: others would be multiplied one by one.
    asked, told = query.view(by_head).permute(2, 0, 1, 3), key.reshape(by_head).permute(2, 0, 3, 1)
    pairs = torch.bmm(asked.contiguous().flatten(0, 1), told.contiguous().flatten(0, 1))
    return pairs.view(heads, block.graphs, block.size, block.size)


def _sums(filters: Tensor, sent: Tensor, block: Dense) -> Tensor:
    """Sums ``[graphs * n, D, F]`` over sources of what they send, ``[graphs * n, D, F]``, times filters ``[F, E]``."""
    by_graph = (block.graphs, block.size)
    by_channel = sent.unflatten(0, by_graph).permute(3, 0, 1, 2).contiguous()
    found = torch.bmm(filters.view(-1, block.size, block.size), by_channel.flatten(0, 1))
    return found.view(-1, *sent.shape[:2]).permute(1, 2, 0)


class _Tables:
    """Memory for the filters of a block, reused from block to block."""

    def __init__(self, geometry: EdgeGeometry, num_rows: int, width: int, dtype: torch.dtype) -> None:
        most = max(block.features.shape[1] for block in geometry.dense)
        self.memory = [geometry.features.new_empty(size * most, dtype=dtype) for size in (num_rows, width)]

    def by_channel(self, weight: Tensor, features: Tensor) -> Tensor:
        size = len(weight), features.shape[1]
        return torch.mm(weight, features, out=self.memory[0][: size[0] * size[1]].view(size))

    def by_edge(self, features: Tensor, weight: Tensor) -> Tensor:
        size = features.shape[1], len(weight)
        found = torch.mm(features.t(), weight.t(), out=self.memory[1][: size[0] * size[1]].view(size))
        return F.silu(found, inplace=True)
