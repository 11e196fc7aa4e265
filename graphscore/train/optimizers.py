"""Optimisers of PyTorch and learning-rate schedules, by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

_NOT_FOR_BATCHES = ("LBFGS", "Optimizer", "SparseAdam")

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    name.lower(): kind
    for name, kind in sorted(vars(torch.optim).items())
    if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and name not in _NOT_FOR_BATCHES
}
"""Optimisers of ``torch.optim`` by their name in lower case, such as ``adamw``."""

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
Schedule = Callable[[float], float]
"""Maps the share of the steps that are done, in [0, 1], to a factor of the learning rate in [0, 1]."""


def make_optimizer(
    parameters: Iterable[nn.Parameter],
    kind: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    **options: Any,
) -> torch.optim.Optimizer:
    """Make an optimiser of the parameters of a model.

    Args:
        parameters: The parameters.
        kind: Class of the optimiser, a value of :data:`OPTIMIZERS` or your own.
        learning_rate: Its learning rate; training sets it again before each step.
        weight_decay: Its weight decay.
        **options: Further options of the class.

    Raises:
        ValueError: If a weight decay is given and the optimiser has none.
    """
    if weight_decay and "weight_decay" not in inspect.signature(kind).parameters:
        raise ValueError(f"The optimiser {kind.__name__} has no weight decay; set training.weight_decay=0")
    decay = {"weight_decay": weight_decay} if "weight_decay" in inspect.signature(kind).parameters else {}
    return kind(parameters, lr=learning_rate, **decay, **options)


def constant(done: float) -> float:
    """Keep the learning rate constant.

    Args:
        done: Share of the steps that are done, in [0, 1].
    """
    return 1.0


def cosine(done: float, floor: float = 0.0) -> float:
    """Lower the learning rate along half a cosine (Loshchilov and Hutter, 2017, arXiv:1608.03983).

    Args:
        done: Share of the steps that are done, in [0, 1].
        floor: Factor at the end.
    """
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def linear(done: float, floor: float = 0.0) -> float:
    """Lower the learning rate linearly.

    Args:
        done: Share of the steps that are done, in [0, 1].
        floor: Factor at the end.
    """
    return 1 - (1 - floor) * done


def stable_decay(done: float, decay: float = 0.2, floor: float = 0.0) -> float:
    """Keep the learning rate, and lower it linearly at the end; with the warm-up: warm-up, stable, decay.

    After Hu et al. (2024), arXiv:2404.06395, and Hägele et al. (2024), arXiv:2405.18392.

    Args:
        done: Share of the steps that are done, in [0, 1].
        decay: Share of the steps in which it falls.
        floor: Factor at the end.
    """
    return 1 - (1 - floor) * max(0.0, (done - (1 - decay)) / decay) if decay > 0 else 1.0


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "warmup-stable-decay": stable_decay,
}
"""Schedules of the learning rate after the warm-up, by name."""
