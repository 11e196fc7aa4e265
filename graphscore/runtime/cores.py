"""CPU cores that other processes keep busy, measured over a while."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

_STAT = Path("/proc/stat")
SHORTEST = 0.2
"""Seconds to measure over at least: the kernel counts in hundredths of a second."""


class _Times(NamedTuple):
    """A moment, and the processor time that all processes and this one have used until then, in seconds."""

    moment: float
    everybody: float
    own: float


class CoreWatch:
    """Measure how many cores other processes use, on average since the last look.

    This process is left out with all its threads, and so are processes that step back for it (with a ``nice`` above its
    own 0). Processes that it has started are others: they need cores too. It works on Linux, where the kernel tells;
    see proc(5), ``/proc/stat``.
    """

    def __init__(self) -> None:
        self._last = _times()

    def seconds(self) -> float | None:
        """How long ago the last look was; ``None`` where nothing can be known."""
        return None if self._last is None else time.monotonic() - self._last.moment

    def others(self) -> float | None:
        """Number of cores; ``None`` where it cannot be known, or if the last look was a moment ago."""
        before, now = self._last, _times()
        if before is None or now is None or now.moment - before.moment < SHORTEST:
            return None
        self._last = now
        used = now.everybody - before.everybody - (now.own - before.own)
        return max(0.0, used / (now.moment - before.moment))


def _times() -> _Times | None:
    try:
        words = _STAT.read_text().partition("\n")[0].split()
        user, nice, system, _, _, irq, softirq, steal = (int(word) for word in words[1:9])
        ticks = user + system + irq + softirq + steal + (nice if os.nice(0) > 0 else 0)
        everybody = ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
    if ticks == 0:  # some sandboxes keep the file, but not the counts
        return None
    used = os.times()
    return _Times(time.monotonic(), everybody, used.user + used.system)


SINCE_START = CoreWatch()
"""Watches from the import of this module on, which a command does first."""
