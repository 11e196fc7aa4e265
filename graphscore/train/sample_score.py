"""Score of samples that are drawn while a model trains, by which the best model is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphscore.denoiser import ScoreModel

SAMPLED = "sampled_"
"""Prefix of the names of scores of samples in the log."""


@dataclass(frozen=True)
class SampleScore:
    """Score of samples that are drawn while a model trains.

    Attributes:
        column: Name of the score in the log.
        every: Steps between two scores.
        highest: Whether the best score is the highest rather than the lowest.
        key: Everything that scores must have in common to be compared, when a run is resumed.
        draw: Called as ``draw(model, rank, num_ranks)`` by each rank with the averaged weights; returns its share of
            the samples, which can be pickled. It must not change the weights.
        measure: Called with the shares of all ranks by the first one; returns the score, NaN if there is none.
    """

    column: str
    every: int
    highest: bool
    key: str
    draw: Callable[[ScoreModel, int, int], Any]
    measure: Callable[[Sequence[Any]], float]

    def is_due(self, step: int, max_steps: int) -> bool:
        """Tell whether there is a score after a number of steps: the last are scored in a shorter run, too."""
        return step % min(self.every, max_steps) == 0

    def loss(self, value: float) -> float:
        """Turn a score into a number that is the lower the better."""
        return -value if self.highest else value
