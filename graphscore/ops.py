r"""Tensor operations per graph of a ragged batch.

A batch of ``num_graphs`` graphs stores the rows (nodes, edges) of all graphs one after another; ``index`` [N] names the
graph of each row. ``num_graphs`` is always explicit: guessing it as ``index.max() + 1`` costs a device synchronisation
and is wrong when the last graphs are empty.

Reductions run on one of two back ends with the same results: ``"native"`` (PyTorch's own ``index_add``, the default)
and ``"scatter"`` (the optional torch-scatter package), chosen by :func:`use_backend`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor

from graphscore.rng import Generator as Generator
from graphscore.rng import randn as randn
from graphscore.runtime.derivatives import Function as Function

Reduction = Callable[[Tensor, Tensor, int], Tensor]
SegmentReduction = Callable[[Tensor, Tensor], Tensor]


def _sum_native(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    return values.new_zeros(num_graphs, *values.shape[1:]).index_add(0, index, values)


def _sum_scatter(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    if torch._C._are_functorch_transforms_active():  # it writes in place, which vmap does not allow
        return _sum_native(values, index, num_graphs)
    return _torch_scatter().scatter_sum(values, index, dim=0, dim_size=num_graphs)


def _torch_scatter() -> ModuleType:
    try:
        import torch_scatter  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            'The "scatter" back end needs torch-scatter: pip install --no-build-isolation "graphscore[scatter]"'
        ) from error
    return torch_scatter


def _max_native(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    place = index.view(-1, *[1] * (values.dim() - 1)).expand_as(values)
    zeros = values.new_zeros(num_graphs, *values.shape[1:])
    return zeros.scatter_reduce(0, place, values, "amax", include_self=False)


def _max_scatter(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    if torch._C._are_functorch_transforms_active():
        return _max_native(values, index, num_graphs)
    largest, row = _torch_scatter().scatter_max(values, index, dim=0, dim_size=num_graphs)
    rows = count(index, num_graphs).view(-1, *[1] * (values.dim() - 1))
    return torch.where((row == values.shape[0]) & (rows > 0), -torch.inf, largest)  # all -inf is not empty


def _segment_native(values: Tensor, ptr: Tensor) -> Tensor:
    if values.numel() == 0:
        return values.new_zeros(ptr.shape[0] - 1, *values.shape[1:])
    # A bag of consecutive rows: vectorised, on several threads, and summed in float32 also for bfloat16.
    rows = torch.arange(values.shape[0], device=values.device)
    # Not the function of torch.nn.functional, whose checks take longer than small sums.
    bags = torch.embedding_bag(values.reshape(len(rows), -1), rows, ptr, False, 0, False, None, True)[0]
    return bags.view(-1, *values.shape[1:])


def _segment_scatter(values: Tensor, ptr: Tensor) -> Tensor:
    return _torch_scatter().segment_csr(values, ptr, reduce="sum")


BACKENDS: dict[str, Reduction] = {"native": _sum_native, "scatter": _sum_scatter}
MAX_BACKENDS: dict[str, Reduction] = {"native": _max_native, "scatter": _max_scatter}
SEGMENT_BACKENDS: dict[str, SegmentReduction] = {"native": _segment_native, "scatter": _segment_scatter}
_active = "native"


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Select the back end of all per-graph sums and maxima inside the ``with`` block.

    Args:
        name: ``"native"`` or ``"scatter"``.

    Raises:
        ValueError: If there is no back end of that name.
    """
    global _active
    if name not in BACKENDS:
        raise ValueError(f"Unknown back end {name!r}; expected one of {sorted(BACKENDS)}")
    previous, _active = _active, name
    try:
        yield
    finally:
        _active = previous


def broadcast(values: Tensor, index: Tensor) -> Tensor:
    """Broadcast a value per graph to the rows of the graph.

    Args:
        values: One entry per graph, shape ``[B, *]``.
        index: Graph of each row, shape ``[N]``.

    Returns:
        Shape ``[N, *]``: ``values[index]``, for graphs of any size (tiling would mix the graphs up).
    """
    return values.index_select(0, index)


def per_row(values: Tensor, x: Tensor, index: Tensor) -> Tensor:
    """Broadcast a number per graph to the rows of the graph, as a factor of shape ``[N, 1]``.

    Args:
        values: One number per graph, shape ``[B]``, mostly float64.
        x: Rows to multiply, shape ``[N, D]``: the factors get their type and device.
        index: Graph of each row, shape ``[N]``.

    Returns:
        Shape ``[N, 1]``.
    """
    return broadcast(values.to(x), index)[:, None]


