"""Requests: samples that a trained model is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphscore.generate.jobs import check_request
from graphscore.runtime.sharing import check_workers

RETRIES = 3


@dataclass(frozen=True)
class Request:
    """Samples that a model is asked for.

    Attributes:
        num: Samples of each graph.
        seed: Seed of the samples.
        sampler: Name of the sampler; the model's own by default.
        num_steps: Sampling steps; the model's own number by default.
        diverse: Whether samples of a graph keep away from each other.
        retries: How often a sample that is not what was asked for, or drifts too much, is drawn again at most; diverse
            ones are not.
        prior_scale: Factor of the noise that sampling starts from; the model's own by default.
        max_drift: Largest drift, see :func:`~graphscore.samplers.drift`, of samples that are not drawn again; by
            default the model's own for its own sampler and number of steps, and none for others.
        workers: Processes that share the work; ``None`` for as many as PyTorch has threads, if a measurement on the
            first graphs says that it pays, see :mod:`graphscore.runtime.streaming`; on a GPU that is 1. Samples do not
            depend on it, up to rounding. Those of one graph are made by one.

    Raises:
        ValueError: If a number is out of range.
    """

    num: int = 1
    seed: int = 0
    sampler: str | None = None
    num_steps: int | None = None
    diverse: bool = False
    retries: int = RETRIES
    prior_scale: float | None = None
    max_drift: float | None = None
    workers: int | None = 1

    def __post_init__(self) -> None:
        check_request([self.num], self.seed)
        check_workers(self.workers)
        if self.retries < 0:
            raise ValueError(f"retries must be 0 or more, but is {self.retries}")
        for name in ("prior_scale", "max_drift"):
            if (value := getattr(self, name)) is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, but is {value}")
