"""The benchmark of the backbones runs, and compares what it says it does; nothing is timed in earnest."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from graphscore.nn import EGNN

FOLDER = Path(__file__).parents[1] / "benchmarks"
KEYS = [
    "case", "backbone", "variant", "forward_s", "train_s", "graphs_per_s", "peak_mib", "equivariance",
    "forward_vs_dense", "train_vs_dense", "train_vs_gemm",
]  # fmt: skip


@pytest.fixture
def load(monkeypatch):
    """Imports the scripts as they import each other."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def perturbed(module: nn.Module) -> Any:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return module.double()


@pytest.mark.parametrize(("edge", "cond"), [(2, 3), (0, 0)])
@pytest.mark.parametrize("name", ["dense", "naive"])
def test_plain_versions_have_our_outputs_and_derivatives(load, name, edge, cond):
    cases, baselines = load("cases"), load("baselines")
    ours = perturbed(EGNN(6, 3, edge_channels=edge, cond_channels=cond, vector_channels=2))
    plain = baselines.DenseEGNN(ours) if name == "dense" else baselines.NaiveEGNN(ours)
    graphs = cases.complete(cases.molecules((4, 1, 7)))
    found = []
    for network in (ours, plain):
        inputs = cases.features(graphs._replace(pos=graphs.pos.double()), 6, cond, edge)
        leaves = [x.requires_grad_() for x in inputs if x is not None and x.is_floating_point() and x.numel()]
        if network is plain and name == "dense":
            outputs = baselines.unpadded(network(*baselines.padded(inputs, graphs.sizes)), graphs.sizes)
        else:
            outputs = network(*inputs)
        sum(values.sin().sum() for values in outputs).backward()
        # By a common factor of all weights of a part, which does not depend on how its linear maps are split up.
        parts = [network.gain, *network.layers]
        scaled = [torch.stack([(w * w.grad).sum() for w in part.parameters() if w.grad is not None]) for part in parts]
        found.append([*outputs, *(x.grad for x in leaves), torch.stack([terms.sum() for terms in scaled])])
    for mine, other in zip(*found, strict=True):
        assert float(mine.detach().abs().min()) < float(mine.detach().abs().max())
        assert_close(other, mine, rtol=1e-9, atol=1e-9)


def test_cases_have_the_stated_sizes(load):
    cases = load("cases")
    sizes = cases.CASES
    assert list(sizes) == ["qm9", "mixed", "single", "drug"]
    assert len(sizes["qm9"]) == 64 and (min(sizes["qm9"]), max(sizes["qm9"])) == (9, 29)
    assert len(sizes["drug"]) == 16 and all(40 <= size <= 60 for size in sizes["drug"])
    assert sizes["single"] == (19,)
    small, large = sorted(sizes["mixed"])[:2], sorted(sizes["mixed"])[2:]
    assert len(large) == 2 and all(8 <= size <= 12 for size in small) and all(110 <= size <= 130 for size in large)


def test_edges_are_sorted_by_target_and_stay_in_their_graphs(load):
    cases = load("cases")
    graphs = cases.molecules((3, 40))
    number = {"complete": 3 * 2 + 40 * 39, "nearest": 3 * 2 + 40 * 5}
    for kind, found in {
        "complete": cases.complete(graphs), "within": cases.within(graphs, 3.0), "nearest": cases.nearest(graphs, 5),
    }.items():  # fmt: skip
        source, target = found.edge_index
        assert (target.diff() >= 0).all() and (source != target).all()
        assert (found.batch[source] == found.batch[target]).all()
        length = (found.pos[source] - found.pos[target]).norm(dim=1)
        assert float(length.max()) < 3 if kind == "within" else len(source) == number[kind]


