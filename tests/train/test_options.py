"""Options of a training: checked, and filled by a configuration."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from graphscore.experiment.config.schema import load_config
from graphscore.experiment.training.build import build_options
from graphscore.train.options import TrainingOptions
from graphscore.train.parts import Budget


def options(*changes: str) -> TrainingOptions:
    return build_options(load_config("small-molecules", [f"training.{change}" for change in changes]))


def test_a_configuration_fills_the_options():
    made = options(
        "max_steps=7", "batch_size=2", "micro_batch_size=3", "micro_batch_nodes=4", "micro_batch_edges=5",
        "learning_rate=0.5", "warmup_steps=3", "gradient_clip=2", "ema_decay=[0.5, 0.9]", "ema_warmup=false",
        "precision=bfloat16", "compile=true", "workers=4", "seed=5", "validate_every=6", "checkpoint_every=8",
        "keep_every=9", "log_every=10",
    )  # fmt: skip
    assert made == TrainingOptions(
        max_steps=7, batch_size=2, budget=Budget(3, 4, 5), optimizer=made.optimizer, learning_rate=0.5,
        schedule=made.schedule, warmup_steps=3, gradient_clip=2.0, ema_decays=(0.5, 0.9), ema_warmup=False,
        precision="bfloat16", compile=True, workers=4, seed=5, validate_every=6, checkpoint_every=8, keep_every=9,
        log_every=10, callbacks=[], loggers=[],
    )  # fmt: skip


def test_optimisers_and_schedules_come_by_name_with_their_options():
    parameters = [nn.Parameter(torch.ones(2, 2))]
    made = options("optimizer={name: sgd, momentum: 0.5}", "learning_rate=0.25", "weight_decay=0.125")
    optimizer = made.optimizer(parameters)
    assert type(optimizer) is torch.optim.SGD
    assert [optimizer.defaults[name] for name in ("lr", "momentum", "weight_decay")] == [0.25, 0.5, 0.125]
    assert type(options().optimizer(parameters)) is torch.optim.AdamW
    for change, hint in {
        "optimizer=adamv": "adam", "optimizer={name: sgd, momentun: 1}": "momentum",
        "optimizer={name: adamw, betas: 1}": "betas", "schedule=cosin": "cosine",
        "schedule={name: linear, flor: 0.1}": "floor",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=hint):
            options(change)
    with pytest.raises(ValueError, match="Rprop has no weight decay"):
        options("optimizer=rprop", "weight_decay=0.1").optimizer(parameters)


def test_callbacks_and_loggers_come_by_name_with_their_options(tmp_path):
    made = options("callbacks=[{name: early-stopping, patience: 3}]", "loggers=[{name: mlflow, project: mine}]")
    (callback,) = (make() for make in made.callbacks)
    assert (callback.monitor, callback.patience) == ("val_loss", 3)
    for change, hint in {"callbacks=[early-stoping]": "early-stopping", "loggers=[wandbb]": "wandb"}.items():
        with pytest.raises(ValueError, match=hint):
            options(change)
    (logger,) = made.loggers
    if find_spec("mlflow") is None:
        with pytest.raises(ModuleNotFoundError, match="mlflow"):
            logger(tmp_path)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("cosine", [1, 0.5 + 0.5**0.5 / 2, 0.5, 0]),
        ("{name: cosine, floor: 0.2}", [1, 0.6 + 0.4 * 0.5**0.5, 0.6, 0.2]),
        ("{name: linear, floor: 0.5}", [1, 0.875, 0.75, 0.5]),
        ("{name: warmup-stable-decay, decay: 0.75}", [1, 1, 2 / 3, 0]),
        ("{name: warmup-stable-decay, decay: 0}", [1, 1, 1, 1]),
    ],
)
def test_schedules_are_functions_of_the_step_alone(schedule, expected):
    made = options("max_steps=8", "warmup_steps=0", "learning_rate=1", f"schedule={schedule}")
    assert [made.rate(step) for step in (0, 2, 4, 8)] == pytest.approx(expected)
    warm = options("max_steps=8", "warmup_steps=4", "learning_rate=2", "schedule=constant")
    assert [warm.rate(step) for step in range(5)] == [0.5, 1, 1.5, 2, 2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", 0), ("batch_size", 1.5), ("seed", -1), ("workers", True), ("learning_rate", 0.0),
        ("gradient_clip", float("nan")), ("ema_decays", (0.5, 1.0)), ("precision", "float16"), ("keep_every", 0),
    ],
)  # fmt: skip
def test_wrong_options_are_named(name, value):
    with pytest.raises(ValueError, match=f"TrainingOptions: {name} must .*, but (is|are) "):
        TrainingOptions(**{"max_steps": 1, name: value})
    with pytest.raises(ValueError, match="the budget must have at least 1 of the edges, but has 0"):
        TrainingOptions(1, budget=Budget(edges=0))
