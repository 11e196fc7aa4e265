"""Progress line of a training in the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from graphscore.runtime.settings import describe_device

# Reading the loss makes the host wait for the device, so it is not read at each step.
_STEPS_PER_LOOK = 20


class ProgressLine:
    """Live progress line: steps, loss, validation loss, graphs per second and time left.

    Args:
        batch_size: Number of graphs in a step.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.progress = Progress(
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        self.last = (0.0, 0)
        self.status = ""

    def start(self, step: int, num_steps: int, device: torch.device) -> None:
        """Print the device, and show the line from a step on."""
        self.progress.console.print(f"Training on {_describe(device)}", highlight=False)
        self.progress.start()
        self.line = self.progress.add_task("", total=num_steps, completed=step, status="")
        self.last = (time.monotonic(), step)

    def update(self, step: int, metrics: Mapping[str, Tensor]) -> None:
        """Show the number of steps done; ``metrics`` holds ``loss`` and maybe ``val_loss``."""
        if step % _STEPS_PER_LOOK == 0:
            now = (time.monotonic(), step)
            speed = (now[1] - self.last[1]) * self.batch_size / max(now[0] - self.last[0], 1e-9)
            self.last = now
            self.status = f"loss {float(metrics['loss']):.4f}  {speed:.0f} graphs/s"
            if "val_loss" in metrics:
                self.status += f"  val {float(metrics['val_loss']):.4f}"
        self.progress.update(self.line, completed=step, status=self.status)

    def stop(self) -> None:
        """Stop updating the line; it stays in the terminal."""
        self.progress.stop()


def _describe(device: torch.device) -> str:
    if device.type == "cpu":
        return "the CPU" if torch.cuda.is_available() else "the CPU: there is no CUDA GPU"
    return describe_device(device)
