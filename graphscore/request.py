"""What can be asked of a trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphscore.generate import check_request
from graphscore.workers import check_workers

if TYPE_CHECKING:  # only molecules need RDKit
    from graphscore.fragments import Fragment

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
        workers: Processes that share the work, on Linux; ``None`` for as many as PyTorch has threads, where that pays.
            Samples do not depend on it, up to rounding. Those of one graph are made by one.
        prior_scale: Factor of the noise that sampling starts from; the model's own by default.
        retries: How often a conformer of wrong stereochemistry is drawn again at most; diverse ones are not.

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
    workers: int | None = 1

    def __post_init__(self) -> None:
        check_request([self.num], self.seed)
        check_workers(self.workers)
        if self.retries < 0:
            raise ValueError(f"retries must be 0 or more, but is {self.retries}")
        if self.prior_scale is not None and not 0 < self.prior_scale < math.inf:
            raise ValueError(f"prior_scale must be positive and finite, but is {self.prior_scale}")
        if self.refine not in REFINEMENTS:
            raise ValueError(f"Unknown refinement {self.refine!r}; expected one of {list(REFINEMENTS)}")

    @property
    def needs_molecules(self) -> bool:
        """Whether something is asked that only molecules have."""
        return self.refine != "none" or self.energy_rank or self.fragment is not None
