"""Attention along edges on a CPU, in blocks of edges and with hand-written derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from graphscore.nn.edges.geometry import EdgeGeometry, Fan, Rows
from graphscore.nn.kernels.blockwise import bags, differentiable_gradients

Formula = Callable[..., tuple[Tensor, Tensor]]


def attend_in_blocks(formula: Formula, geometry: EdgeGeometry, *inputs: Tensor | None) -> tuple[Tensor, Tensor]:
    """Compute the formula of :class:`~graphscore.nn.layers.attention.EquivariantAttention`, block by block.

    Args:
        formula: Reference implementation ``formula(edges, *inputs)`` in PyTorch, for second derivatives.
        geometry: The edges.
        *inputs: ``query``, ``source``, ``vectors``, ``features``, ``weight``, ``factors``, ``envelope`` and
            ``direction``, as the formula takes them.
    """
    return _Attention.apply(formula, geometry, *inputs)  # pyright: ignore[reportReturnType]


class _Attention(Function):
    """The attention, block by block."""

    @staticmethod
    def forward(ctx: Any, formula: Formula, geometry: EdgeGeometry, *inputs: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.formula, ctx.geometry = formula, geometry
        ctx.dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else inputs[0].dtype
        received, turned, products = _forward(geometry, *_cast(inputs, ctx.dtype))
        ctx.save_for_backward(*inputs, products)
        return received, turned

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        *inputs, products = ctx.saved_tensors
        needs, values = ctx.needs_input_grad[2:], _cast(inputs, ctx.dtype)
        if torch.is_grad_enabled():
            outputs = ctx.formula(ctx.geometry.edges, *values)
            return None, None, *differentiable_gradients(outputs, inputs, needs, grads)
        results = _backward(ctx.geometry, values, products, grads, needs)
        return None, None, *(None if x is None else x.to(like.dtype) for x, like in zip(results, inputs, strict=True))


def _cast(inputs: Sequence[Tensor | None], dtype: torch.dtype) -> list[Any]:
    return [None if x is None else x.to(dtype) for x in inputs]


def _parts(values: Tensor, width: int) -> Tensor:
    """Split rows ``[N, P * F]`` or ``[N, P, F]`` into tables ``[P, N, F]``, from which rows are gathered fastest."""
    return values.view(len(values), -1, width).transpose(0, 1).contiguous()


class _Values:
    """Filtered values ``silu(features @ weight.T) * table[source]`` of one kind, with their derivatives."""

    def __init__(self, features: Tensor, weight: Tensor, table: Tensor, buffers: Sequence[Tensor]) -> None:
        self.features, self.weight, self.table, self.buffers = features, weight, table, buffers
        # Derivatives are summed over blocks in float32 or better.
        self.exact = torch.promote_types(table.dtype, torch.float32)

    @cached_property
    def d_weight(self) -> Tensor:
        """Derivative by the weight, transposed."""
        return self.weight.new_zeros(self.weight.shape[::-1], dtype=self.exact)

    @cached_property
    def d_table(self) -> Tensor:
        """Derivative by the table."""
        return torch.zeros_like(self.table, dtype=self.exact)

    def send(self, rows: Rows, leave: Tensor) -> Tensor:
        """Compute the values ``[edges, F]`` of a block with the given source nodes."""
        first, self.filters, self.sent, product = (buffer[: len(leave)] for buffer in self.buffers)
        self.rows, some = rows, slice(len(rows.features))
        self.first = torch.mm(rows.features.to(self.weight.dtype), self.weight.t(), out=first[some])
        filters = self.filters if rows.number is None else self.sent[some]
        torch.ops.aten.silu.out(self.first, out=filters)
        if rows.number is not None:
            torch.index_select(filters, 0, rows.number, out=self.filters)
        torch.index_select(self.table, 0, leave, out=self.sent)
        return torch.mul(self.sent, self.filters, out=product)

    def trace_back(self, grad: Tensor, part: slice, fan: Fan, d_features: Tensor | None, learns: bool) -> None:
        """Add the derivatives of the last block that was sent; overwrites its gradient."""
        d_filters = self.sent.mul_(grad)
        _add(self.d_table, fan, grad.mul_(self.filters))
        number, first = self.rows.number, self.first
        first = first if number is None else torch.index_select(first, 0, number, out=self.filters)
        d_first = torch.ops.aten.silu_backward.grad_input(d_filters, first, grad_input=d_filters)
        if learns:
            # This way round the product is faster.
            self.d_weight += self.features[part].t() @ d_first
        if d_features is not None:
            d_features[part] += d_first @ self.weight


def _forward(
    geometry: EdgeGeometry, query: Tensor, source: Tensor, vectors: Tensor | None, features: Tensor, weight: Tensor,
    factors: Tensor, envelope: Tensor, direction: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Compute the attention, and the inner products of queries and keys ``[E, H]``."""
    edges, (width, heads) = geometry.edges, (query.shape[1], factors.shape[1])
    along, (asked, *buffers) = direction.t().contiguous(), _buffers(query, geometry, 5)
    keys, *tables = _parts(source, width)
    scalar, push, *carry = (_Values(features, *pair, buffers) for pair in zip(weight.split(width), tables, strict=True))
    components = () if vectors is None else _parts(vectors, width)
    received, products = torch.zeros_like(query), torch.empty_like(factors)
    turned = query.new_zeros(len(along), *query.shape)
    for block, shared in zip(geometry.blocks, geometry.rows, strict=True):
        size, nodes, part, rows, ptr = len(block.rows), block.nodes, block.edges, block.rows, block.ptr
        leave, c, some, by_head = edges.source[part], envelope[part], asked[:size], (size, heads, width // heads)
        torch.index_select(query, 0, edges.target[part], out=some)
        some.mul_(torch.index_select(keys, 0, leave, out=buffers[0][:size]))
        torch.sum(some.view(by_head), -1, out=products[part])
        attention = F.silu(products[part] * factors[part]) * c[:, None]
        sent = scalar.send(shared, leave)
        sent.view(by_head).mul_(attention[:, :, None])
        received[nodes] += bags(rows, sent, ptr)
        sent = push.send(shared, leave)
        for axis, weights in enumerate(along[:, part]):
            turned[axis, nodes] += bags(rows, sent, ptr, weights)
        sent = carry[0].send(shared, leave) if carry else sent
        for axis, component in enumerate(components):
            torch.index_select(component, 0, leave, out=some).mul_(sent)
            turned[axis, nodes] += bags(rows, some, ptr, c)
    return received, turned.transpose(0, 1).contiguous(), products


def _backward(
    geometry: EdgeGeometry, inputs: Sequence[Any], products: Tensor, grads: Sequence[Tensor], needs: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Compute derivatives by all inputs of the attention in blocks; those by edge inputs only where needed."""
    query, source, vectors, features, weight, factors, envelope, direction = inputs
    edges, (width, heads), dim = geometry.edges, (query.shape[1], factors.shape[1]), direction.shape[1]
    axes, buffers = torch.arange(dim), _buffers(query, geometry, 8)
    keys, *tables = _parts(source, width)
    pairs = zip(weight.split(width), tables, strict=True)
    values = scalar, push, *carry = [_Values(features, *pair, buffers[:4]) for pair in pairs]
    components = () if vectors is None else _parts(vectors, width)
    grad_received, grad_turned = grads[0].contiguous(), grads[1].reshape(-1, width)
    d_query, d_factors = torch.zeros_like(query), torch.empty_like(factors)
    d_features, d_envelope, d_direction = (torch.zeros_like(inputs[i]) if needs[i] else None for i in (3, 6, 7))
    d_keys, *d_components = (torch.zeros_like(scalar.d_table) for _ in range(1 + len(components)))
    for block, shared, fan in zip(geometry.blocks, geometry.rows, geometry.fans, strict=True):
        size, nodes, part = len(block.rows), block.nodes, block.edges
        leave, enter, c = edges.source[part], edges.target[part], envelope[part]
        some, other, pulled, d_carry = (buffer[:size] for buffer in buffers[4:])
        ends, by_head = enter[:, None] * dim + axes, (size, heads, width // heads)
        # Values for scalars, attention, queries and keys.
        logits = products[part] * factors[part]
        attention = F.silu(logits)
        torch.index_select(grad_received, 0, enter, out=some)
        d_attention = torch.mul(some, scalar.send(shared, leave), out=other).view(by_head).sum(-1)
        some.view(by_head).mul_((attention * c[:, None])[:, :, None])
        scalar.trace_back(some, part, fan, d_features, needs[4])
        d_logits = torch.ops.aten.silu_backward(d_attention * c[:, None], logits)
        torch.mul(d_logits, products[part], out=d_factors[part])
        d_products = (d_logits * factors[part])[:, :, None]
        torch.index_select(keys, 0, leave, out=some).view(by_head).mul_(d_products)
        d_query[nodes] += bags(block.rows, some, block.ptr)
        torch.index_select(query, 0, enter, out=some).view(by_head).mul_(d_products)
        _add(d_keys, fan, some)
        # Values for directions.
        d_push = bags(ends.flatten(), grad_turned, block.singles * dim, direction[part].flatten())
        sent = push.send(shared, leave)
        if d_direction is not None:
            for axis in range(dim):
                torch.index_select(grad_turned, 0, ends[:, axis], out=pulled)
                torch.sum(pulled.mul_(sent), 1, out=d_direction[part, axis])
        push.trace_back(d_push, part, fan, d_features, needs[4])
        # Values for vectors, by component.
        sent = carry[0].send(shared, leave) if carry else sent
        d_carry.zero_()
        for axis, component in enumerate(components):
            torch.index_select(grad_turned, 0, ends[:, axis], out=pulled)
            d_carry.addcmul_(pulled, torch.index_select(component, 0, leave, out=other))
            _add(d_components[axis], fan, pulled.mul_(sent), c)
        if d_envelope is not None:
            d_envelope[part] = (attention * d_attention).sum(1) + (d_carry * sent).sum(1)
        if carry:
            carry[0].trace_back(d_carry.mul_(c[:, None]), part, fan, d_features, needs[4])
    d_source = torch.stack([d_keys, *(value.d_table for value in values)], dim=1).flatten(1)
    d_vectors = torch.stack(d_components, dim=1) if carry else None
    d_weight = torch.cat([value.d_weight.t() for value in values])
    return d_query, d_source, d_vectors, d_features, d_weight, d_factors, d_envelope, d_direction


def _buffers(like: Tensor, geometry: EdgeGeometry, number: int) -> list[Tensor]:
    """Allocate tables with a row for each edge of the largest block."""
    largest = max(len(block.rows) for block in geometry.blocks)
    return [like.new_empty(largest, like.shape[1]) for _ in range(number)]


def _add(total: Tensor, fan: Fan, values: Tensor, weights: Tensor | None = None) -> None:
    """Sum the rows of a block by source node, and add the sums to a total."""
    weights = None if weights is None else weights.index_select(0, fan.order)
    total.index_add_(0, fan.sources, bags(fan.order, values, fan.ptr, weights).to(total.dtype))
