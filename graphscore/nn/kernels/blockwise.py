r"""Sums over blocks of edges: the common part of kernels that work block by block, with derivatives by hand.

On a CPU, a tensor with a row of channels for each edge is much larger than the cache, and a formula written plainly
moves a dozen of them through memory. Block by block they stay in the cache. Such a layer has its formula written
plainly too: for other devices, compilers and derivatives, and as what its tests compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphscore import ops
from graphscore.nn.edges.sorted import Edges


def in_blocks(values: Tensor, edges: Edges) -> bool:
    """Check that a kernel can be used: on a CPU, for values and first derivatives in reverse mode alone."""
    return (
        ops.on_host(values)
        and len(edges.source) > 0
        and not torch._C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
    )


def bags(rows: Tensor, table: Tensor, ptr: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum the rows of a table that are listed between pointers, with weights or without.

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
    """Zeros to add up derivatives of blocks in, in float32 or better."""
    return [torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32)) for x in like]


def differentiable_gradients(
    outputs: Tensor | Sequence[Tensor], inputs: Sequence[Any], needs: Sequence[bool], grads: Tensor | Sequence[Tensor]
) -> list[Tensor | None]:
    """Derivatives that can be differentiated again, of a formula written plainly, by the inputs that need one."""
    needed = [x for x, need in zip(inputs, needs, strict=True) if need]
    results = iter(torch.autograd.grad(outputs, needed, grads, create_graph=True))
    return [next(results) if need else None for need in needs]
