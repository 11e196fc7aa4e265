"""Options of the training loop and of Lightning's trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from graphscore.train.optimizers import MakeOptimizer, Schedule, cosine, make_optimizer
from graphscore.train.parts import UNLIMITED, Budget
from graphscore.train.precision import Precision

# Strategies of Lightning that shard the weights, by the beginning of their names.
_SHARDED = ("fsdp", "deepspeed", "model_parallel")


@dataclass(frozen=True)
class TrainingOptions:
    """Options of the training loop, :func:`graphscore.train.engine.fit`.

    Attributes:
        max_steps: Number of optimisation steps.
        batch_size: Graphs of a step, over all ranks and micro-batches.
        budget: Largest micro-batch. A step of more is computed in several, and the gradients are added; the result is
            the same, up to rounding. A graph that exceeds the budget makes a micro-batch of its own.
        memory_gb: Memory that a micro-batch may take, see :func:`graphscore.train.memory.plan_memory`.
        optimizer: Makes the optimiser of the parameters, see :func:`graphscore.train.optimizers.make_optimizer`.
        learning_rate: Largest learning rate.
        schedule: Factor of the learning rate, a function of the share of the steps that are done.
        warmup_steps: Steps in which the learning rate rises from 0.
        gradient_clip: Largest norm of the gradient.
        ema_decays: Share of the averaged weights that a step keeps, in [0, 1): for one or several averages. The first
            is validated.
        ema_warmup: Whether the averages forget the initial weights sooner, see :class:`graphscore.train.ema.EMA`.
        precision: Type of the network's products, in training and validation; weights, process and loss stay in float32
            or better.
        compile: Whether to compile the backbone by ``torch.compile``.
        workers: Processes that load batches ahead.
        seed: Seed of the order of the graphs.
        validate_every: Steps between two validations.
        checkpoint_every: Steps between two checkpoints.
        keep_every: Steps between two models that are kept; ``None`` for none.
        log_every: Steps between two rows of the log.
        callbacks: Make further callbacks of Lightning.
        loggers: Make further loggers of Lightning, for the folder of the run.
        devices: Number of devices of this machine, one process each; ``"auto"`` for those that ``torchrun`` or SLURM
            has started, or else one.
        num_nodes: Number of machines; ``"auto"`` for those that ``torchrun`` or SLURM has started, or else one.
        strategy: Lightning's strategy of several processes, such as ``"ddp"``, but none that shards the weights.

    Raises:
        ValueError: If a number is out of range, there is no such precision, or the strategy shards the weights.
    """

    max_steps: int
    batch_size: int = 64
    budget: Budget = UNLIMITED
    memory_gb: float | Literal["auto"] | None = "auto"
    optimizer: MakeOptimizer = make_optimizer
    learning_rate: float = 1e-3
    schedule: Schedule = cosine
    warmup_steps: int = 100
    gradient_clip: float = 1.0
    ema_decays: Sequence[float] = (0.999,)
    ema_warmup: bool = True
    precision: Precision = "float32"
    compile: bool = False
    workers: int = 0
    seed: int = 0
    validate_every: int = 200
    checkpoint_every: int = 200
    keep_every: int | None = None
    log_every: int = 10
    callbacks: Sequence[Callable[[], Any]] = ()
    loggers: Sequence[Callable[[Path], Any]] = ()
    devices: int | Literal["auto"] = "auto"
    num_nodes: int | Literal["auto"] = "auto"
    strategy: str = "auto"

    def __post_init__(self) -> None:
        least = {"max_steps": 1, "batch_size": 1, "warmup_steps": 0, "workers": 0, "seed": 0, "validate_every": 1}
        for name, smallest in {**least, "checkpoint_every": 1, "keep_every": 1, "log_every": 1}.items():
            value = getattr(self, name)
            if value is None and name == "keep_every":
                continue
            if type(value) is not int or value < smallest:
                raise ValueError(f"TrainingOptions: {name} must be a whole number from {smallest} on, but is {value!r}")
        for name, limit in self.budget._asdict().items():
            if limit is not None and limit < 1:
                raise ValueError(f"TrainingOptions: the budget must have at least 1 of the {name}, but has {limit!r}")
        for name in ("learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"TrainingOptions: {name} must be positive, but is {getattr(self, name)!r}")
        if not self.ema_decays or not all(0 <= decay < 1 for decay in self.ema_decays):
            raise ValueError(f"TrainingOptions: ema_decays must lie in [0, 1), but are {self.ema_decays!r}")
        if self.precision not in get_args(Precision):
            raise ValueError(
                f"TrainingOptions: precision must be one of {list(get_args(Precision))}, but is {self.precision!r}"
            )

        if self.strategy.startswith(_SHARDED):
            raise ValueError(
                f"TrainingOptions: the strategy {self.strategy!r} shares the weights out among processes, but averaged "
                "weights, checkpoints and the norm of the gradient need them whole in each: take ddp"
            )

    def rate(self, step: int) -> float:
        """Compute the learning rate of a step, counted from 0; a function of the options alone."""
        warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        return self.learning_rate * warm * self.schedule(min(step / self.max_steps, 1.0))


CALLBACKS = {"early-stopping": "graphscore.train.engine.extras:early_stopping"}
"""Callbacks of the training by name."""
LOGGERS = {"mlflow": "graphscore.train.engine.extras:mlflow", "wandb": "graphscore.train.engine.extras:wandb"}
"""Loggers beside CSV and TensorBoard by name."""

# Options of the trainer that TrainingOptions set: another value would silently contradict them.
_DECIDED = {
    "max_steps": "max_steps", "max_epochs": "max_steps", "precision": "precision",
    "gradient_clip_val": "gradient_clip", "gradient_clip_algorithm": "gradient_clip",
    "accumulate_grad_batches": "micro_batch_size", "log_every_n_steps": "log_every",
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
