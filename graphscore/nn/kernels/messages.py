"""Gated messages along edges on a CPU, in blocks of edges and with hand-written derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from graphscore.nn.edges.sorted import Edges
from graphscore.nn.kernels.blockwise import add_product, bags, differentiable_gradients, totals

Formula = Callable[..., tuple[Tensor, Tensor]]

BLOCK_EDGES = 16384
"""Edges per block, fast on CPUs: temporaries fit in the cache, and the overhead of calls is small."""


def send_in_blocks(formula: Formula, edges: Edges, *inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the formula of :class:`~graphscore.nn.layers.messages.GatedMessages`, block by block.

    Args:
        formula: Reference implementation ``formula(edges, *inputs)`` in PyTorch, for second derivatives.
        edges: The edges.
        *inputs: ``ends``, ``features``, ``edge``, ``message``, ``heads`` and ``bias``, as the formula takes them.
    """
    return _Messages.apply(formula, edges, *inputs)  # pyright: ignore[reportReturnType]


class _Messages(Function):
    """The messages, block by block."""

    @staticmethod
    def forward(ctx: Any, formula: Formula, edges: Edges, *inputs: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # Under autocast, only weights differ in type from the results of linear maps.
        ctx.formula, ctx.edges, ctx.dtype = formula, edges, inputs[0].dtype
        ends, features, edge, message, heads, bias = (x.detach().to(ctx.dtype) for x in inputs)
        received, scalars = ends.new_zeros(len(ends), len(message)), ends.new_empty(len(features), len(heads))
        table, edge, message, heads = ends.view(-1, len(message)), edge.t(), message.t(), heads.t()
        keep, kept = any(ctx.needs_input_grad), []
        for block in edges.blocks(BLOCK_EDGES):
            first = bags(block.ends, table, block.doubles).addmm_(features[block.edges], edge)
            active = F.silu(first)
            second = torch.mm(active, message)
            m = F.silu(second)
            read = torch.mm(m, heads, out=scalars[block.edges])
            gate = torch.sigmoid(read[:, 0] + bias)
            received[block.nodes] += bags(block.rows, m, block.ptr, gate)
            if keep:
                # Derivatives need the activations and their arguments.
                kept += first, active, second, m, gate
        if keep:
            ctx.save_for_backward(*inputs, *kept)
        return received, scalars[:, 1:]

    @staticmethod
    def backward(ctx: Any, grad_received: Tensor, grad_scalars: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, needs = ctx.saved_tensors[:6], ctx.needs_input_grad[2:]
        values = [x.to(ctx.dtype) for x in inputs]
        if torch.is_grad_enabled():
            outputs = ctx.formula(ctx.edges, *values)
            return None, None, *differentiable_gradients(outputs, inputs, needs, (grad_received, grad_scalars))
        grads = _backward(ctx.edges, values, ctx.saved_tensors[6:], grad_received, grad_scalars, needs)
        return None, None, *(None if grad is None else grad.to(x.dtype) for grad, x in zip(grads, inputs, strict=True))


def _backward(
    edges: Edges,
    inputs: Sequence[Tensor],
    kept: Sequence[Tensor],
    grad_received: Tensor,
    grad_scalars: Tensor,
    needs: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """Compute derivatives by all inputs of the messages in blocks; those by weights only where needed."""
    ends, features, edge, message, heads, bias = inputs
    blocks, width = edges.blocks(BLOCK_EDGES), len(message)
    sizes = [len(block.rows) for block in blocks]
    d_ends, d_first, d_features = (
        torch.zeros_like(ends),
        ends.new_empty(len(features), width),
        torch.empty_like(features),
    )
    buffer = ends.new_empty(sizes[0], width)
    d_edge, d_message, d_heads, d_bias = totals(edge, message, heads, bias)
    parts = *(kept[i::5] for i in range(5)), *(x.split(sizes) for x in (features, grad_scalars, d_first, d_features))
    for block, first, active, second, m, gate, f, d_read, d_f, d_e in zip(blocks, *parts, strict=True):
        # Gradient of a gate: the product of its message with the gradient at the target.
        d_gate = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            grad_received, m, block.rows, block.rows[:0], block.target, 0
        )
        d_logit = (d_gate * gate * (1 - gate))[:, None]
        d_scalars = torch.cat([d_logit, d_read], dim=1)
        d_m = bags(block.target, grad_received, block.singles, gate).addmm_(d_scalars, heads)
        d_second = torch.ops.aten.silu_backward.grad_input(d_m, second, grad_input=d_m)
        d_active = torch.mm(d_second, message, out=buffer[: len(m)])
        torch.ops.aten.silu_backward.grad_input(d_active, first, grad_input=d_f)
        torch.mm(d_f, edge, out=d_e)
        d_ends[block.nodes, :width] += bags(block.rows, d_f, block.ptr)
        if any(needs[2:]):
            add_product(d_edge, d_f.t(), f)
            add_product(d_message, d_second.t(), active)
            add_product(d_heads, d_scalars.t(), m)
            d_bias += d_logit.sum()
    d_ends[:, width:] = bags(edges.by_source[0], d_first, edges.by_source[1])
    return d_ends, d_features, d_edge, d_message, d_heads, d_bias
