"""Convolution of scalars and vectors along edges on a CPU, in blocks of edges and with hand-written derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from graphscore.nn.edges.sorted import Edges
from graphscore.nn.kernels.blockwise import bags, differentiable_gradients, totals

Formula = Callable[..., Tensor]

BLOCK_EDGES = 1024
"""Edges per block, fast on CPUs: temporaries fit in the cache, and the overhead of calls is small."""


def convolve_in_blocks(formula: Formula, edges: Edges, *inputs: Tensor) -> Tensor:
    """Compute the formula of :class:`~graphscore.nn.layers.convolution.EquivariantConvolution`, block by block.

    Args:
        formula: Reference implementation ``formula(edges, *inputs)`` in PyTorch, for second derivatives.
        edges: The edges.
        *inputs: ``carried``, ``push``, ``features``, ``direction`` and ``weight``, as the formula takes them.
    """
    return _Convolution.apply(formula, edges, *inputs)  # pyright: ignore[reportReturnType]


class _Convolution(Function):
    """The convolution, block by block."""

    @staticmethod
    def forward(ctx: Any, formula: Formula, edges: Edges, *inputs: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.formula, ctx.edges = formula, edges
        ctx.dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else inputs[0].dtype
        ctx.save_for_backward(*inputs)
        return _forward(edges, [x.to(ctx.dtype) for x in inputs])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, needs = ctx.saved_tensors, ctx.needs_input_grad[2:]
        values = [x.to(ctx.dtype) for x in inputs]
        if torch.is_grad_enabled():
            return None, None, *differentiable_gradients(ctx.formula(ctx.edges, *values), inputs, needs, grad)
        results = _backward(ctx.edges, values, grad, needs)
        return None, None, *(x if need else None for x, need in zip(results, needs, strict=True))


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
    """Compute derivatives by all inputs of the convolution; those by edge inputs and weights only where needed.

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
    """Split the filters into one contiguous matrix per kind, for fast products."""
    weight = weight.view(-1, width, weight.shape[1])
    return torch.bmm(features.expand(len(weight), -1, -1), weight.mT)
