"""Requests: options of sampling with a trained model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from graphscore.experiment.sampling.completion import check_method
from graphscore.experiment.sampling.starts import check_noise
from graphscore.generate.jobs import check_request
from graphscore.runtime.sharing import check_workers

RETRIES = 3
TIMEOUT = 300.0  # seconds
DESCRIBED = ("retries", "repair", "timeout", "diverse", "complete", "noise")
"""Options that are told with the samples as they are."""


@dataclass(frozen=True)
class Request:
    """Options of sampling with a trained model.

    Attributes:
        num: Number of samples of each graph.
        seed: Seed of the samples.
        sampler: Name of the sampler; by default that of the model's configuration.
        num_steps: Number of sampling steps; by default that of the model's configuration.
        diverse: Whether to guide the samples of a graph away from each other.
        retries: Largest number of times to draw a sample again that does not fit its input or drifts too much; diverse
            samples are not drawn again.
        repair: Whether to repair samples that still do not fit their input, where the domain has a way.
        timeout: Seconds after which no sample of a graph is drawn again or repaired; which samples this concerns
            depends on the speed of the machine.
        prior_scale: Factor of the noise at the start of sampling; by default that of the model's configuration.
        max_drift: Largest drift of accepted samples, see :func:`~graphscore.samplers.drift`; by default that of the
            model's configuration for its own sampler and number of steps, and no limit for others.
        workers: Number of processes; ``None`` for as many as PyTorch has threads, if the first graphs show that this is
            faster, see :mod:`graphscore.runtime.streaming`; on a GPU always 1. Samples do not depend on it, up to
            rounding. All samples of a graph are made in the same process.
        changes: Changes of the ``sampling`` section of the model's configuration, such as ``"sampler.eta=0.5"``,
            ``"guidance.0.strength=2"`` or ``"grid=linear"``, made after those above; see
            ``graphscore config keys sampling``.
        complete: How to complete partial graphs: rows of NaN in the sampled fields of an input are sampled, and finite
            rows are kept. ``"resampling"`` (inpainting with repeated steps) or ``"moments"`` (moment matching through
            the network, exact for Gaussian data), see :mod:`graphscore.experiment.sampling.completion`; by default
            all rows are sampled, and those of the input ignored.
        noise: Time, above 0 and at most 1, up to which the sampled fields of the inputs are diffused, to start from
            them (SDEdit): the shorter, the closer samples are to their input. The grid of times is cut there, so that
            there are fewer steps. By default samples start from pure noise, and the fields of inputs do not count.

    Raises:
        ValueError: If a number is out of range, there is no such method, or options exclude each other.
    """

    num: int = 1
    seed: int = 0
    sampler: str | None = None
    num_steps: int | None = None
    diverse: bool = False
    retries: int = RETRIES
    repair: bool = True
    timeout: float = TIMEOUT
    prior_scale: float | None = None
    max_drift: float | None = None
    workers: int | None = 1
    changes: Sequence[str] = ()
    complete: str | None = None
    noise: float | None = None

    def __post_init__(self) -> None:
        check_request([self.num], self.seed)
        check_workers(self.workers)
        check_method(self.complete)
        check_noise(self.noise)
        if self.noise is not None and self.complete is not None:
            raise ValueError("noise starts from all rows of the inputs, but complete takes some of them as unknown")
        if isinstance(self.changes, str):
            raise ValueError(f"changes takes a list, such as [{self.changes!r}], but got {self.changes!r}")
        if self.retries < 0:
            raise ValueError(f"retries must be 0 or more, but is {self.retries}")
        for name in ("timeout", "prior_scale", "max_drift"):
            if (value := getattr(self, name)) is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, but is {value}")

    def num_drawn(self, num: int) -> int:
        """Number of samples to draw for so many that are asked for; requests of a domain may select among more."""
        return num
