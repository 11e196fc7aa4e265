"""Options of the training loop and of Lightning's trainer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Precision = Literal["float32", "tfloat32", "bfloat16"]
"""Precision of matrix products in training: 24, 11 (on CUDA alone) or 8 significant bits."""


@dataclass(frozen=True)
class TrainingOptions:
    """Options of the training loop, :func:`graphscore.train.engine.fit`.

    Attributes:
        max_steps: Number of optimisation steps.
        batch_size: Graphs of a step, over all ranks.
        learning_rate: Largest learning rate of AdamW; it falls to 0 along half a cosine.
        weight_decay: Weight decay of AdamW.
        warmup_steps: Steps in which the learning rate rises from 0.
        gradient_clip: Largest norm of the gradient.
        ema_decay: Share of the averaged weights that a step keeps, in [0, 1).
        precision: Type of the network's products, in training and validation; weights, process and loss stay in float32
            or better.
        compile: Whether to compile the backbone by ``torch.compile``.
        workers: Processes that load batches ahead.
        seed: Seed of the order of the graphs.
        validate_every: Steps between two validations.
        checkpoint_every: Steps between two checkpoints.

    Raises:
        ValueError: If a number is out of range, or there is no such precision.
    """

    max_steps: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_steps: int = 100
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    precision: Precision = "float32"
    compile: bool = False
    workers: int = 0
    seed: int = 0
    validate_every: int = 200
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        least = {"max_steps": 1, "batch_size": 1, "warmup_steps": 0, "workers": 0, "seed": 0, "validate_every": 1}
        for name, smallest in {**least, "checkpoint_every": 1}.items():
            value = getattr(self, name)
            if type(value) is not int or value < smallest:
                raise ValueError(f"TrainingOptions: {name} must be a whole number from {smallest} on, but is {value!r}")
        for name in ("learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"TrainingOptions: {name} must be positive, but is {getattr(self, name)!r}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"TrainingOptions: ema_decay must lie in [0, 1), but is {self.ema_decay!r}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"TrainingOptions: weight_decay must be at least 0, but is {self.weight_decay!r}")
        if self.precision not in get_args(Precision):
            raise ValueError(
                f"TrainingOptions: precision must be one of {list(get_args(Precision))}, but is {self.precision!r}"
            )


# Options of the trainer that TrainingOptions set: another value would silently contradict them.
_DECIDED = {
    "max_steps": "max_steps", "max_epochs": "max_steps", "precision": "precision",
    "gradient_clip_val": "gradient_clip", "gradient_clip_algorithm": "gradient_clip",
    "accumulate_grad_batches": "batch_size",
}  # fmt: skip


def check_trainer_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Check and copy the user's options of Lightning's trainer.

    Raises:
        ValueError: If an option is set by :class:`TrainingOptions`.
    """
    for name in options:
        if name in _DECIDED:
            raise ValueError(f"trainer_options: change training.{_DECIDED[name]} of the configuration, not {name}")
    return dict(options)


def listed(value: Any) -> list[Any]:
    """Make a list of an option that is none (``None`` or ``True``), one or several objects."""
    if value is None or value is True:
        return []
    return list(value) if isinstance(value, Iterable) else [value]
