"""Options of a training: checked, and filled by a configuration."""

from __future__ import annotations

import dataclasses

import pytest

from graphscore.experiment.sections import TrainingConfig
from graphscore.train.options import TrainingOptions


def test_a_configuration_fills_the_options_and_has_the_same_defaults():
    assert TrainingConfig(max_steps=1).options == TrainingOptions(1)
    values = {
        "max_steps": 7, "batch_size": 2, "learning_rate": 0.5, "weight_decay": 0.1, "warmup_steps": 3,
        "gradient_clip": 2.0, "ema_decay": 0.5, "precision": "bfloat16", "compile": True, "workers": 4, "seed": 5,
        "validate_every": 6, "checkpoint_every": 8,
    }  # fmt: skip
    assert dataclasses.asdict(TrainingConfig.model_validate(values).options) == values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", 0), ("batch_size", 1.5), ("seed", -1), ("workers", True), ("learning_rate", 0.0),
        ("gradient_clip", float("nan")), ("weight_decay", -1.0), ("ema_decay", 1.0), ("precision", "float16"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(name, value):
    with pytest.raises(ValueError, match=f"TrainingOptions: {name} must .*, but is {value!r}"):
        TrainingOptions(**{"max_steps": 1, name: value})
