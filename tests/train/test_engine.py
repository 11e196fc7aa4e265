"""Training on Lightning: the weights and their averages, what is written, and what it leaves alone."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.accelerators import MPSAccelerator
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch_geometric.data import Batch

from graphscore.runtime import settings as runtime
from graphscore.train.engine import RESUME_FILE, fit

OPTIONS = {"accelerator": "cpu"}


def test_the_first_step_counts_as_the_first_for_the_average(make_graphs, make_task, config, tmp_path):
    task = make_task()
    start = [p.detach().clone() for p in task.model.parameters()]
    (average,), _ = fit(
        task, config(max_steps=1), make_graphs(7), [], tmp_path, progress=False, trainer_options=OPTIONS
    )
    # The decay of the first update is 1 / 10.
    for before, after, mean in zip(start, task.model.parameters(), average.parameters(), strict=True):
        torch.testing.assert_close(mean, 0.1 * before + 0.9 * after.detach())


def test_training_lowers_the_loss_and_moves_the_average_behind_the_weights(make_graphs, make_task, config, tmp_path):
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


def test_models_are_written_while_a_run_goes_on(make_graphs, make_task, config, tmp_path):
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


def test_callbacks_that_watch_the_validation_stop_the_run(make_graphs, make_task, config, tmp_path):
    stopping = EarlyStopping("val_loss", patience=2, min_delta=1e9)
    fit(
        make_task(), config(max_steps=40, validate_every=3), make_graphs(10), make_graphs(4), tmp_path, progress=False,
        trainer_options={**OPTIONS, "callbacks": [stopping]},
    )  # fmt: skip
    assert torch.load(tmp_path / RESUME_FILE, weights_only=True)["global_step"] == 9


def test_a_fit_leaves_global_state_alone(make_graphs, make_task, config, tmp_path):
    logger = logging.getLogger("lightning.pytorch")
    before = (logger.level, list(warnings.filters), torch.get_default_dtype(), torch.get_rng_state())
    fit(make_task(), config(max_steps=2), make_graphs(6), [], tmp_path, progress=False, trainer_options=OPTIONS)
    after = (logger.level, list(warnings.filters), torch.get_default_dtype())
    assert before[:3] == after


@pytest.mark.parametrize("spare_cores", [True, False])
def test_steps_take_the_threads_that_others_leave_only_if_told_to(
    make_graphs, make_task, config, spare_cores, tmp_path, monkeypatch
):
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


def test_without_cuda_the_cpu_is_taken_and_said_and_what_a_user_adds_comes_beside_the_rest(
    make_graphs, make_task, config, tmp_path, monkeypatch, capsys
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


def test_options_that_contradict_the_configuration_are_refused(make_graphs, make_task, config, tmp_path):
    for name in ("max_steps", "precision", "accumulate_grad_batches", "log_every_n_steps"):
        with pytest.raises(ValueError, match=f"change training.* of the configuration, not {name}"):
            fit(make_task(), config(), make_graphs(6), [], tmp_path / "none", trainer_options={name: 2})
    assert not (tmp_path / "none").exists()


def test_the_task_registers_its_model(make_task):
    assert isinstance(make_task().model, nn.Module)
