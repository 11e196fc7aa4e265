"""Progress bars and warnings of commands, and the settings of the process before the work."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from graphscore.cli import library


class Counter:
    """A progress bar, called with (done, total); it appears at the first call, so not before an error in the input.

    Args:
        console: Where it appears.
        title: What is counted.
        below: A bar below which this one appears: rich before 14.1 shows no two apart.
    """

    def __init__(self, console: Console, title: str, below: Counter | None = None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console) if below is None else below._progress
        self._line = self._progress.add_task(title, total=None, visible=False)

    def __call__(self, done: int, total: int | None) -> None:
        """Update the bar."""
        self._progress.start()
        self._progress.update(self._line, completed=done, total=total, visible=True)

    def __enter__(self) -> Counter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def prepare_process(console: Console) -> None:
    """Set up the process for training and sampling, and print a hint if other processes are busy."""
    if hint := library.prepare(spare_cores=True).hint:
        console.print(f"Hint: {hint}", soft_wrap=True)


def show_notes(console: Console, notes: Iterable[str]) -> None:
    """Print notes as warnings."""
    for note in notes:
        console.print(f"[yellow]Warning:[/] {escape(note)}", highlight=False, soft_wrap=True)
