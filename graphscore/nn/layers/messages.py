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
from graphscore.nn.checks import check_width
from graphscore.nn.edges.sorted import Edges
from graphscore.nn.kernels.blockwise import add_product, bags, differentiable_gradients, in_blocks, totals

BLOCK_EDGES = 8192
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
        self.ends = nn.Linear(channels, 2 * channels)
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
        check_width(self, "features", features, self.edge.in_features)
        ends = self.ends(h)
        inputs = (
            ends, features.to(ends.dtype), self.edge.weight, self.message.weight,
            torch.cat([self.gate.weight, self.heads.weight]), self.gate.bias,
        )  # fmt: skip
        if in_blocks(ends, edges):
            return _Messages.apply(edges, *inputs)  # pyright: ignore[reportReturnType]
        return _messages(edges, *inputs)


def _messages(
    edges: Edges, ends: Tensor, features: Tensor, edge: Tensor, message: Tensor, heads: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """The formula, for all devices and all derivatives; ``ends`` [N, 2 F] holds ``T h`` and ``S h``."""
    target, source = ends.chunk(2, dim=1)
    pair = target.index_select(0, edges.target) + source.index_select(0, edges.source)
    m = F.silu(F.linear(F.silu(pair + F.linear(features, edge)), message))
    scalars = F.linear(m, heads)
    gate = (scalars[:, :1] + bias).sigmoid()
    return ops.segment_sum(gate * m, edges.target, edges.ptr), scalars[:, 1:]


class _Messages(Function):
    """:func:`_messages`, block by block."""

    @staticmethod
    def forward(ctx: Any, edges: Edges, *inputs: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # Under autocast only weights are of another type than what linear maps give.
        ctx.edges, ctx.dtype = edges, inputs[0].dtype
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
                # The activations and what goes into them are what derivatives need.
                kept += first, active, second, m, gate
        if keep:
            ctx.save_for_backward(*inputs, *kept)
        return received, scalars[:, 1:]

    @staticmethod
    def backward(ctx: Any, grad_received: Tensor, grad_scalars: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, needs = ctx.saved_tensors[:6], ctx.needs_input_grad[1:]
        values = [x.to(ctx.dtype) for x in inputs]
        if torch.is_grad_enabled():
            outputs = _messages(ctx.edges, *values)
            return None, *differentiable_gradients(outputs, inputs, needs, (grad_received, grad_scalars))
        grads = _backward(ctx.edges, values, ctx.saved_tensors[6:], grad_received, grad_scalars, needs)
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
        # What a gate gets: the product of its message with the gradient at the target.
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
