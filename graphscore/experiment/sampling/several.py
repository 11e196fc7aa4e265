"""Sampling by several models, each of which samples the inputs that suit it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch_geometric.data import Data

from graphscore.experiment.sampling.window import Piece, WindowSampler
from graphscore.generate.outcome import Outcome
from graphscore.runtime.workers import Progress

Choice = Callable[[Data], int]


class SeveralModels:
    """Sampling of windows of inputs, each input by one of several models.

    Args:
        samplers: One for each model, all for the same request.
        choose: Number of the model that samples an input. It depends on the input alone, so that samples do not depend
            on what else is sampled; that, and the samplers, can be pickled.
    """

    def __init__(self, samplers: Sequence[WindowSampler], choose: Choice) -> None:
        self.samplers, self.choose = list(samplers), choose

    def __call__(self, pieces: Sequence[Piece], progress: Progress | None = None) -> list[Outcome]:
        """Sample the inputs of a window, see :class:`~graphscore.experiment.sampling.window.WindowSampler`."""
        shares: list[list[Piece]] = [[] for _ in self.samplers]
        for piece in pieces:
            shares[0 if isinstance(piece[1], str) else self.choose(piece[1])].append(piece)
        found, total, before = dict[int, Outcome](), sum(num for _, _, num in pieces), 0
        for sampler, share in zip(self.samplers, shares, strict=True):
            if share:
                outcomes = sampler(share, None if progress is None else _shifted(progress, before, total))
                found |= {piece[0]: outcome for piece, outcome in zip(share, outcomes, strict=True)}
                before += sum(num for _, _, num in share)
        return [found[number] for number, _, _ in pieces]

    def to(self, device: str) -> None:
        """Move the models to a device."""
        for sampler in self.samplers:
            sampler.to(device)


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)