class Square(torch.autograd.Function):
    """Products that autograd knows nothing of."""

    @staticmethod
    def forward(ctx, x):  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x)
        return torch.mm(x, x, out=torch.empty_like(x))

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return torch.zeros_like(x).addmm_(grad, x.t()) + x.t() @ grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_products_of_a_step_are_recorded_and_replayed(load, dtype):
    products, linear = load("products"), nn.Linear(5, 4)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            h = linear(torch.randn(7, 5))
        Square.apply(h[:4].float()).sum().backward()  # pyright: ignore[reportAttributeAccessIssue]

    found = products.recorded(step)
    names = [product.function._schema.name for product in found]
    # The linear map, the function's own product, its two derivatives, and that of the weights.
    assert names == ["aten::addmm", "aten::mm", "aten::addmm_", "aten::mm", "aten::mm"]
    assert [product.result.dtype for product in found] == [dtype, *3 * [torch.float32], dtype]
    assert found[0].args[2] == products.Layout((5, 4), (1, 5), dtype)
    again = products.recorded(products.replay(found))
    assert [(p.function._schema.name, p.args, p.result) for p in again] == [
        (name, p.args, p.result) for name, p in zip(names, found, strict=True)
    ]


def test_rounds_rotate_and_stop_in_time(load, monkeypatch):
    measure, seen = load("measure"), []
    monkeypatch.setattr(measure, "TURN", 0.0)
    tasks = {name: lambda name=name: seen.append(name) for name in "abc"}
    assert all(0 <= seconds < 0.1 for seconds in measure.interleaved(tasks, rounds=2, seconds=60).values())
    assert "".join(seen) == "abcbca"
    measure.interleaved(tasks, rounds=9, seconds=0)
    assert len(seen) == 6 + 3 * measure.FEWEST_ROUNDS


def test_errors_are_seen(load):
    cases, compare, contenders, measure = (load(name) for name in ("cases", "compare", "contenders", "measure"))
    graphs = cases.complete(cases.molecules((5, 9)))
    dense, ours = field = [contenders.build("egnn", variant, (2, 8)) for variant in ("dense", "fp32")]
    lines: list[str] = []
    compare.check_equal("single", graphs, field, lines.append)
    assert len(lines) == 1 and "(fp32)" in lines[0]
    assert max(measure.equivariance_error(contender, graphs) for contender in (dense, ours)) < 1e-5
    with torch.no_grad():
        ours.module.gain.weight += 0.1
    with pytest.raises(RuntimeError, match="differ from the dense"):
        compare.check_equal("single", graphs, field, lines.append)
    ours.module = lambda h, pos, *rest: (pos, pos[:, None])
    assert measure.equivariance_error(ours, graphs) > 0.1


def test_partners_share_their_rounds(load):
    compare, contenders = load("compare"), load("contenders")
    names = list(contenders.SETUPS)
    grouped = compare.groups(names)
    assert sorted(name for group in grouped for name in group) == sorted(names)
    partners = {(name, setup.partner) for name, setup in contenders.SETUPS.items() if setup.partner}
    assert partners == {tuple(group) for group in grouped if len(group) > 1}
    assert compare.groups(["egnn"]) == [["egnn"]]


def test_the_command_runs_and_writes_its_rows(tmp_path):
    out = tmp_path / "benchmarks.json"
    command = [sys.executable, FOLDER / "bench_backbones.py", "--size", "2x8", "--rounds", "1", "--threads", "1"]
    options = ["--case", "single", "--backbone", "egnn", "--backbone", "pyg-schnet", "--no-scaling", "--out", out]
    variants = ["dense", "naive", "fp32", "medium", "bf16"]
    for variant in variants:
        options += ["--variant", variant]
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parents[1])}
    result = subprocess.run(
        [*command, *options], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert all(list(row) == KEYS for row in rows)
    assert [row["variant"] for row in rows] == [*variants, "fp32"]
    assert [row["backbone"] for row in rows] == [*5 * ["egnn"], "pyg-schnet"]
    for row in rows:
        ours = row["backbone"] == "egnn"
        assert row["case"] == "single" and row["forward_s"] > 0 and row["train_s"] > 0
        assert row["graphs_per_s"] == 1 / row["train_s"]
        assert (row["train_vs_dense"] is not None) == ours
        assert (row["train_vs_gemm"] is not None) == (row["variant"] in ("fp32", "medium", "bf16") and ours)
        assert row["equivariance"] < (0.1 if row["variant"] == "bf16" else 1e-4)
        assert not sys.platform.startswith("linux") or row["peak_mib"] >= 0


def test_bad_options_are_named():
    command = [sys.executable, FOLDER / "bench_backbones.py", "--allocator", "jemalloc"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 2 and "jemalloc" in result.stderr
