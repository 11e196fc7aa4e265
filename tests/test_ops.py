from __future__ import annotations

import importlib.util

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from graphscore import ops
from graphscore.rng import GraphGenerator

SIZES = st.lists(st.integers(0, 4), max_size=6)
WIDTHS = st.sampled_from([(), (1,), (3,), (2, 3), (0,)])
EXACT = {"rtol": 1e-14, "atol": 1e-14}

needs_scatter = pytest.mark.skipif(
    importlib.util.find_spec("torch_scatter") is None, reason="the optional torch-scatter is not installed"
)


def index_of(sizes: list[int]) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes, dtype=torch.long))


def ptr_of(sizes: list[int]) -> torch.Tensor:
    return torch.tensor([0, *sizes]).cumsum(0)


def values_of(sizes: list[int], width: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(sizes), *width, dtype=torch.float64, generator=generator)


def loop(values: torch.Tensor, sizes: list[int], function) -> torch.Tensor:
    """The reference: one graph after another."""
    if not sizes:
        return values[:0]
    return torch.stack([function(part) if len(part) else torch.zeros(values.shape[1:]).double()
                        for part in values.split(sizes)])  # fmt: skip


@given(SIZES, WIDTHS)
def test_sum_and_mean_equal_a_loop_over_graphs(sizes, width):
    values, index = values_of(sizes, width), index_of(sizes)
    assert_close(ops.sum(values, index, len(sizes)), loop(values, sizes, lambda v: v.sum(0)), **EXACT)
    assert_close(ops.mean(values, index, len(sizes)), loop(values, sizes, lambda v: v.mean(0)), **EXACT)


@given(SIZES, WIDTHS)
def test_max_min_and_softmax_equal_a_loop_over_graphs(sizes, width):
    values, index = values_of(sizes, width).round(decimals=1), index_of(sizes)
    assert torch.equal(ops.max(values, index, len(sizes)), loop(values, sizes, lambda v: v.amax(0)))
    assert torch.equal(ops.min(values, index, len(sizes)), loop(values, sizes, lambda v: v.amin(0)))
    expected = torch.cat([part.softmax(0) for part in values.split(sizes or 0)]) if sizes else values
    assert_close(ops.softmax(values + 800, index, len(sizes)), expected, rtol=1e-12, atol=1e-12)


def test_largest_rows_share_the_derivative():
    index = torch.tensor([2, 0, 0, 2, 0, 4])
    values = torch.tensor([1.0, 3, 3, -torch.inf, 2, -torch.inf], requires_grad=True)
    for function in (ops.max, lambda values, *args: -ops.min(-values, *args)):
        result = function(values, index, 6)
        assert result.tolist() == [3, 0, 1, 0, -torch.inf, 0]
        (gradient,) = torch.autograd.grad(result.sum(), values)
        assert gradient.tolist() == [1, 0.5, 0.5, 0, 0, 1]
    weights = ops.softmax(values, index, 6)
    assert weights[3] == 0 and weights[0] == 1 and weights[5].isnan()


@given(SIZES)
def test_count(sizes):
    count = ops.count(index_of(sizes), len(sizes))
    assert count.dtype == torch.long and count.tolist() == sizes
    assert ops.count(index_of(sizes), len(sizes), torch.float32).dtype == torch.float32


@given(SIZES, WIDTHS)
def test_center_is_the_projection_of_every_graph(sizes, width):
    values, index = values_of(sizes, width), index_of(sizes)
    centered = ops.center(values, index, len(sizes))
    expected = [part - part.mean(0, keepdim=True) if len(part) else part for part in values.split(sizes or 0)]
    assert_close(centered, torch.cat(expected) if sizes else values, **EXACT)
    assert_close(ops.center(centered, index, len(sizes)), centered, **EXACT)


@given(SIZES, WIDTHS)
def test_broadcast_gives_each_row_its_graphs_value(sizes, width):
    values = values_of([len(sizes)], width)
    rows = ops.broadcast(values, index_of(sizes))
    assert rows.shape == (sum(sizes), *width)
    for graph, part in enumerate(rows.split(sizes or 0)):
        assert (part == values[graph : graph + 1]).all()


def test_numbers_of_graphs_become_factors_of_rows_in_their_type():
    factors = ops.per_row(torch.tensor([2.0, 0.5, 1 / 3]).double(), torch.zeros(4, 2), index_of([1, 0, 3]))
    assert factors.dtype == torch.float32 and torch.equal(factors, torch.tensor([[2.0], [1 / 3], [1 / 3], [1 / 3]]))


def test_one_node_graphs_center_to_exactly_zero():
    assert (ops.center(torch.randn(5, 3), torch.arange(5), 5) == 0).all()


def test_rows_need_not_be_sorted():
    index, values = torch.tensor([2, 0, 2, 0]), torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    assert ops.sum(values, index, 3).flatten().tolist() == [10, 0, 5]
    assert ops.mean(values, index, 3).flatten().tolist() == [5, 0, 2.5]


