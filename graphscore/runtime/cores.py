"""Measurement of the CPU cores that other processes use."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

_STAT = Path("/proc/stat")
SHORTEST = 0.2
"""Shortest interval to measure over, in seconds: the kernel counts in hundredths of a second."""


class _Times(NamedTuple):
    """Clock time, and the processor time used so far by all processes and by this one, in seconds."""

    moment: float
    everybody: float
    own: float


class CoreWatch:
    """Measure how many CPU cores other processes use, on average since the last measurement.

    This process and its threads are not counted, nor are processes of lower priority (a ``nice`` value above 0, if this
    process has 0). Processes that it has started are counted: they need cores too. Works on Linux alone; see proc(5),
    ``/proc/stat``.
    """

    def __init__(self) -> None:
        self._last = _times()

    def seconds(self) -> float | None:
        """Return the seconds since the last measurement; ``None`` where cores cannot be measured."""
        return None if self._last is None else time.monotonic() - self._last.moment

    def others(self) -> float | None:
        """Return the number of cores that others use; ``None`` if it cannot be measured or too little time passed."""
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
    if ticks == 0:  # some sandboxes provide the file without counts
        return None
    used = os.times()
    return _Times(time.monotonic(), everybody, used.user + used.system)


SINCE_START = CoreWatch()
"""Measures from the import of this module on; the command line imports it first."""
