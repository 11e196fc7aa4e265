"""Training on Lightning: resuming, several ranks, and what it leaves alone."""

from __future__ import annotations

import copy
import logging
import warnings

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphscore.config import TrainingConfig
from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.objectives import OBJECTIVES, WEIGHTS, Objective
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.train.engine import RESUME_FILE, fit
from graphscore.train.task import ScoreMatchingTask


def uniform_density(u: torch.Tensor, sde: object) -> torch.Tensor:
    """Module-level, so that spawned ranks can import it."""
    return 1e-3 + 0.2 * u


def make_graphs(num: int) -> list[Data]:
    generator = torch.Generator().manual_seed(1)
    graphs = []
    for number in range(num):
        size = 2 + number % 4
        pairs = torch.cartesian_prod(torch.arange(size), torch.arange(size))
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        shape = torch.eye(5, 3)[:size] + 0.1 * torch.randn(size, 3, generator=generator)
        graphs.append(Data(pos=2 * shape, edge_index=pairs.T, num_nodes=size))
    return graphs


def make_task() -> ScoreMatchingTask:
    torch.manual_seed(0)
    process = ForwardProcess({Field("pos", zero_mean=True, width=3): VESDE()})
    network = ScoreNetwork(EGNN(16, 2, cond_channels=8), {"pos": 3})
    objective = OBJECTIVES["denoising"].bind(weight=WEIGHTS["edm"])
    return ScoreMatchingTask(Denoiser(network, process), uniform_density, objective, "mean", seed=3)


def config(**changes: object) -> TrainingConfig:
    values = {
        "max_steps": 11,
        "batch_size": 6,
        "warmup_steps": 2,
        "checkpoint_every": 4,
        "validate_every": 5,
        "seed": 3,
    }
    return TrainingConfig.model_validate({**values, **changes})


OPTIONS = {"accelerator": "cpu"}


class Interruption(Exception):  # noqa: N818 (not an error)
    """What a killed run looks like."""


