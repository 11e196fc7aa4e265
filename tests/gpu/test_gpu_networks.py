"""Networks, per-graph operations, edges and random numbers on an accelerator equal those on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.nn import BACKBONES, randomize_heads
from graphscore.nn.edges.neighbors import complete_edges, knn_edges, radius_edges
from graphscore.nn.edges.sorted import Edges
from graphscore.rng import GraphGenerator, threefry2x32
from graphscore.runtime.precision import double_device
from graphscore.testing import ragged_batch

pytestmark = pytest.mark.gpu

SIZES = (0, 40, 1, 0, 60, 3, 0)
# Largest relative error of outputs and of gradients. In float64 they differ by the order of sums; TF32 keeps 11 bits,
# bfloat16 8.
TOLERANCES = {"float64": (1e-12, 1e-11), "float32": (1e-5, 1e-4), "high": (1e-2, 5e-2), "bfloat16": (5e-2, 2e-1)}


@pytest.fixture(params=TOLERANCES)
def precision(request, device) -> Iterator[str]:
    if request.param == "float64" and double_device(device) != device:
        pytest.skip(f"{device} has no float64")
    before = torch.get_float32_matmul_precision()
    if request.param == "high":
        torch.set_float32_matmul_precision("high")
    yield request.param
    torch.set_float32_matmul_precision(before)


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return randomize_heads(BACKBONES[name](64, 2, edge_channels=2, cond_channels=2, vector_channels=2)).double()


def given(batch: Batch) -> list[Tensor]:
    features = torch.randn(batch.num_nodes, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return [features, batch.pos, batch.edge_index, batch.batch, batch.y, batch.edge_attr]


def outputs_and_gradients(backbone: nn.Module, values: list[Tensor], autocast: bool) -> tuple[Tensor, Tensor]:
    """All outputs, and all gradients of their mean square, each in one vector, on the CPU in float64."""
    with torch.autocast(values[0].device.type, torch.bfloat16, enabled=autocast):
        outputs = torch.cat([value.flatten().to(values[0].dtype) for value in backbone(*values)])
    outputs.square().mean().backward()
    gradients = torch.cat([parameter.grad.flatten() for parameter in backbone.parameters()])
    return outputs.detach().cpu().double(), gradients.cpu().double()


def relative_error(value: Tensor, expected: Tensor) -> float:
    return float((value - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_is_the_same_on_the_device(name, precision, device):
    values, backbone = given(ragged_batch(SIZES)), build(name)
    expected = outputs_and_gradients(backbone, values, autocast=False)
    dtype = torch.float64 if precision == "float64" else torch.float32
    moved = build(name).to(device, dtype)
    there = [value.to(device, dtype) if value.is_floating_point() else value.to(device) for value in values]
    found = outputs_and_gradients(moved, there, autocast=precision == "bfloat16")
    for value, other, tolerance in zip(found, expected, TOLERANCES[precision], strict=True):
        assert relative_error(value, other) < tolerance


@pytest.mark.parametrize("name", sorted(BACKBONES.keys() - {"latent-transformer"}))  # it learns the largest size
def test_a_backbone_does_not_wait_for_the_device(name, device, never_waits):
    backbone, values = build(name).to(device), [value.to(device) for value in given(ragged_batch(SIZES))]
    backbone(*values)  # libraries load their kernels once
    with never_waits():
        scalars, vectors = backbone(*values)
        (scalars.sum() + vectors.sum()).backward()


def test_a_compiled_backbone_is_the_same_on_the_device(device):
    if device.type == "cpu":
        pytest.skip("tests/nn compiles for the CPU; a compiler of C++ would take a minute here")
    torch._dynamo.reset()
    values, backbone = given(ragged_batch(SIZES)), build("equivariant-transformer")
    expected = outputs_and_gradients(backbone, values, autocast=False)
    moved = build("equivariant-transformer").to(device, torch.float32)
    moved.compile(dynamic=True)
    there = [value.to(device, torch.float32) if value.is_floating_point() else value.to(device) for value in values]
    found = outputs_and_gradients(moved, there, autocast=False)
    for value, other, tolerance in zip(found, expected, TOLERANCES["float32"], strict=True):
        assert relative_error(value, other) < tolerance
    torch._dynamo.reset()


def segments(values: Tensor, index: Tensor) -> Tensor:
    return ops.segment_sum(values, index, torch.searchsorted(index, torch.arange(8, device=index.device)))


OPERATIONS = {
    "sum": lambda values, index: ops.sum(values, index, 7),
    "mean": lambda values, index: ops.mean(values, index, 7),
    "max": lambda values, index: ops.max(values, index, 7),
    "min": lambda values, index: ops.min(values, index, 7),
    "softmax": lambda values, index: ops.softmax(values, index, 7),
    "center": lambda values, index: ops.center(values, index, 7),
    "segments": segments,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_and_its_derivative_are_the_same_on_the_device(name, device):
    batch = ragged_batch(SIZES)
    dtype = torch.float64 if double_device(device) == device else torch.float32
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    results = []
    for place in (torch.device("cpu"), device):
        values = batch.x.to(place, dtype).requires_grad_()
        result = OPERATIONS[name](values, batch.batch.to(place))
        (gradient,) = torch.autograd.grad((result * torch.arange(len(result), device=place)[:, None]).sum(), values)
        results.append((result.detach().cpu(), gradient.cpu()))
    for value, other in zip(*results, strict=True):
        torch.testing.assert_close(value, other, **tolerance)
    assert ops.count(batch.batch.to(device), 7).tolist() == list(SIZES)


SEARCHES = {
    "complete": lambda batch: complete_edges(batch.ptr),
    "radius": lambda batch: radius_edges(batch.pos, batch.batch, batch.num_graphs, 1.5),
    "few of a radius": lambda batch: radius_edges(batch.pos, batch.batch, batch.num_graphs, 1.5, 4),
    "cells": lambda batch: radius_edges(batch.pos, batch.batch, batch.num_graphs, 0.3),
    "nearest": lambda batch: knn_edges(batch.pos, batch.batch, batch.num_graphs, 5),
    "sorted": lambda batch: torch.stack(
        [(edges := Edges.from_index(batch.edge_index.flip(1), batch.num_nodes)).source, edges.target]
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_edges_are_the_same_on_the_device(name, device):
    batch = ragged_batch((700, 600) if name == "cells" else SIZES, edgeless=(700, 600), dtype=torch.float32)
    expected = SEARCHES[name](batch)
    assert torch.equal(SEARCHES[name](batch.to(device)).cpu(), expected) and expected.shape[1] > 50


def test_random_words_are_equal_and_normal_numbers_to_rounding(device):
    generator = torch.Generator().manual_seed(0)
    words = [torch.randint(2**32, (1000,), generator=generator) for _ in range(4)]
    expected = threefry2x32((words[0], words[1]), (words[2], words[3]))
    words = [word.to(device) for word in words]
    for found, other in zip(threefry2x32((words[0], words[1]), (words[2], words[3])), expected, strict=True):
        assert torch.equal(found.cpu(), other)
    index, seeds = torch.arange(20_000) // 10_000, [5, 2**40]
    wide = double_device(device) == device
    tolerance = {"rtol": 0, "atol": 1e-13 if wide else 5e-6}
    expected = GraphGenerator(seeds).randn(index, 2, 3, torch.float64)
    found = GraphGenerator(seeds).randn(index.to(device), 2, 3, torch.float64 if wide else torch.float32)
    torch.testing.assert_close(found.cpu().double(), expected, **tolerance)


def test_random_numbers_of_a_graph_do_not_depend_on_the_batch(device):
    index = torch.tensor([0, 1, 0, 2, 1], device=device)
    together = GraphGenerator([7, 8, 9]).randn(index, 3, 3, torch.float32)
    for graph, seed in enumerate((7, 8, 9)):
        rows = index == graph
        alone = GraphGenerator([seed]).randn(torch.zeros_like(index[rows]), 1, 3, torch.float32)
        assert torch.equal(alone, together[rows])
