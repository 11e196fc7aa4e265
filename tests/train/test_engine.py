"""Training on Lightning: resuming, several ranks, and what it leaves alone."""

from __future__ import annotations

import copy
import csv
import logging
import multiprocessing
import os
import shutil
import signal
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.accelerators import MPSAccelerator
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.nn.backbones.base import SizedBackbone
from graphscore.objectives import OBJECTIVES, WEIGHTS, Objective
from graphscore.process import ForwardProcess
from graphscore.runtime import settings as runtime
from graphscore.sdes import VESDE
from graphscore.train.engine import DIVERGED_FILE, RESUME_FILE, fit, loop
from graphscore.train.interruption import Interrupted
from graphscore.train.memory import MemoryModel, MemoryPlan
from graphscore.train.metrics import SPEEDS
from graphscore.train.options import TrainingOptions
from graphscore.train.parts import UNLIMITED, Budget
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


def make_task(backbone: nn.Module | None = None) -> ScoreMatchingTask:
    torch.manual_seed(0)
    process = ForwardProcess({Field("pos", zero_mean=True, width=3): VESDE()})
    network = ScoreNetwork(EGNN(16, 2, cond_channels=8) if backbone is None else backbone, {"pos": 3})
    objective = OBJECTIVES["denoising"].bind(weight=WEIGHTS["edm"])
    return ScoreMatchingTask(Denoiser(network, process), uniform_density, objective, "mean", seed=3)


def config(**changes: Any) -> TrainingOptions:
    values: dict[str, Any] = {
        "max_steps": 11,
        "batch_size": 6,
        "warmup_steps": 2,
        "checkpoint_every": 4,
        "validate_every": 5,
        "seed": 3,
    }
    return TrainingOptions(**{**values, **changes})


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


class SlowGraphs(list):
    """Graphs that worker processes are busy with when a signal comes."""

    def __getitem__(self, number):
        time.sleep(0.02)
        return super().__getitem__(number)


class Signal(Callback):
    """Sends a signal within a step, as a terminal does to a process and its workers, and a queue to the process."""

    def __init__(self, signum: int, step: int, early: bool = False) -> None:
        self.signum, self.step, self.early = signum, step, early

    def on_fit_start(self, trainer, pl_module):
        if self.early:
            os.kill(os.getpid(), self.signum)

    def on_before_backward(self, trainer, pl_module, loss):
        if trainer.global_step == self.step and not self.early:
            workers = (
                [worker.pid for worker in multiprocessing.active_children()] if self.signum == signal.SIGINT else []
            )
            for process in (*workers, os.getpid()):
                os.kill(process, self.signum)


