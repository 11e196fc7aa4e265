"""Progress of reading data before a training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from graphscore.runtime import workers

_SILENT, _SECONDS_PER_LINE = 2.0, 10.0


@contextmanager
def reading(shown: bool) -> Iterator[workers.Progress | None]:
    """Show on stderr how many graphs have been read, if this takes more than two seconds.

    Yields:
        A function of the number of graphs done, and in all; ``None`` if nothing is to be shown.
    """
    if not shown:
        yield None
        return
    console = Console(stderr=True)
    columns = (TextColumn("reading data"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    line = bar.add_task("", total=None)
    printed = time.monotonic() + _SILENT - _SECONDS_PER_LINE

    def show(done: int, total: int | None) -> None:
        nonlocal printed
        if (now := time.monotonic()) - printed < (0.1 if bar.live.is_started else _SECONDS_PER_LINE):
            return
        printed = now
        bar.start()
        bar.update(line, completed=done, total=total)
        if not console.is_terminal:
            of = "" if total is None else f" of about {total:,}"
            console.print(f"Reading data: {done:,}{of} graphs", highlight=False, soft_wrap=True)

    try:
        yield show
    finally:
        bar.stop()
