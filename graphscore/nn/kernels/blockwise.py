r"""Common functions of kernels that work in blocks of edges, with hand-written derivatives.

On a CPU, a tensor with a row of channels for each edge is much larger than the cache, and a formula in plain PyTorch
moves a dozen of them through memory. In blocks they stay in the cache. Each such layer also has its formula in plain
PyTorch, for other devices, compilers and higher derivatives, and as the reference of its tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphscore import ops
from graphscore.nn.edges.sorted import Edges

FEW = 40_000
"""Numbers of edges times channels up to which plain PyTorch is faster: all fits in the cache, and has fewer calls."""


def in_blocks(values: Tensor, edges: Edges) -> bool:
    """Check that a kernel can be used and pays: on a CPU, for values and first derivatives in reverse mode only.

    Args:
        values: Values of nodes with as many channels as messages, shape ``[N, *, F]``.
        edges: The edges.
    """
    return (
        ops.on_host(values)
        and edges.source.shape[0] * values.shape[-1] > FEW
        and not torch._C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
    )


def bags(rows: Tensor, table: Tensor, ptr: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum segments of rows that are gathered from a table, optionally with weights.

    Args:
        rows: Numbers of rows, shape ``[R]``.
        table: Shape ``[*, F]``.
        ptr: Those listed from ``ptr[i]`` up to ``ptr[i + 1]`` form sum i, shape ``[S + 1]``.
        weight: A factor of each, shape ``[R]``.

    Returns:
        Shape ``[S, F]``, in the type of the table, summed in float32 or better.
    """
    # Not the function of torch.nn.functional, whose checks take longer than small sums.
    return torch.embedding_bag(table, rows, ptr, False, 0, False, weight, True)[0]


def add_product(total: Tensor, one: Tensor, two: Tensor) -> None:
    """Add a matrix product to a total, which may be of a wider type."""
    if total.dtype == one.dtype:
        total.addmm_(one, two)
    else:
        total += one @ two


def totals(*like: Tensor) -> list[Tensor]:
    """Allocate zeros, in float32 or better, to add up derivatives of blocks in."""
    return [torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32)) for x in like]


def differentiable_gradients(
    outputs: Tensor | Sequence[Tensor], inputs: Sequence[Any], needs: Sequence[bool], grads: Tensor | Sequence[Tensor]
) -> list[Tensor | None]:
    """Compute derivatives of a formula by the inputs that need one, so that they can be differentiated again."""
    needed = [x for x, need in zip(inputs, needs, strict=True) if need]
    results = iter(torch.autograd.grad(outputs, needed, grads, create_graph=True))
    return [next(results) if need else None for need in needs]
