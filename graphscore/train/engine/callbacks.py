"""Callbacks of the training loop: keep the run, leave cores to others, show how far it is."""

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
    """Ends Lightning's loop after a signal; it takes a KeyboardInterrupt for its own affair."""


class Keeper(Checkpoint):
    """Keeps the run in ``last.ckpt``: every so many steps, at the end, and when a signal asks to stop."""

    def __init__(self, path: Path, every: int) -> None:
        self.path = path
        self.every = every
        self.saved = -1
        self.stopping = False
        self.watch = SignalWatch()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.watch.start()  # instead of Lightning's

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        self.stopping = self._must_stop(trainer)
        if step % self.every == 0 or step == trainer.max_steps or self.stopping:
            self._save(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # Only now, so that a validation that is due after the last step is not lost.
        if self.stopping:
            raise Stopped

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.saved != trainer.global_step:  # stopped early by a callback of the user's own
            self._save(trainer)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.watch.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.watch.stop()

    def _must_stop(self, trainer: pl.Trainer) -> bool:
        received = self.watch.received is not None
        if trainer.world_size == 1:
            return received
        # All ranks stop at the same step; to ask the others at each would cost too much.
        return trainer.global_step % LOOK_EVERY == 0 and trainer.strategy.reduce_boolean_decision(received, all=False)

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self.saved = trainer.global_step


class Threads(Callback):
    """Leaves cores to other processes, while these need them."""

    def __init__(self) -> None:
        self.spare = SpareThreads()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.spare.adapt()


class Progress(Callback):
    """Tells the progress line what happens."""

    def __init__(self, line: ProgressLine) -> None:
        self.line = line

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.line.start(trainer.global_step, trainer.max_steps, pl_module.device)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.line.update(trainer.global_step, trainer.callback_metrics)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.line.stop()
