"""Training on Lightning: rounded products, and compiled networks."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn

from graphscore.nn.backbones.base import SizedBackbone
from graphscore.objectives import Objective
from graphscore.train.engine import RESUME_FILE, fit

OPTIONS = {"accelerator": "cpu"}


class Neighborly(SizedBackbone):
    """Little to compile: that the backbones here can be compiled is tested where they are."""

    symmetry = "none"

    def __init__(self) -> None:
        super().__init__(hidden_channels=8, num_layers=1, edge_channels=0, cond_channels=8, vector_channels=1)
        self.linear = nn.Linear(16, 8)

    def forward(self, h, pos, graph):
        sent = torch.tanh(self.linear(torch.cat([h, graph.cond[graph.batch]], dim=-1)))[graph.edge_index[0]]
        h = h + torch.zeros_like(h).index_add(0, graph.edge_index[1], sent)
        return h, pos[:, None] * h[:, :1, None]


@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch's compiler for CPUs needs g++")
def test_a_compiled_backbone_learns_the_same_and_is_saved_as_any_other(make_graphs, make_task, config, tmp_path):
    averages = []
    for compiled in (False, True):
        torch.manual_seed(0)
        task, settings = make_task(Neighborly()), config(max_steps=3, compile=compiled)
        averages.append(
            fit(task, settings, make_graphs(7), [], tmp_path / str(compiled), progress=False, trainer_options=OPTIONS)
        )
        kernels = [name for name, module in task.named_modules() if module._compiled_call_impl is not None]
        assert kernels == (["model.network.backbone"] if compiled else [])
    plain, optimised = (fitted.averages[0].state_dict() for fitted in averages)
    assert plain.keys() == optimised.keys()
    for name, value in plain.items():
        torch.testing.assert_close(optimised[name], value, rtol=1e-4, atol=1e-6)


def test_in_tfloat32_cuda_may_round_products_during_the_fit_alone(
    make_graphs, make_task, config, tmp_path, monkeypatch
):
    seen = []

    class Watched(Objective):
        def __call__(self, *args, **options):
            seen.append(torch.backends.cuda.matmul.allow_tf32)
            return super().__call__(*args, **options)

    for precision in ("tfloat32", "float32"):
        task = make_task()
        task.objective = Watched(task.objective.function, task.objective.options)
        settings = config(precision=precision, max_steps=1)
        fit(task, settings, make_graphs(6), [], tmp_path, progress=False, trainer_options=OPTIONS)
    assert seen == [True, False] and not torch.backends.cuda.matmul.allow_tf32


def test_in_bfloat16_products_are_rounded_and_nothing_that_is_kept(make_graphs, make_task, config, tmp_path):
    calls: list[tuple[torch.dtype, bool, torch.Tensor]] = []

    class Watched(Objective):
        def __call__(self, *args, **options):
            losses = super().__call__(*args, **options)
            product = torch.ones(2, 2) @ torch.ones(2, 2)
            calls.append((product.dtype, torch.is_grad_enabled(), losses["pos"].detach().clone()))
            return losses

    for precision in ("float32", "bfloat16"):
        task, settings, graphs = make_task(), config(precision=precision), make_graphs(10)
        task.objective = Watched(task.objective.function, task.objective.options)
        (average,), _ = fit(task, settings, graphs, graphs[:4], tmp_path, progress=False, trainer_options=OPTIONS)
        stored = torch.load(tmp_path / RESUME_FILE, weights_only=True)
        moments = [value for entry in stored["optimizer_states"][0]["state"].values() for value in entry.values()]
        tensors = [*stored["state_dict"].values(), *moments, *average.parameters(), *task.parameters()]
        assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}
    full, rounded = calls[: len(calls) // 2], calls[len(calls) // 2 :]
    assert {(dtype, trains) for dtype, trains, _ in full} == {(torch.float32, True), (torch.float32, False)}
    assert {(dtype, trains) for dtype, trains, _ in rounded} == {(torch.bfloat16, True), (torch.bfloat16, False)}
    for (_, _, expected), (_, _, loss) in zip(full, rounded, strict=True):
        assert loss.dtype == torch.float32
        assert (loss - expected).norm() < 1e-2 * expected.norm()
    assert not torch.equal(full[-1][-1], rounded[-1][-1])