@pytest.mark.parametrize("num_graphs", [3, 7])
def test_more_graphs_than_the_index_tells(num_graphs):
    values, index = torch.ones(2, 2), torch.tensor([0, 2])
    for function in (ops.sum, ops.mean):
        result = function(values, index, num_graphs)
        assert result.shape == (num_graphs, 2)
        assert result.sum(-1).tolist() == [2, 0, 2] + [0] * (num_graphs - 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_types_are_kept(dtype):
    values, index = torch.ones(3, 2, dtype=dtype), torch.tensor([0, 0, 1])
    for function in (ops.sum, ops.mean, ops.center, ops.max, ops.min, ops.softmax):
        assert function(values, index, 2).dtype == dtype


SMOOTH = [ops.sum, ops.mean, ops.center, ops.max, ops.min, ops.softmax]


@pytest.mark.parametrize("function", SMOOTH, ids=lambda f: f.__name__)
def test_first_and_second_gradients(function):
    index = torch.tensor([1, 1, 1, 2, 4, 4])
    values = values_of([6], (2,)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: function(v, index, 6) ** 3, (values,))
    assert torch.autograd.gradgradcheck(lambda v: function(v, index, 6) ** 3, (values,))


@given(SIZES, WIDTHS)
def test_sums_of_consecutive_rows_equal_a_loop(sizes, width):
    values, index = values_of(sizes, width), index_of(sizes)
    expected = ops.sum(values, index, len(sizes))
    assert_close(ops.segment_sum(values, index, ptr_of(sizes)), expected, **EXACT)


@pytest.mark.parametrize("name", ["sum", "mean", "center", "segment_sum", "max", "softmax"])
@pytest.mark.parametrize("backend", ["native", pytest.param("scatter", marks=needs_scatter)])
def test_functions_of_sums_can_be_transformed(backend, name):
    """Maps over many inputs, derivatives of each, forward mode and second derivatives: empty graphs among them."""
    sizes = [0, 3, 0, 1, 2, 0]
    index, many = index_of(sizes), torch.stack([values_of(sizes, (2,), seed) for seed in range(4)])

    def function(values):
        last = ptr_of(sizes) if name == "segment_sum" else len(sizes)
        return getattr(ops, name)(values, index, last)

    def cubed(values):
        return (function(values) ** 3).sum()

    with ops.use_backend(backend):
        assert_close(torch.vmap(function)(many), torch.stack([function(values) for values in many]), **EXACT)
        if name not in ("max", "softmax"):
            assert_close(torch.func.jvp(function, (many[0],), (many[1],))[1], function(many[1]), **EXACT)
        leaves = many.clone().requires_grad_()
        (expected,) = torch.autograd.grad(torch.stack([cubed(values) for values in leaves]).sum(), leaves)
        assert_close(torch.vmap(torch.func.grad(cubed))(many), expected, **EXACT)
        tangent = torch.func.jvp(torch.func.grad(cubed), (many[0],), (many[1],))[1]
        (first,) = torch.autograd.grad(cubed(leaves[0]), leaves, create_graph=True)
        (second,) = torch.autograd.grad((first[0] * many[1]).sum(), leaves)
        assert_close(tangent, second[0], **EXACT)


@needs_scatter
@given(SIZES, WIDTHS)
@pytest.mark.parametrize("name", ["sum", "mean", "center", "segment_sum", "max", "min", "softmax"])
def test_back_ends_agree_in_value_and_in_first_and_second_gradients(name, sizes, width):
    results = []
    for backend in ("native", "scatter"):
        with ops.use_backend(backend):
            values = values_of(sizes, width).requires_grad_()
            last = ptr_of(sizes) if name == "segment_sum" else len(sizes)
            result = getattr(ops, name)(values, index_of(sizes), last)
            (first,) = torch.autograd.grad((result**3).sum(), values, create_graph=True)
            (second,) = torch.autograd.grad((first**2).sum(), values)
            results.append((result.detach(), first.detach(), second))
    for native, scatter in zip(*results, strict=True):
        assert_close(scatter, native, **EXACT)


@needs_scatter
def test_the_scatter_back_end_calls_torch_scatter(monkeypatch):
    import torch_scatter

    calls = []
    real = torch_scatter.scatter_sum
    monkeypatch.setattr(torch_scatter, "scatter_sum", lambda *a, **k: calls.append(a) or real(*a, **k))
    with ops.use_backend("scatter"):
        ops.mean(torch.ones(2, 1), torch.tensor([0, 1]), 2)
    assert len(calls) == 1


def test_a_missing_torch_scatter_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch_scatter", None)
    with ops.use_backend("scatter"), pytest.raises(ImportError, match=r"graphscore\[scatter\]"):
        ops.sum(torch.ones(1, 1), torch.zeros(1, dtype=torch.long), 1)


def test_use_backend_restores_the_previous_one_after_an_error(monkeypatch):
    used = []
    monkeypatch.setattr(
        ops, "BACKENDS", {name: lambda *args, name=name: used.append(name) for name in ("native", "scatter")}
    )

    def probe():
        ops.sum(torch.ones(1, 1), torch.zeros(1, dtype=torch.long), 1)

    with ops.use_backend("native"):
        with pytest.raises(RuntimeError, match="inside"), ops.use_backend("scatter"):
            probe()
            raise RuntimeError("inside")
        probe()
    assert used == ["scatter", "native"]


def test_use_backend_rejects_unknown_names():
    with pytest.raises(ValueError, match=r"'cuda'.*\['native', 'scatter'\]"), ops.use_backend("cuda"):
        pass


def test_randn_takes_every_kind_of_generator():
    index = index_of([2, 0, 3])
    for make in (lambda: torch.Generator().manual_seed(3), lambda: GraphGenerator([1, 2, 3])):
        first, again = (ops.randn(index, 3, 2, dtype=torch.float64, generator=make()) for _ in range(2))
        assert first.shape == (5, 2) and first.dtype == torch.float64
        assert torch.equal(first, again)
    torch.manual_seed(1)
    free = ops.randn(index, 3, 2, dtype=torch.float32)
    torch.manual_seed(1)
    assert torch.equal(free, ops.randn(index, 3, 2, dtype=torch.float32)) and free.dtype == torch.float32
