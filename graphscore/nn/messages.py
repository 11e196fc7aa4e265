r"""Gated messages along edges: the work of a message-passing layer, in a form whose cost is that of its products.

With ``T, S, W, U`` linear maps without activation, the message from node j to node i and what i receives are

.. math::
    m_{ij} = \mathrm{silu}(U\,\mathrm{silu}(T h_i + S h_j + W e_{ij})), \qquad
    r_i = \sum_j \mathrm{sigmoid}(g \cdot m_{ij} + b)\, m_{ij}.

The first map over the concatenation of ``h_i``, ``h_j`` and ``e_ij`` is a sum of maps, so the two large ones run once
per node instead of once per edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from graphscore import ops
from graphscore.nn.edges import Edges

BLOCK_EDGES = 4096
"""Edges that are worked on at a time: so few that temporaries stay in the cache, so many that calls cost nothing."""


class GatedMessages(nn.Module):
    r"""Compute the messages of all edges, and sum them up at their targets.

    On a CPU, values and first derivatives are computed block by block of edges, so that of all temporaries only the
    activations that derivatives need are written to memory. Everything else (other devices, a compiler, second
    derivatives, forward mode) takes the same formula written plainly.

    Args:
        channels: Width F of node scalars and messages.
        edge_channels: Width C of edge features.
        num_heads: Number V of scalars to read off each message.
    """

    def __init__(self, channels: int, edge_channels: int, num_heads: int = 1) -> None:
        super().__init__()
        self.target = nn.Linear(channels, channels)
        self.source = nn.Linear(channels, channels, bias=False)
        self.edge = nn.Linear(edge_channels, channels, bias=False)
        # No bias: what comes out of an activation has a mean, and that serves as one.
        self.message = nn.Linear(channels, channels, bias=False)
        self.gate = nn.Linear(channels, 1)
        self.heads = nn.Linear(channels, num_heads, bias=False)

    def forward(self, h: Tensor, features: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """Send messages.

        Args:
            h: Node scalars, shape ``[N, F]``.
            features: Features of each edge, in the order of ``edges``, shape ``[E, C]``.
            edges: The edges.

        Returns:
            The gated sum ``r`` [N, F], and the heads of each message, linear in it, ``[E, V]``.
        """
        inputs = (
            self.target(h), self.source(h), features, self.edge.weight, self.message.weight,
            torch.cat([self.gate.weight, self.heads.weight]), self.gate.bias,
        )  # fmt: skip
        if _in_blocks(inputs[0], edges):
            return _Messages.apply(edges, *inputs)  # pyright: ignore[reportReturnType]
        return _messages(edges, *inputs)


def _in_blocks(target: Tensor, edges: Edges) -> bool:
    """Whether the hand-written form serves: it knows first derivatives in reverse mode."""
    return (
        target.is_cpu
        and len(edges.source) > 0
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
    )


def _messages(
    edges: Edges, target: Tensor, source: Tensor, features: Tensor, edge: Tensor, message: Tensor, heads: Tensor,
    bias: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The formula, for all devices and all derivatives."""
    pair = target.index_select(0, edges.target) + source.index_select(0, edges.source)
    m = F.silu(F.linear(F.silu(pair + F.linear(features, edge)), message))
    scalars = F.linear(m, heads)
    gate = (scalars[:, :1] + bias).sigmoid()
    return ops.segment_sum(gate * m, edges.target, edges.ptr), scalars[:, 1:]


