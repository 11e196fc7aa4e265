"""Progress of sampling: a count of samples, reported from the first batch on."""

from __future__ import annotations

from graphscore.runtime.workers import Progress


class Tally:
    """Counter of finished samples that reports to a callback, from the first sample on.

    Args:
        progress: Called with (samples done, total).
        total: Total number of samples; ``None`` if unknown.
    """

    def __init__(self, progress: Progress | None, total: int | None) -> None:
        self.progress, self.total, self.done = progress, total, 0
        self.told = -1

    def add(self, number: int, begins: bool = False) -> None:
        """Count finished or failed samples; with ``begins``, reporting starts."""
        self.done += number
        if begins or self.told >= 0:
            self.within(0)

    def within(self, done: int, total: int | None = None) -> None:
        """Report samples of the current batch that are not counted yet."""
        if self.progress is not None and self.done + done > self.told:
            self.told = self.done + done
            self.progress(self.told, self.total)
