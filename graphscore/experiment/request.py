"""What can be asked of a trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphscore.generate.jobs import check_request
from graphscore.runtime.sharing import check_workers

if TYPE_CHECKING:  # only molecules need RDKit
    from graphscore.molecules.fragments import Fragment

REFINEMENTS = ("none", "mmff")
RETRIES = 3


@dataclass(frozen=True)
class Request:
    """What is asked of a model.

    Attributes:
        num: Samples of each graph.
        seed: Seed of the samples.
        sampler: Name of the sampler; the model's own by default.
        num_steps: Sampling steps; the model's own number by default.
        refine: ``"mmff"`` relaxes all atoms in MMFF94; ``"none"``.
        energy_rank: Whether to give conformers their MMFF94 energy, and sort those of a molecule by it.
        diverse: Whether samples of a graph keep away from each other.
        fragment: Atoms that are held.
        workers: Processes that share the work; ``None`` for as many as PyTorch has threads, if a measurement on the
            first graphs says that it pays, see :mod:`graphscore.runtime.sharing`. Samples do not depend on it, up to
            rounding. Those of one graph are made by one.
        prior_scale: Factor of the noise that sampling starts from; the model's own by default.
        device: Where the network computes, see :func:`graphscore.runtime.settings.choose_device`. Samples do not
            depend on it, up to rounding. On a GPU ``workers=None`` is 1.
        max_drift: Largest drift, see :func:`~graphscore.samplers.drift`, of samples that are not drawn again; by
            default the model's own for its own sampler and number of steps, and none for others.
        retries: How often a sample of wrong stereochemistry or with too much drift is drawn again at most; diverse ones
            are not.

    Raises:
        ValueError: If a number is out of range, or there is no such refinement.
    """

    num: int = 1
    seed: int = 0
    sampler: str | None = None
    num_steps: int | None = None
    refine: str = "none"
    energy_rank: bool = False
    diverse: bool = False
    fragment: Fragment | None = None
    retries: int = RETRIES
    prior_scale: float | None = None
    max_drift: float | None = None
    workers: int | None = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        check_request([self.num], self.seed)
        check_workers(self.workers)
        if self.retries < 0:
            raise ValueError(f"retries must be 0 or more, but is {self.retries}")
        for name in ("prior_scale", "max_drift"):
            if (value := getattr(self, name)) is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, but is {value}")
        if self.refine not in REFINEMENTS:
            raise ValueError(f"Unknown refinement {self.refine!r}; expected one of {list(REFINEMENTS)}")

    @property
    def needs_molecules(self) -> bool:
        """Whether something is asked that only molecules have."""
        return self.refine != "none" or self.energy_rank or self.fragment is not None
