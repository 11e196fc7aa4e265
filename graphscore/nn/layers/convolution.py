r"""Continuous-filter convolution of scalars and vectors: the edge work of PaiNN.

Filters of an edge are linear in its features :math:`e_{ij}`. With what the source j sends, scalars :math:`a_j` and
:math:`b_j` and vectors :math:`v_j`, and the direction :math:`u_{ij}` of the edge, node i receives

.. math::
    s_i = \sum_j (W^a e_{ij}) \circ a_j, \qquad
    w_i = \sum_j (W^b e_{ij}) \circ b_j \, u_{ij} + (W^v e_{ij}) \circ v_j.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from graphscore import ops
from graphscore.nn.checks import check_carried, check_width
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.kernels.blockwise import bags, differentiable_gradients, in_blocks, totals

BLOCK_EDGES = 1024
"""Edges that are worked on at a time: so few that temporaries stay in the cache, so many that calls cost nothing."""


class EquivariantConvolution(nn.Module):
    r"""Receive scalars and vectors along edges, multiplied by filters of the edge.

    On a CPU, values and first derivatives are computed block by block of edges, and no tensor with channels of each
    edge is written to memory; derivatives compute the filters once more. Everything else (other devices, a compiler,
    second derivatives, forward mode) takes the same formula written plainly.

    Args:
        channels: Number F of scalars, and of vectors, that a node receives.
        edge_channels: Width K of edge features.
        carries: Whether nodes have vectors to send. If not, they still receive some, along the edges.
    """

    def __init__(self, channels: int, edge_channels: int, carries: bool = True) -> None:
        super().__init__()
        self.carries = carries
        # One after another, each [F, K]: of scalars, of directions, and of vectors.
        self.filters = nn.Linear(edge_channels, (3 if carries else 2) * channels, bias=False)

    def forward(
        self, scalars: Tensor, vectors: Tensor | None, features: Tensor, direction: Tensor, edges: Edges
    ) -> tuple[Tensor, Tensor]:
        """Convolve.

        Args:
            scalars: What nodes send as scalars, and then as multiples of directions, shape ``[N, 2 F]``.
            vectors: The vectors that they send, shape ``[N, D, F]``, or ``None``.
            features: Features of each edge, in the order of ``edges``, shape ``[E, K]``.
            direction: A vector along each edge, shape ``[E, D]``.
            edges: The edges.

        Returns:
            What each node receives: scalars ``[N, F]`` and vectors ``[N, D, F]``.
        """
        check_carried(self, self.carries, vectors)
        check_width(self, "features", features, self.filters.in_features)
        scalar, push = scalars.chunk(2, dim=1)
        carried = scalar[:, None] if vectors is None else torch.cat([scalar[:, None], vectors], dim=1)
        inputs = (carried, push, features, direction, self.filters.weight)
        if in_blocks(carried, edges) and direction.shape[1] > 0:
            received: Tensor = _Convolution.apply(edges, *inputs)  # pyright: ignore[reportAssignmentType]
        else:
            received = _convolve(edges, *inputs)
        return received[:, 0], received[:, 1:]


def _convolve(
    edges: Edges, carried: Tensor, push: Tensor, features: Tensor, direction: Tensor, weight: Tensor
) -> Tensor:
    """The formula, for all devices and all derivatives.

    Scalars are component 0 and vectors the others, of ``carried`` ``[N, 1 or 1 + D, F]`` and of the result.
    """
    filters = F.linear(features, weight).unflatten(1, (-1, push.shape[1]))
    sent = carried.index_select(0, edges.source)
    vectors = direction[:, :, None] * (filters[:, 1] * push.index_select(0, edges.source))[:, None]
    if filters.shape[1] == 3:
        vectors = vectors + filters[:, 2:] * sent[:, 1:]
    return ops.segment_sum(torch.cat([filters[:, :1] * sent[:, :1], vectors], dim=1), edges.target, edges.ptr)


class _Convolution(Function):
    """:func:`_convolve`, block by block."""

    @staticmethod
    def forward(ctx: Any, edges: Edges, *inputs: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.edges = edges
        ctx.dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else inputs[0].dtype
        ctx.save_for_backward(*inputs)
        return _forward(edges, [x.to(ctx.dtype) for x in inputs])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, needs = ctx.saved_tensors, ctx.needs_input_grad[1:]
        values = [x.to(ctx.dtype) for x in inputs]
        if torch.is_grad_enabled():
            return None, *differentiable_gradients(_convolve(ctx.edges, *values), inputs, needs, grad)
        results = _backward(ctx.edges, values, grad, needs)
        return None, *(x if need else None for x, need in zip(results, needs, strict=True))


def _forward(edges: Edges, inputs: Sequence[Tensor]) -> Tensor:
    carried, push, features, direction, weight = inputs
    (num_nodes, components, width), dim = carried.shape, direction.shape[1]
    table, along = carried.flatten(0, 1), direction.t().contiguous()
    received = carried.new_zeros(num_nodes, 1 + dim, width)
    for block in edges.blocks(BLOCK_EDGES):
        nodes, part, rows, ptr = block.nodes, block.edges, block.rows, block.ptr
        source, filters = edges.source[part], _filters(features[part], weight, width)
        for component in range(components):
            sent = table.index_select(0, source * components + component).mul_(filters[2 if component else 0])
            received[nodes, component].add_(bags(rows, sent, ptr))
        sent = push.index_select(0, source).mul_(filters[1])
        for axis, weights in enumerate(along[:, part]):
            received[nodes, 1 + axis].add_(bags(rows, sent, ptr, weights))
    return received


def _backward(edges: Edges, inputs: Sequence[Tensor], grad: Tensor, needs: Sequence[bool]) -> tuple[Tensor, ...]:
    """Derivatives by all inputs of :func:`_convolve`; those by properties of edges, and weights, only where needed.

    They are sums over the edges out of a node, so blocks are of such edges.
    """
    carried, push, features, direction, weight = inputs
    order, pointers = edges.by_source
    edges = Edges(edges.target.index_select(0, order), edges.source.index_select(0, order), pointers)
    features, direction = (x.index_select(0, order) for x in (features, direction))
    (_, components, width), axes = carried.shape, torch.arange(1, grad.shape[1])
    table, grads = carried.flatten(0, 1), grad.flatten(0, 1)
    d_carried, d_push, d_features, d_direction = (torch.zeros_like(x) for x in (carried, push, features, direction))
    (d_weight,) = totals(weight)
    for block in edges.blocks(BLOCK_EDGES):
        nodes, part, rows, ptr = block.nodes, block.edges, block.rows, block.ptr
        source, target = edges.target[part], edges.source[part] * grad.shape[1]
        filters = _filters(features[part], weight, width)
        d_filters = torch.empty_like(filters)
        for component in range(components):
            kind, got = 2 if component else 0, grads.index_select(0, target + component)
            sent = table.index_select(0, source * components + component)
            if component < 2:
                torch.mul(got, sent, out=d_filters[kind])
            else:
                d_filters[kind].addcmul_(got, sent)
            d_carried[nodes, component].add_(bags(rows, got.mul_(filters[kind]), ptr))
        ends, pushed = target[:, None] + axes, push.index_select(0, source)
        got = bags(ends.flatten(), grads, block.singles * len(axes), direction[part].flatten())
        torch.mul(got, pushed, out=d_filters[1])
        d_push[nodes] += bags(rows, got.mul_(filters[1]), ptr)
        if needs[2]:
            d_features[part] = torch.bmm(d_filters, weight.view(len(filters), width, -1)).sum(0)
        if needs[3]:
            got = grads.index_select(0, ends.flatten()).view(*ends.shape, width)
            d_direction[part] = torch.bmm(got, pushed.mul_(filters[1])[:, :, None])[:, :, 0]
        if needs[4]:
            # This way round the product is faster.
            products = torch.bmm(features[part].t().expand(len(filters), -1, -1), d_filters)
            d_weight += products.mT.reshape(weight.shape)
    if needs[2] or needs[3]:
        # From the order by source back to that of the edges.
        d_features, d_direction = (torch.empty_like(x).index_copy_(0, order, x) for x in (d_features, d_direction))
    return d_carried, d_push, d_features, d_direction, d_weight


def _filters(features: Tensor, weight: Tensor, width: int) -> Tensor:
    """Each kind of filter as a matrix of its own, so that products with them run over consecutive numbers."""
    weight = weight.view(-1, width, weight.shape[1])
    return torch.bmm(features.expand(len(weight), -1, -1), weight.mT)
