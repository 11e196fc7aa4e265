r"""Divergence of a function of a field's rows: exact, or estimated along random directions.

A function maps rows ``[rows, width]`` to rows of the same shape, each graph independently of the others. One backward
pass then serves all graphs at once. For a zero-mean field, pass the function composed with the field's projection and
take directions in its subspace: the divergence is then the one within the subspace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from graphscore import ops
from graphscore.linalg.autograd import differentiable, outside_inference_mode
from graphscore.rng import Generator

RowFunction = Callable[[Tensor], Tensor]
Projection = Literal["rademacher", "gaussian"]


def divergence(
    function: RowFunction, x: Tensor, index: Tensor, num_graphs: int, create_graph: bool = False
) -> tuple[Tensor, Tensor]:
    """Compute the exact divergence of a function in each graph, the trace of its Jacobian.

    This takes one backward pass for each entry of the largest graph.

    Args:
        function: Maps rows to rows of the same shape.
        x: Point of evaluation, shape ``[rows, width]``.
        index: Graph of each row, shape ``[rows]``.
        num_graphs: Number of graphs B.
        create_graph: Whether both results can be differentiated.

    Returns:
        The function's value ``[rows, width]`` and its divergence ``[B]``; zero for an empty graph.

    Raises:
        ValueError: If the value has another shape than ``x``.
    """
    value, diagonal = jacobian_diagonal(function, x, index, num_graphs, create_graph)
    with torch.set_grad_enabled(create_graph):
        return value, ops.sum(diagonal.sum(-1), index, num_graphs)


def jacobian_diagonal(
    function: RowFunction, x: Tensor, index: Tensor, num_graphs: int, create_graph: bool = False
) -> tuple[Tensor, Tensor]:
    """Compute a function's value and the diagonal of its Jacobian, both ``[rows, width]``; see :func:`divergence`."""
    value, pull_back = _linearize(function, x, create_graph)
    rows, order = ops.count(index, num_graphs), index.argsort(stable=True)
    place = torch.arange(len(index), device=index.device) - ops.broadcast(rows.cumsum(0) - rows, index[order])
    entry = torch.empty_like(place).scatter(0, order, place)[:, None] * x.shape[1] + torch.arange(
        x.shape[1], device=x.device
    )
    entries = x.shape[1] * int(rows.max()) if num_graphs else 0
    diagonal = torch.zeros_like(value)
    with torch.set_grad_enabled(create_graph):
        for number in range(entries):
            one_hot = (entry == number).to(value)
            diagonal = diagonal + one_hot * pull_back(one_hot)
    return value, diagonal


def projected_divergence(
    function: RowFunction,
    x: Tensor,
    directions: Tensor,
    index: Tensor,
    num_graphs: int,
    create_graph: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""Compute ``v^T J v`` of each graph along given directions v, where J is the function's Jacobian.

    Its mean over directions with ``E v v^T = I`` is the divergence. It costs one evaluation of the function, and one
    backward pass for each direction.

    Args:
        function: Maps rows to rows of the same shape.
        x: Point of evaluation, shape ``[rows, width]``.
        directions: One, shape ``[rows, width]``, or M, shape ``[M, rows, width]``; see :func:`random_directions`.
        index: Graph of each row, shape ``[rows]``.
        num_graphs: Number of graphs B.
        create_graph: Whether both results can be differentiated.

    Returns:
        The function's value ``[rows, width]`` and ``v^T J v``, shape ``[B]`` or ``[M, B]``; zero for an empty graph.

    Raises:
        ValueError: If the value has another shape than ``x``.

    References:
        Hutchinson (1990), A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines.
        Grathwohl et al. (2019), FFJORD: free-form continuous dynamics for scalable reversible generative models,
        equation 8.
    """
    value, pull_back = _linearize(function, x, create_graph)
    several = directions.dim() > x.dim()
    with torch.set_grad_enabled(create_graph):
        products = [
            ops.sum((direction * pull_back(direction)).sum(-1), index, num_graphs)
            for direction in (directions if several else directions[None])
        ]
        return value, torch.stack(products) if several else products[0]


def random_directions(
    x: Tensor,
    index: Tensor,
    num_graphs: int,
    *,
    count: int = 1,
    projection: Projection = "rademacher",
    generator: Generator = None,
) -> Tensor:
    """Draw random directions v with ``E v v^T = I``: shape ``[count, rows, width]``, in the type of ``x``.

    Args:
        x: Rows of the field, shape ``[rows, width]``, for their width and type.
        index: Graph of each row, shape ``[rows]``.
        num_graphs: Number of graphs B.
        count: Number of directions M.
        projection: ``"rademacher"``, entries of +1 or -1, with the lowest variance of all directions with independent
            entries; or ``"gaussian"``.
        generator: Source of the directions.

    Raises:
        ValueError: If there is no such kind of direction, or ``count`` is less than 1.
    """
    if projection not in ("rademacher", "gaussian"):
        raise ValueError(f"projection must be 'rademacher' or 'gaussian', but is {projection!r}")
    if count < 1:
        raise ValueError(f"At least one direction is needed, but {count} were asked for")
    normal = torch.stack(
        [ops.randn(index, num_graphs, x.shape[1], dtype=x.dtype, generator=generator) for _ in range(count)]
    )
    return normal if projection == "gaussian" else torch.where(normal < 0, -1.0, 1.0).to(x)


def _linearize(function: RowFunction, x: Tensor, create_graph: bool) -> tuple[Tensor, RowFunction]:
    """The value at ``x``, and the product with the transposed Jacobian as a function."""
    with outside_inference_mode(), torch.enable_grad():
        x = differentiable(x)
        x = x if x.requires_grad else x.detach().requires_grad_()
        value = function(x)
    if value.shape != x.shape:
        raise ValueError(f"The function must give rows of shape {list(x.shape)}, but gave {list(value.shape)}")

    @outside_inference_mode()
    def pull_back(cotangent: Tensor) -> Tensor:
        if not value.requires_grad:
            return torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(
            value,
            x,
            cotangent,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
        return gradient

    return (value if create_graph else value.detach()), pull_back