class _Messages(Function):
    """:func:`_messages`, block by block."""

    @staticmethod
    def forward(ctx: Any, edges: Edges, *inputs: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.edges = edges
        ctx.dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else inputs[0].dtype
        target, source, features, edge, message, heads, bias = (x.to(ctx.dtype) for x in inputs)
        blocks, keep = edges.blocks(BLOCK_EDGES), any(ctx.needs_input_grad)
        # The activations and what goes into them, whole if derivatives will ask for them.
        rows = len(features) if keep else max(part.stop - part.start for _, part in blocks)
        buffers = [target.new_empty(rows, target.shape[1]) for _ in range(4 if keep else 2)]
        first, active, second, m = buffers if keep else (buffers[0], buffers[0], buffers[1], buffers[1])
        table, numbers = torch.cat([target, source]), torch.arange(rows)
        received, scalars, gates = torch.zeros_like(target), target.new_empty(len(features), len(heads)), []
        for nodes, part in blocks:
            size = part.stop - part.start
            at = part if keep else slice(size)
            pair = _bags(edges.pairs[part], table, None)
            torch.addmm(pair, features[part], edge.t(), out=first[at])
            torch.ops.aten.silu.out(first[at], out=active[at])
            torch.mm(active[at], message.t(), out=second[at])
            torch.ops.aten.silu.out(second[at], out=m[at])
            torch.mm(m[at], heads.t(), out=scalars[part])
            gates.append((scalars[part, 0] + bias).sigmoid())
            received[nodes] = _bags(
                numbers[:size], m[at], edges.ptr[nodes.start : nodes.stop + 1] - part.start, gates[-1]
            )
        if keep:
            ctx.save_for_backward(*inputs, *buffers, torch.cat(gates))
        return received, scalars[:, 1:]

    @staticmethod
    def backward(ctx: Any, grad_received: Tensor, grad_scalars: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, needs = ctx.saved_tensors[:7], ctx.needs_input_grad[1:]
        values = [x.to(ctx.dtype) for x in inputs]
        if torch.is_grad_enabled():
            # A derivative that can be differentiated again: take it of the formula.
            needed = [x for x, need in zip(inputs, needs, strict=True) if need]
            outputs = _messages(ctx.edges, *values)
            grads = iter(torch.autograd.grad(outputs, needed, (grad_received, grad_scalars), create_graph=True))
            return None, *(next(grads) if need else None for need in needs)
        grads = _backward(ctx.edges, values, ctx.saved_tensors[7:], grad_received, grad_scalars, needs)
        return None, *(None if grad is None else grad.to(x.dtype) for grad, x in zip(grads, inputs, strict=True))


def _backward(
    edges: Edges,
    inputs: Sequence[Tensor],
    kept: Sequence[Tensor],
    grad_received: Tensor,
    grad_scalars: Tensor,
    needs: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """Derivatives by all inputs of :func:`_messages`, block by block; those of weights only where needed."""
    target, _, features, edge, message, heads, bias = inputs
    blocks = edges.blocks(BLOCK_EDGES)
    largest = max(part.stop - part.start for _, part in blocks)
    numbers, buffer = torch.arange(largest), target.new_empty(largest, target.shape[1])
    d_target, d_pair, d_features = torch.zeros_like(target), torch.empty_like(kept[0]), torch.empty_like(features)
    # Summed over blocks in float32 or better.
    d_edge, d_message, d_heads, d_bias = (
        torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32)) for x in (edge, message, heads, bias)
    )
    for nodes, part in blocks:
        first, active, second, m, gate = (x[part] for x in kept)
        size, into = part.stop - part.start, edges.target[part]
        # What a gate gets: the product of its message with the gradient at the target.
        d_gate = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            grad_received, m, numbers[:size], numbers[:0], into, 0
        )
        d_logit = (d_gate * gate * (1 - gate))[:, None]
        d_scalars = torch.cat([d_logit, grad_scalars[part]], dim=1)
        d_m = _bags(into[:, None], grad_received, None, gate[:, None]).addmm_(d_scalars, heads)
        d_second = torch.ops.aten.silu_backward.grad_input(d_m, second, grad_input=d_m)
        d_active = torch.mm(d_second, message, out=buffer[:size])
        d_first = torch.ops.aten.silu_backward.grad_input(d_active, first, grad_input=d_pair[part])
        torch.mm(d_first, edge, out=d_features[part])
        d_target[nodes] = _bags(numbers[:size], d_first, edges.ptr[nodes.start : nodes.stop + 1] - part.start)
        if any(needs[3:]):
            d_edge += d_first.t() @ features[part]
            d_message += d_second.t() @ active
            d_heads += d_scalars.t() @ m
            d_bias += d_logit.sum()
    d_source = _bags(edges.by_source[0], d_pair, edges.by_source[1])
    return d_target, d_source, d_features, d_edge, d_message, d_heads, d_bias


def _bags(rows: Tensor, table: Tensor, ptr: Tensor | None, weight: Tensor | None = None) -> Tensor:
    """Sum rows of a table: those between pointers, or those listed in each row of ``rows``; with weights or without."""
    return F.embedding_bag(rows, table, ptr, mode="sum", per_sample_weights=weight, include_last_offset=ptr is not None)
