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

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from graphscore.rng import Generator, randn_rows

Reduction = Callable[[Tensor, Tensor, int], Tensor]
SegmentReduction = Callable[[Tensor, Tensor], Tensor]


def _sum_native(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    return values.new_zeros(num_graphs, *values.shape[1:]).index_add(0, index, values)


def _sum_scatter(values: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    try:
        from torch_scatter import scatter_sum  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            'The "scatter" back end needs torch-scatter: pip install --no-build-isolation "graphscore[scatter]"'
        ) from error
    if torch._C._are_functorch_transforms_active():  # it writes in place, which vmap does not allow
        return _sum_native(values, index, num_graphs)
    return scatter_sum(values, index, dim=0, dim_size=num_graphs)


def _segment_native(values: Tensor, ptr: Tensor) -> Tensor:
    if values.numel() == 0:
        return values.new_zeros(ptr.shape[0] - 1, *values.shape[1:])
    # A bag of consecutive rows: vectorised, on several threads, and summed in float32 also for bfloat16.
    rows = torch.arange(values.shape[0], device=values.device)
    flat = values.reshape(values.shape[0], -1)
    bags = F.embedding_bag(rows, flat, ptr, mode="sum", include_last_offset=True)
    return bags.view(-1, *values.shape[1:])


def _segment_scatter(values: Tensor, ptr: Tensor) -> Tensor:
    from torch_scatter import segment_csr  # pyright: ignore[reportMissingImports]

    return segment_csr(values, ptr, reduce="sum")


BACKENDS: dict[str, Reduction] = {"native": _sum_native, "scatter": _sum_scatter}
SEGMENT_BACKENDS: dict[str, SegmentReduction] = {"native": _segment_native, "scatter": _segment_scatter}
_active = "native"


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Compute all per-graph sums inside the ``with`` block by the named back end.

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
    """Give each row its graph's value.

    Args:
        values: One entry per graph, shape ``[B, *]``.
        index: Graph of each row, shape ``[N]``.

    Returns:
        Shape ``[N, *]``: ``values[index]``, for graphs of any size (tiling would mix the graphs up).
    """
    return values.index_select(0, index)


def per_row(values: Tensor, x: Tensor, index: Tensor) -> Tensor:
    """Give each row its graph's number, as a factor of the row.

    Args:
        values: One number per graph, shape ``[B]``, mostly float64.
        x: The rows, shape ``[N, D]``: the factors get their type and device.
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
    """Sum consecutive rows: :func:`sum` for a sorted index, with less work.

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
    """Whether one may look at values: that would hold up another device than the CPU, and break a compiler's graph."""
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


def randn(index: Tensor, num_graphs: int, width: int, *, dtype: torch.dtype, generator: Generator = None) -> Tensor:
    """Draw standard normal rows.

    Args:
        index: Graph of each row, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.
        width: Number of columns D.
        dtype: Floating type of the result.
        generator: ``None`` (PyTorch's global generator), a ``torch.Generator``, or a
            :class:`~graphscore.rng.GraphGenerator`, with which a graph's noise does not depend on the others.

    Returns:
        Shape ``[N, D]`` on the device of ``index``.
    """
    return randn_rows(index, num_graphs, width, dtype, generator)