class InterruptedGraphs(list):
    """Graphs that raise at the n-th access: a run that dies in the middle."""

    def __init__(self, graphs: list[Data], after: int) -> None:
        super().__init__(graphs)
        self.left = after

    def __getitem__(self, number):
        self.left -= 1
        if self.left < 0:
            raise Interruption
        return super().__getitem__(number)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_resuming_equals_an_uninterrupted_run_bit_for_bit(precision, tmp_path):
    graphs, val = make_graphs(10), make_graphs(4)
    whole_task, settings = make_task(), config(precision=precision)
    whole = fit(whole_task, settings, graphs, val, tmp_path / "whole", progress=False, trainer_options=OPTIONS)

    first = make_task()
    with pytest.raises(Interruption):
        fit(
            first,
            settings,
            InterruptedGraphs(graphs, 6 * 6 + 2),
            val,
            tmp_path / "cut",
            progress=False,
            trainer_options=OPTIONS,
        )
    assert not torch.equal(next(first.parameters()), next(whole_task.parameters()))
    second = make_task()
    torch.manual_seed(12345)  # the global generator must not matter
    resumed = fit(second, settings, graphs, val, tmp_path / "cut", resume=True, progress=False, trainer_options=OPTIONS)
    for (name, expected), value in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(expected, value), name
    for (name, expected), value in zip(whole_task.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(expected, value), name


def test_processes_that_load_ahead_change_nothing(tmp_path):
    graphs, found = make_graphs(10), []
    for workers in (0, 2):
        settings = config(workers=workers, max_steps=5)
        found.append(fit(make_task(), settings, graphs, graphs[:4], tmp_path, progress=False, trainer_options=OPTIONS))
    for mine, other in zip(*(model.parameters() for model in found), strict=True):
        assert torch.equal(mine, other)


def test_the_backbone_that_is_trained_is_compiled_and_nothing_else(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, **options: compiled.append((module, options)))
    task, settings = make_task(), config(max_steps=2)
    fit(task, settings, make_graphs(6), [], tmp_path, progress=False, trainer_options=OPTIONS)
    assert not compiled
    settings = config(max_steps=2, compile=True)
    fit(task, settings, make_graphs(6), [], tmp_path, progress=False, trainer_options=OPTIONS)
    (one,) = compiled
    assert one[0] is task.model.network.backbone and one[1] == {"dynamic": True}


def test_in_tfloat32_cuda_may_round_products_during_the_fit_alone(tmp_path, monkeypatch):
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


def test_training_lowers_the_loss_and_moves_the_average_behind_the_weights(tmp_path):
    graphs = make_graphs(8)
    task = make_task()
    start = copy.deepcopy(task.model)
    average = fit(
        task, config(max_steps=60, learning_rate=5e-3), graphs, [], tmp_path, progress=False, trainer_options=OPTIONS
    )
    batch = Batch.from_data_list(graphs * 20)
    losses = [float(task(batch, 0, model=model).loss.detach()) for model in (start, task.model, average)]
    assert losses[1] < 0.9 * losses[0]
    assert losses[2] < losses[0]
    assert not torch.equal(next(average.parameters()), next(task.model.parameters()))


def test_in_bfloat16_products_are_rounded_and_nothing_that_is_kept(tmp_path):
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
        average = fit(task, settings, graphs, graphs[:4], tmp_path, progress=False, trainer_options=OPTIONS)
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


def test_in_bfloat16_an_evaluation_without_gradients_takes_none_from_the_next():
    """As the first estimate of self-conditioning is: rounded weights are kept, but none that gradients do not reach."""
    task = make_task()
    batch = Batch.from_data_list(make_graphs(5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            task(batch, 0)
        task(batch, 0).loss.backward()
    twice = [parameter.grad for parameter in task.parameters()]
    task.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        task(batch, 0).loss.backward()
    for parameter, grad in zip(task.parameters(), twice, strict=True):
        assert torch.equal(parameter.grad, grad)


def _train_rank(path: str) -> None:
    fit(
        make_task(), config(), make_graphs(10), make_graphs(4), __import__("pathlib").Path(path), progress=False,
        trainer_options={"accelerator": "cpu", "devices": 2, "strategy": "ddp_spawn"},
    )  # fmt: skip


def test_two_ranks_equal_one_with_the_same_global_batch(tmp_path):
    one = make_task()
    fit(one, config(), make_graphs(10), make_graphs(4), tmp_path / "one", progress=False, trainer_options=OPTIONS)
    _train_rank(str(tmp_path / "two"))
    states = [torch.load(tmp_path / name / "last.ckpt", weights_only=True)["state_dict"] for name in ("one", "two")]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(
            states[1][name], value, rtol=2e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_a_fit_leaves_global_state_alone(tmp_path):
    logger = logging.getLogger("lightning.pytorch")
    before = (logger.level, list(warnings.filters), torch.get_default_dtype(), torch.get_rng_state())
    fit(make_task(), config(max_steps=2), make_graphs(6), [], tmp_path, progress=False, trainer_options=OPTIONS)
    after = (logger.level, list(warnings.filters), torch.get_default_dtype())
    assert before[:3] == after


def test_nothing_to_resume_is_said_before_any_work(tmp_path):
    with pytest.raises(FileNotFoundError, match="Nothing to resume"):
        fit(make_task(), config(), make_graphs(3), [], tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_divergence_is_an_error(tmp_path):
    graphs = make_graphs(6)
    graphs[0].pos = graphs[0].pos * float("nan")
    with pytest.raises(FloatingPointError, match="diverged"):
        fit(make_task(), config(), graphs, [], tmp_path, progress=False, trainer_options=OPTIONS)


def test_every_rank_needs_a_share(tmp_path):
    with pytest.raises(ValueError, match="empty"):
        fit(make_task(), config(), [], [], tmp_path, progress=False, trainer_options=OPTIONS)


def test_the_task_registers_its_model():
    assert isinstance(make_task().model, nn.Module)
