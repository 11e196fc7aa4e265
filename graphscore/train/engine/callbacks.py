"""Callbacks of the training loop: checkpoints, number of threads and progress line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, Checkpoint

from graphscore.runtime.settings import SpareThreads
from graphscore.train.engine.module import LOOK_EVERY
from graphscore.train.interruption import SignalWatch
from graphscore.train.progress import ProgressLine


class Stopped(Exception):  # noqa: N818 (not an error)
    """Raised to leave Lightning's loop after a signal; Lightning would handle a KeyboardInterrupt itself."""


class Keeper(Checkpoint):
    """Saves the run to ``last.ckpt`` at regular steps, at the end, and when a signal stops the training."""

    def __init__(self, path: Path, every: int) -> None:
        self.path = path
        self.every = every
        self.saved = -1
        self.stopping = False
        self.watch = SignalWatch()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.watch.start()  # Lightning has just installed its own handlers

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        self.stopping = self._must_stop(trainer)
        if step % self.every == 0 or step == trainer.max_steps or self.stopping:
            self._save(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # Not at the end of the last step, so that a validation that is due then is not lost.
        if self.stopping:
            raise Stopped

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.saved != trainer.global_step:  # stopped early by a user's callback
            self._save(trainer)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.watch.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.watch.stop()

    def _must_stop(self, trainer: pl.Trainer) -> bool:
        received = self.watch.received is not None
        if trainer.world_size == 1:
            return received
        # All ranks must stop at the same step; synchronising them at each step would cost too much.
        return trainer.global_step % LOOK_EVERY == 0 and trainer.strategy.reduce_boolean_decision(received, all=False)

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self.saved = trainer.global_step


class Threads(Callback):
    """Adapts the number of threads to the cores that other processes leave free."""

    def __init__(self) -> None:
        self.spare = SpareThreads()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.spare.adapt()


class Progress(Callback):
    """Updates the progress line."""

    def __init__(self, line: ProgressLine) -> None:
        self.line = line

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.line.start(trainer.global_step, trainer.max_steps, pl_module.device)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.line.update(trainer.global_step, trainer.callback_metrics)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.line.stop()
