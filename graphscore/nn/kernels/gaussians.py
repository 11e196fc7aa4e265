"""Gaussians of a distance, with a hand-written derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from graphscore import ops

Formula = Callable[[Tensor, Tensor, float], Tensor]


def differentiate_gaussians(formula: Formula, distance: Tensor, centers: Tensor, inverse_width: float) -> Tensor:
    """Compute the Gaussians of :class:`~graphscore.nn.layers.radial.GaussianBasis`, with a hand-written derivative.

    Args:
        formula: Computes them: ``formula(distance, centers, inverse_width)``.
        distance: Shape ``[*, 1]``.
        centers: Shape ``[channels]``; no derivative by these.
        inverse_width: Inverse of the width w.
    """
    return _Gaussians.apply(formula, distance, centers, inverse_width)  # pyright: ignore[reportReturnType]


class _Gaussians(ops.Function):
    """``exp(-(d - c)^2 / 2 w^2)`` with a fast derivative that needs only its input and output."""

    generate_vmap_rule = True

    @staticmethod
    def forward(formula: Formula, distance: Tensor, centers: Tensor, inverse_width: float) -> Tensor:
        return formula(distance, centers, inverse_width)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Formula, Tensor, Tensor, float], output: Tensor) -> None:
        _, distance, ctx.centers, ctx.inverse_width = inputs
        ctx.save_for_backward(distance, output)
        ctx.save_for_forward(distance, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        distance, output = ctx.saved_tensors
        weights = grad * output
        moment = (weights @ ctx.centers[:, None]).view_as(distance)
        return None, (moment - distance * weights.sum(-1, keepdim=True)) * ctx.inverse_width**2, None, None

    @staticmethod
    def jvp(ctx: Any, _: None, tangent: Tensor, *others: None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        distance, output = ctx.saved_tensors
        return output * ((ctx.centers - distance) * tangent * ctx.inverse_width**2)