def sum(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    """Sum the rows of each graph.

    Args:
        values: Shape ``[N, *]``.
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.

    Returns:
        Shape ``[B, *]``; zero for an empty graph.
    """
    return BACKENDS[_active](values, index, num_graphs)


class _SegmentSum(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, index: Tensor, ptr: Tensor) -> Tensor:
        return SEGMENT_BACKENDS[_active](values, ptr)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        _, ctx.index, ctx.ptr = inputs

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # Rows of an expanded tensor are gathered far more slowly.
        return grad.contiguous().index_select(0, ctx.index), None, None

    @staticmethod
    def jvp(ctx, tangent: Tensor, *others: None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return segment_sum(tangent, ctx.index, ctx.ptr)


def segment_sum(values: Tensor, index: Tensor, ptr: Tensor) -> Tensor:
    """Sum consecutive rows: a faster :func:`sum` for a sorted index.

    Args:
        values: Shape ``[E, *]``.
        index: Segment of each row, rising, shape ``[E]``.
        ptr: Rows ``ptr[i]`` up to ``ptr[i + 1]`` form segment i, shape ``[N + 1]``.

    Returns:
        Shape ``[N, *]``; zero for an empty segment.
    """
    if torch.compiler.is_compiling():
        return sum(values, index, ptr.shape[0] - 1)
    return _SegmentSum.apply(values, index, ptr)  # pyright: ignore[reportReturnType]


def on_host(values: Tensor) -> bool:
    """Tell whether reading values in Python is free: on the CPU, outside ``torch.compile``."""
    return values.is_cpu and not torch.compiler.is_compiling()


def count(index: Tensor, num_graphs: int, dtype: torch.dtype | None = None) -> Tensor:
    """Count the rows of each graph.

    Args:
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.
        dtype: Type of the result, ``torch.long`` by default.

    Returns:
        Shape ``[B]``.
    """
    ones = torch.ones(index.shape[0], dtype=dtype or torch.long, device=index.device)
    return _sum_native(ones, index, num_graphs)


def mean(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    """Average the rows of each graph.

    Args:
        values: Shape ``[N, *]``.
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.

    Returns:
        Shape ``[B, *]``; zero for an empty graph.
    """
    rows = count(index, num_graphs, values.dtype).clamp(min=1)
    return sum(values, index, num_graphs) / rows.view(-1, *[1] * (values.dim() - 1))


class _Max(Function):
    """:func:`max` with the same derivative on all back ends."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
        return MAX_BACKENDS[_active](values, index, num_graphs)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        values, index, ctx.num_graphs = inputs
        ctx.save_for_backward(values, index, output)
        ctx.save_for_forward(values, index, output)

    @staticmethod
    def _share(ctx) -> tuple[Tensor, Tensor]:
        values, index, output = ctx.saved_tensors
        # Of several largest rows, each has the same part in the derivative of its graph.
        largest = (values == broadcast(output, index)).to(values.dtype)
        return largest / broadcast(sum(largest, index, ctx.num_graphs), index), index

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        share, index = _Max._share(ctx)
        return share * broadcast(grad, index), None, None

    @staticmethod
    def jvp(ctx, tangent: Tensor, *others: None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        share, index = _Max._share(ctx)
        return sum(share * tangent, index, ctx.num_graphs)


def max(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    """Take the maximum over the rows of each graph, column by column.

    The derivative goes to the largest row, in equal shares if there are several.

    Args:
        values: Floating-point numbers, shape ``[N, *]``.
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.

    Returns:
        Shape ``[B, *]``; zero for an empty graph.
    """
    if torch.compiler.is_compiling():
        return _max_native(values, index, num_graphs)
    return _Max.apply(values, index, num_graphs)  # pyright: ignore[reportReturnType]


def min(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    """Take the minimum over the rows of each graph, column by column: zero for an empty graph; see :func:`max`."""
    return -max(-values, index, num_graphs)


def softmax(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    """Compute the softmax over the rows of each graph, column by column.

    Args:
        values: Logits, shape ``[N, *]``; rows of ``-inf`` get the weight 0, unless all of a graph are.
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.

    Returns:
        Shape ``[N, *]``: positive, with a sum of 1 over each graph that has rows; ``nan`` where all are ``-inf``, as by
        ``torch.softmax``.
    """
    peak = max(values.detach(), index, num_graphs)
    weights = (values - broadcast(peak, index)).exp()
    return weights / broadcast(sum(weights, index, num_graphs), index)


def center(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    """Subtract each graph's mean from its rows: the projection onto the centre-free subspace.

    Args:
        values: Shape ``[N, *]``.
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.

    Returns:
        Shape ``[N, *]``, with zero mean in every graph.
    """
    return values - broadcast(mean(values, index, num_graphs), index)
