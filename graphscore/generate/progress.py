"""Progress of sampling: how many samples are done, told from the first batch on."""

from __future__ import annotations

from graphscore.runtime.workers import Progress


class Tally:
    """Count samples, and tell a callback; nothing is told before anything is sampled.

    Args:
        progress: Called with (samples done, samples in all).
        total: Samples in all; ``None`` if that is not known.
    """

    def __init__(self, progress: Progress | None, total: int | None) -> None:
        self.progress, self.total, self.done = progress, total, 0
        self.told = -1

    def add(self, number: int, begins: bool = False) -> None:
        """Count samples, made or failed; the first ones that are made begin the telling."""
        self.done += number
        if begins or self.told >= 0:
            self.within(0)

    def within(self, done: int, total: int | None = None) -> None:
        """Tell how far the work is that is not counted yet."""
        if self.progress is not None and self.done + done > self.told:
            self.told = self.done + done
            self.progress(self.told, self.total)
