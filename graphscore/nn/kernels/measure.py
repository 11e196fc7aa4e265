"""Lengths and directions of edges, with a hand-written derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from graphscore import ops

if TYPE_CHECKING:
    from graphscore.nn.edges.sorted import Edges

Formula = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def differentiate_measure(formula: Formula, pos: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
    """Compute lengths and directions of edges, see :meth:`~graphscore.nn.edges.sorted.Edges.measure`.

    Args:
        formula: Computes them: ``formula(pos, source, target)``.
        pos: Positions, shape ``[N, D]``.
        edges: The edges.
    """
    return _Measure.apply(formula, pos, edges)  # pyright: ignore[reportReturnType]


class _Measure(ops.Function):
    """Lengths and directions with a fast derivative that needs only the result."""

    generate_vmap_rule = True

    @staticmethod
    def forward(formula: Formula, pos: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        return formula(pos, edges.source, edges.target)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Formula, Tensor, Edges], output: tuple[Tensor, Tensor]) -> None:
        ctx.edges = inputs[2]
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)

    @staticmethod
    def backward(ctx: Any, d_distance: Tensor, d_direction: Tensor) -> tuple[None, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (distance, direction), edges = ctx.saved_tensors, ctx.edges
        along = (1 + distance) * d_distance - (direction * d_direction).sum(-1, keepdim=True)
        d_difference = d_direction / (1 + distance) + direction * (along / distance)
        order, ptr = edges.by_source
        d_source = ops.segment_sum(d_difference.index_select(0, order), edges.source.index_select(0, order), ptr)
        return None, ops.segment_sum(d_difference, edges.target, edges.ptr) - d_source, None

    @staticmethod
    def jvp(ctx: Any, _: None, tangent: Tensor, *others: None) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (distance, direction), edges = ctx.saved_tensors, ctx.edges
        difference = tangent.index_select(0, edges.target) - tangent.index_select(0, edges.source)
        change = (direction * difference).sum(-1, keepdim=True) * (1 + distance) / distance
        return change, (difference - direction * change) / (1 + distance)
