"""Progress of a training: a live line in a terminal, and a plain line every so often elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from graphscore.runtime.settings import describe_device
from graphscore.train.sample_score import SAMPLED

_SECONDS_PER_LINE = 30.0


class Progress:
    """Progress of a training: steps, loss, validation loss, speed, memory and time left.

    Args:
        notes: Lines to print at the start.
        console: Where it is printed; by default standard output. If that is no terminal, a line is printed every half a
            minute.
    """

    def __init__(self, notes: Sequence[str] = (), console: Console | None = None) -> None:
        self.notes = notes
        self.console = Console() if console is None else console
        self.bar = Bar(
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(), console=self.console, disable=not self.console.is_terminal,
        )  # fmt: skip

    def start(self, step: int, num_steps: int, device: torch.device) -> None:
        """Print the notes and the device, and show the progress from a step on."""
        for note in self.notes:
            self._print(note)
        resumed = f", from step {step:,} on" if step else ""
        self._print(f"Training on {_describe(device)}{resumed}")
        self.bar.start()
        self.line = self.bar.add_task("", total=num_steps, completed=step, status="")
        self.first = (time.monotonic(), step)
        self.printed, self.num_steps = self.first[0], num_steps

    def update(self, step: int, latest: Mapping[str, float]) -> None:
        """Show the number of steps done; ``latest`` holds the latest values of the log."""
        status = _status(latest)
        self.bar.update(self.line, completed=step, status=status)
        now = time.monotonic()
        if not self.console.is_terminal and (now - self.printed >= _SECONDS_PER_LINE or step == self.num_steps):
            self.printed = now
            left = (now - self.first[0]) / max(step - self.first[1], 1) * (self.num_steps - step)
            rate = f"  learning rate {latest['learning_rate']:.2g}" if "learning_rate" in latest else ""
            self._print(f"step {step:,} of {self.num_steps:,}  {status}{rate}  {_duration(left)} left")

    def stop(self) -> None:
        """Stop updating; the line stays in the terminal."""
        self.bar.stop()

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def _status(latest: Mapping[str, float]) -> str:
    shown = {
        "loss": "loss {:.4f}", "val_loss": "val {:.4f}", "graphs_per_second": "{:,.0f} graphs/s",
        "peak_memory_gb": "{:.1f} GB",
    }  # fmt: skip
    shown |= {name: f"{name.removeprefix(SAMPLED)} {{:.4g}}" for name in latest if name.startswith(SAMPLED)}
    return "  ".join(text.format(latest[name]) for name, text in shown.items() if name in latest)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _describe(device: torch.device) -> str:
    if device.type == "cpu":
        return "the CPU" if torch.cuda.is_available() else "the CPU: there is no CUDA GPU"
    return describe_device(device)