@pytest.mark.parametrize(
    ("precision", "cut"),
    [
        pytest.param("float32", None, id="killed"),
        pytest.param("bfloat16", Signal(signal.SIGINT, 2), id="ctrl-c-with-workers"),
        pytest.param("float32", Signal(signal.SIGINT, 10), id="ctrl-c-in-the-last-step"),
        pytest.param("float32", Signal(signal.SIGTERM, 4), id="terminated-before-a-validation"),
        pytest.param("float32", Signal(signal.SIGTERM, 0, early=True), id="terminated-before-the-first-step"),
    ],
)
def test_resuming_equals_an_uninterrupted_run_bit_for_bit(precision, cut, tmp_path, capfd):
    graphs, val = make_graphs(10), make_graphs(4)
    whole_task, settings = make_task(), config(precision=precision, log_every=3)
    whole = fit(whole_task, settings, graphs, val, tmp_path / "whole", progress=False, trainer_options=OPTIONS)

    first, handlers = make_task(), [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    workers, fed = (2, SlowGraphs(graphs)) if precision == "bfloat16" else (0, graphs)
    with pytest.raises(Interruption if cut is None else Interrupted) as stopped:
        fit(
            first, config(precision=precision, workers=workers, log_every=3),
            InterruptedGraphs(graphs, 6 * 6 + 2) if cut is None else fed, val, tmp_path / "cut", progress=False,
            trainer_options={**OPTIONS, "callbacks": cut},
        )  # fmt: skip
    assert handlers == [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    assert capfd.readouterr().err.count("stopping when this step is done") == (cut is not None)  # not by each worker
    if cut is not None:
        assert stopped.value.exit_code == 128 + cut.signum
        assert f"after {cut.step + 1} of 11 steps" in str(stopped.value) and "--resume" in str(stopped.value)
        assert torch.load(tmp_path / "cut" / RESUME_FILE, weights_only=True)["global_step"] == cut.step + 1
    if cut is None or cut.step < 10:
        assert not torch.equal(next(first.parameters()), next(whole_task.parameters()))
    second = make_task()
    torch.manual_seed(12345)  # the global generator must not matter
    resumed = fit(second, settings, graphs, val, tmp_path / "cut", resume=True, progress=False, trainer_options=OPTIONS)
    for (name, expected), value in zip(
        whole.averages[0].named_parameters(), resumed.averages[0].parameters(), strict=True
    ):
        assert torch.equal(expected, value), name
    for (name, expected), value in zip(whole_task.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(expected, value), name
    history, expected = (without_speeds(read_history(tmp_path / name)) for name in ("cut", "whole"))
    assert history == expected and [row["step"] for row in history if row["loss"]] == ["2", "5", "8"]
    assert [row["step"] for row in history if row["val_loss"]] == ["4", "9"]


def read_history(out: Path) -> list[dict[str, str]]:
    with (out / "logs" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_speeds(history: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name not in SPEEDS} for row in history]


def test_processes_that_load_ahead_change_nothing(tmp_path):
    graphs, found = make_graphs(10), []
    for workers in (0, 2):
        settings = config(workers=workers, max_steps=5)
        found.append(fit(make_task(), settings, graphs, graphs[:4], tmp_path, progress=False, trainer_options=OPTIONS))
    for mine, other in zip(*(fitted.averages[0].parameters() for fitted in found), strict=True):
        assert torch.equal(mine, other)


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
def test_a_compiled_backbone_learns_the_same_and_is_saved_as_any_other(tmp_path):
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


def test_the_first_step_counts_as_the_first_for_the_average(tmp_path):
    task = make_task()
    start = [p.detach().clone() for p in task.model.parameters()]
    (average,), _ = fit(
        task, config(max_steps=1), make_graphs(7), [], tmp_path, progress=False, trainer_options=OPTIONS
    )
    # The decay of the first update is 1 / 10.
    for before, after, mean in zip(start, task.model.parameters(), average.parameters(), strict=True):
        torch.testing.assert_close(mean, 0.1 * before + 0.9 * after.detach())


def test_training_lowers_the_loss_and_moves_the_average_behind_the_weights(tmp_path):
    graphs = make_graphs(8)
    task = make_task()
    start = copy.deepcopy(task.model)
    (average,), _ = fit(
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


ODD = {"batch_size": 7, "log_every": 5}


def assert_same_run(path: Path, other: Path) -> None:
    states = [torch.load(folder / RESUME_FILE, weights_only=True)["state_dict"] for folder in (path, other)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(
            states[1][name], value, rtol=2e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
    for row, expected in zip(*(without_speeds(read_history(folder)) for folder in (other, path)), strict=True):
        numbers = {name: float(value) for name, value in expected.items() if value}
        assert {name: float(value) for name, value in row.items() if value} == pytest.approx(
            numbers, rel=1e-4, abs=1e-9, nan_ok=True
        )
        assert "val_loss" in numbers or "loss" in numbers


def test_two_ranks_with_unequal_shares_in_micro_batches_equal_one(tmp_path):
    """There is one graph to validate on: the rank that gets none must not leave the other waiting."""
    one = make_task()
    fit(one, config(**ODD), make_graphs(10), make_graphs(1), tmp_path / "one", progress=False, trainer_options=OPTIONS)
    fit(
        make_task(), config(**ODD, budget=Budget(edges=20)), make_graphs(10), make_graphs(1), tmp_path / "two",
        progress=False, trainer_options={"accelerator": "cpu", "devices": 2, "strategy": "ddp_spawn"},
    )  # fmt: skip
    assert_same_run(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("budget", [Budget(graphs=2), Budget(nodes=6, edges=25)])
def test_micro_batches_change_the_memory_and_not_the_training(budget, tmp_path):
    """Rounding of bfloat16 aside, whose cache of rounded weights must not pass from one micro-batch to the next."""
    graphs, sizes = make_graphs(10), []

    class Watched(Objective):
        def __call__(self, model, batch, t, **options):
            sizes.append((batch.num_graphs, batch.num_nodes, batch.num_edges))
            return super().__call__(model, batch, t, **options)

    for name, limit in (("whole", UNLIMITED), ("parts", budget)):
        task = make_task()
        task.objective = Watched(task.objective.function, task.objective.options)
        settings = config(budget=limit)
        fit(task, settings, graphs, graphs[:7], tmp_path / name, progress=False, trainer_options=OPTIONS)
        largest = [max(column) for column in zip(*sizes, strict=True)]
        assert all(bound is None or value <= bound for value, bound in zip(largest, limit[:3], strict=True))
        sizes.clear()
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_resumed_run_keeps_to_the_memory_that_it_began_with(tmp_path, monkeypatch):
    """What is free now, or measured now, would give other micro-batches."""
    seen = []

    class Watched(Objective):
        def __call__(self, model, batch, t, **options):
            seen.append(batch.num_graphs)
            return super().__call__(model, batch, t, **options)

    plans = iter([MemoryPlan(1000, MemoryModel(100, 300, 0, 0)), MemoryPlan(1000, MemoryModel(100, 200, 0, 0))])
    monkeypatch.setattr(loop, "plan_memory", lambda *_: next(plans))
    for changes in ({}, {"max_steps": 13}, {"max_steps": 15, "memory_gb": 2.0}):
        task = make_task()
        task.objective = Watched(task.objective.function, task.objective.options)
        fit(
            task, config(**changes), make_graphs(10), [], tmp_path, resume=bool(changes), progress=False,
            trainer_options=OPTIONS,
        )  # fmt: skip
        assert set(seen) == ({3} if len(changes) < 2 else {4, 2})
        seen.clear()


def test_a_loss_that_does_not_depend_on_the_network_is_refused(tmp_path):
    none = torch.empty(2, 0, dtype=torch.long)  # no edges, on which all messages depend
    graphs = [Data(pos=torch.randn(4, 3), edge_index=none) for _ in range(6)]
    with pytest.raises(ValueError, match="the gradient of all weights is 0 in step 0 and all up to 3"):
        fit(make_task(), config(), graphs, [], tmp_path, progress=False, trainer_options=OPTIONS)


def test_in_bfloat16_gradients_of_micro_batches_add_up(tmp_path):
    gradients = []

    class Watch(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            gradients.append(torch.cat([p.grad.flatten().clone() for p in pl_module.task.parameters()]))

    for budget in (UNLIMITED, Budget(graphs=2)):
        fit(
            make_task(), config(max_steps=1, precision="bfloat16", budget=budget), make_graphs(10), [], tmp_path,
            progress=False, trainer_options={**OPTIONS, "callbacks": Watch()},
        )  # fmt: skip
    assert (gradients[1] - gradients[0]).norm() < 2e-2 * gradients[0].norm()


def test_models_are_written_while_a_run_goes_on(tmp_path):
    written, losses = [], []

    def save(name, models, step):
        written.append((name, step, [copy.deepcopy(model.state_dict()) for model in models]))

    class Watch(Callback):
        def on_validation_end(self, trainer, pl_module):
            losses.append(float(trainer.callback_metrics["val_loss"]))

    settings = config(ema_decays=(0.5, 0.9), ema_warmup=False, validate_every=2, keep_every=5, learning_rate=0.02)
    fitted = fit(
        make_task(), settings, make_graphs(10), make_graphs(4), tmp_path, progress=False, save=save,
        trainer_options={**OPTIONS, "callbacks": Watch()},
    )  # fmt: skip
    assert len(losses) == 5 and fitted.metrics["val_loss"] == pytest.approx(losses[-1], rel=1e-6)
    improved = [2 * (k + 1) for k, loss in enumerate(losses) if loss < min([*losses[:k], float("inf")])]
    assert 1 < len(improved) < 5
    assert [step for name, step, _ in written if name == "best"] == improved
    assert [(name, step) for name, step, _ in written if name.startswith("step-")] == [
        ("step-00000005", 5), ("step-00000010", 10),
    ]  # fmt: skip
    assert [step for name, step, _ in written if name == "model"] == [4, 8, 11]
    for model, state in zip(fitted.averages, written[-1][2], strict=True):
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not torch.equal(*(next(iter(state.values())) for state in written[-1][2]))


def test_callbacks_that_watch_the_validation_stop_the_run(tmp_path):
    stopping = EarlyStopping("val_loss", patience=2, min_delta=1e9)
    fit(
        make_task(), config(max_steps=40, validate_every=3), make_graphs(10), make_graphs(4), tmp_path, progress=False,
        trainer_options={**OPTIONS, "callbacks": [stopping]},
    )  # fmt: skip
    assert torch.load(tmp_path / RESUME_FILE, weights_only=True)["global_step"] == 9


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one_whole(tmp_path, monkeypatch):
    whole, save = [], torch.save

    def full(content, path):
        if whole:
            Path(path).write_bytes(b"half")
            raise RuntimeError("[enforce fail at inline_container.cc] PytorchStreamWriter failed writing file data/3")
        save(content, path)
        whole.append(Path(path).read_bytes())

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"last.ckpt could not be written \(.*failed writing file data/3\).* make space"):
        fit(make_task(), config(), make_graphs(6), [], tmp_path, progress=False, trainer_options=OPTIONS)
    assert (tmp_path / RESUME_FILE).read_bytes() == whole[0]
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [RESUME_FILE]


def test_a_fit_leaves_global_state_alone(tmp_path):
    logger = logging.getLogger("lightning.pytorch")
    before = (logger.level, list(warnings.filters), torch.get_default_dtype(), torch.get_rng_state())
    fit(make_task(), config(max_steps=2), make_graphs(6), [], tmp_path, progress=False, trainer_options=OPTIONS)
    after = (logger.level, list(warnings.filters), torch.get_default_dtype())
    assert before[:3] == after


@pytest.mark.parametrize("spare_cores", [True, False])
def test_steps_take_the_threads_that_others_leave_only_if_told_to(spare_cores, tmp_path, monkeypatch):
    found, seen, before = iter([0.0, 1.0, 2.0, 0.2]), [], torch.get_num_threads()

    class Watch(Callback):
        def on_before_backward(self, trainer, pl_module, loss):
            seen.append(torch.get_num_threads())

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(runtime, "_THREADS", 3)
    monkeypatch.setattr(runtime, "CoreWatch", lambda: SimpleNamespace(others=lambda: next(found)))
    monkeypatch.setattr(runtime.SpareThreads, "SECONDS", 0.0)
    torch.set_num_threads(3)
    try:
        fit(
            make_task(), config(max_steps=4), make_graphs(6), [], tmp_path, progress=False, spare_cores=spare_cores,
            trainer_options={**OPTIONS, "callbacks": [Watch()]},
        )  # fmt: skip
    finally:
        torch.set_num_threads(before)
    assert seen == ([3, 2, 1, 3] if spare_cores else [3] * 4)


def test_nothing_to_resume_is_said_before_any_work(tmp_path):
    with pytest.raises(FileNotFoundError, match="Nothing to resume"):
        fit(make_task(), config(), make_graphs(3), [], tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


class Diverging(Objective):
    """Spoils the loss of one graph, or the gradient alone, at a step; keeps what the step saw."""

    def __init__(self, task: ScoreMatchingTask, spoiled: str, step: int) -> None:
        super().__init__(task.objective.function, task.objective.options)
        self.parameter, self.spoiled, self.step, self.seen = next(task.parameters()), spoiled, step, []

    def __call__(self, model, batch, t, **options):
        losses = super().__call__(model, batch, t, **options)
        if len(self.seen) == self.step and self.spoiled == "loss":
            losses["pos"] = losses["pos"] * torch.where(torch.arange(len(t)) == 2, torch.nan, 1)
        elif len(self.seen) == self.step:
            losses["pos"] = losses["pos"] + (0 * self.parameter.sum()).sqrt()  # 0, with an infinite slope
        self.seen.append((batch.number.tolist(), t))
        return losses


@pytest.mark.parametrize(("spoiled", "checkpoint_every", "looked"), [("loss", 4, 8), ("gradient", 100, 10)])
def test_divergence_stops_soon_keeps_the_last_good_state_and_names_the_graphs(
    spoiled, checkpoint_every, looked, tmp_path
):
    """At the next checkpoint, before it is written, or the next row of the log."""
    task, graphs = make_task(), make_graphs(10)
    for number, graph in enumerate(graphs):
        graph.number, graph.formula = number, f"C{graph.num_nodes}"
    task.objective = objective = Diverging(task, spoiled, step=6)
    settings = config(max_steps=40, checkpoint_every=checkpoint_every)
    with pytest.raises(FloatingPointError, match=f"step 6, counted from 0: the {spoiled} is not finite") as error:
        fit(task, settings, graphs, [], tmp_path, progress=False, trainer_options=OPTIONS)
    assert len(objective.seen) == looked
    numbers, t = objective.seen[6]
    levels = VESDE().level(t)
    first = 2 if spoiled == "loss" else 0
    named = f"graph {numbers[first]} of the training part ({graphs[numbers[first]].num_nodes} nodes, noise level "
    assert f"{named}{float(levels[first]):.3g})" in str(error.value)
    assert str(tmp_path / DIVERGED_FILE) in str(error.value)

    stored = torch.load(tmp_path / DIVERGED_FILE, weights_only=True)
    assert stored["step"] == 6 and [graph["index"] for graph in stored["graphs"]] == numbers
    for graph, when, level in zip(stored["graphs"], t.tolist(), levels.tolist(), strict=True):
        assert (graph["time"], graph["levels"]) == (when, {"pos": level})
        assert torch.equal(graph["attributes"]["pos"], graphs[graph["index"]].pos)
        assert graph["attributes"]["formula"] == graphs[graph["index"]].formula
    lost = [place for place, graph in enumerate(stored["graphs"]) if graph["loss"] != graph["loss"]]
    assert lost == ([2] if spoiled == "loss" else [])
    if checkpoint_every < 6:
        kept = torch.load(tmp_path / RESUME_FILE, weights_only=True)
        assert kept["global_step"] == 4
        assert all(value.isfinite().all() for value in kept["state_dict"].values())


def test_weights_that_are_not_finite_are_never_written(tmp_path):
    class Spoil(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            if trainer.global_step == 7:
                next(pl_module.averages.parameters()).fill_(torch.inf)

    with pytest.raises(FloatingPointError, match="weights are not finite after step 8 of 11"):
        fit(
            make_task(), config(), make_graphs(6), [], tmp_path, progress=False,
            trainer_options={**OPTIONS, "callbacks": [Spoil()]},
        )  # fmt: skip
    assert torch.load(tmp_path / RESUME_FILE, weights_only=True)["global_step"] == 4


def test_without_cuda_the_cpu_is_taken_and_said_and_what_a_user_adds_comes_beside_the_rest(
    tmp_path, monkeypatch, capsys
):
    """Lightning itself would choose Apple's GPU, which has no float64."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: True))
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            seen.append((trainer.global_step, pl_module.device.type))

    fit(
        make_task(), config(max_steps=3), make_graphs(6), [], tmp_path / "run",
        trainer_options={"callbacks": [Watch()], "logger": CSVLogger(tmp_path, "mine", version="")},
    )  # fmt: skip
    assert seen == [(1, "cpu"), (2, "cpu"), (3, "cpu")]
    assert "Training on the CPU: there is no CUDA GPU" in capsys.readouterr().out
    mine = (tmp_path / "mine" / "metrics.csv").read_text()
    assert mine == (tmp_path / "run" / "logs" / "metrics.csv").read_text()
    # At the end it is kept, whatever `checkpoint_every`.
    assert torch.load(tmp_path / "run" / RESUME_FILE, weights_only=True)["global_step"] == 3


def test_options_that_contradict_the_configuration_are_refused(tmp_path):
    for name in ("max_steps", "precision", "accumulate_grad_batches", "log_every_n_steps"):
        with pytest.raises(ValueError, match=f"change training.* of the configuration, not {name}"):
            fit(make_task(), config(), make_graphs(6), [], tmp_path / "none", trainer_options={name: 2})
    assert not (tmp_path / "none").exists()


def test_every_rank_needs_a_share(tmp_path):
    with pytest.raises(ValueError, match="empty"):
        fit(make_task(), config(), [], [], tmp_path, progress=False, trainer_options=OPTIONS)


def test_the_task_registers_its_model():
    assert isinstance(make_task().model, nn.Module)
