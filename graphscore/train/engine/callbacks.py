"""Callbacks of the training loop: log and validation, checkpoints, number of threads and progress line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from graphscore.runtime.atomic import replacing
from graphscore.runtime.settings import SpareThreads
from graphscore.train.engine.module import LOOK_EVERY, TaskModule
from graphscore.train.engine.scoring import score_samples
from graphscore.train.interruption import SignalWatch
from graphscore.train.options import TrainingOptions
from graphscore.train.progress import Progress
from graphscore.train.sample_score import SAMPLED, SampleScore

SaveModel = Callable[[str, Sequence[nn.Module], int], None]
"""Writes averaged models to files of a given name without extension, after a number of steps; called by one rank."""


class Stopped(Exception):  # noqa: N818 (not an error)
    """Raised to leave Lightning's loop after a signal; Lightning would handle a KeyboardInterrupt itself."""


class Recorder(Callback):
    """Writes the rows of the log, and runs the validations.

    Lightning would do both after the callbacks, so that a checkpoint would be written before the row of its step, which
    is lost if the process is killed in between.
    """

    def __init__(self, options: TrainingOptions, score: SampleScore | None) -> None:
        self.options, self.score = options, score

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        kept = None if self.score is None else self.score.column
        for name in [name for name in pl_module.latest if name.startswith(SAMPLED) and name != kept]:
            del pl_module.latest[name]  # of the run before it was resumed

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step, options = trainer.global_step, self.options
        row = pl_module.training_row() if step % min(options.log_every, options.max_steps) == 0 else {}
        is_validated = pl_module.num_validated and step % min(options.validate_every, options.max_steps) == 0
        if is_validated:
            row |= pl_module.validate()
        if self.score is not None and self.score.is_due(step, options.max_steps):
            row |= score_samples(self.score, trainer, pl_module)
        if not row:
            return
        for logger in trainer.loggers:
            logger.log_metrics(row, step - 1)
        # For callbacks that watch a value; missing ones, such as of levels that no graph had, are not shown to them.
        pl_module.log_dict({name: value for name, value in row.items() if value == value}, logger=False, batch_size=1)
        pl_module.latest |= row
        for callback in trainer.callbacks if is_validated else ():  # type: ignore[attr-defined]
            callback.on_validation_end(trainer, pl_module)


class Keeper(Checkpoint):
    """Saves the run to ``last.ckpt`` at regular steps, at the end, and when a signal stops the training.

    Args:
        path: The file.
        every: Steps between two checkpoints.
        keep_every: Steps between two models that are kept; ``None`` for none.
        save: Writes the averaged models: ``model`` with each checkpoint, ``best`` when the validation loss has never
            been as low, ``best-sampled`` when the samples have never had as good a score, and ``step-N``, which are
            kept.
        score: Score of samples.
    """

    def __init__(
        self, path: Path, every: int, keep_every: int | None, save: SaveModel | None, score: SampleScore | None = None
    ) -> None:
        self.path, self.every, self.keep_every, self.save, self.score = path, every, keep_every, save, score
        self.saved = -1
        self.best = self.best_sampled = float("inf")
        self.stopping = False
        self.watch = SignalWatch()

    def state_dict(self) -> dict[str, Any]:
        sampled = {} if self.score is None else {"best_sampled": (self.score.key, self.best_sampled)}
        return {"best": self.best, **sampled}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = float(state_dict["best"])
        key, value = state_dict.get("best_sampled", (None, None))
        if self.score is not None and key == self.score.key:  # other scores cannot be compared
            self.best_sampled = float(value)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.watch.start()  # Lightning has just installed its own handlers

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if (loss := pl_module.latest["val_loss"]) < self.best:
            self.best = loss
            self._write_model(trainer, pl_module, "best")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        self.stopping = self._must_stop(trainer)
        if self.score is not None and self.score.is_due(step, trainer.max_steps):
            self._choose_sampled(self.score.loss(pl_module.latest[self.score.column]), trainer, pl_module)
        if self.keep_every is not None and step % self.keep_every == 0:
            pl_module.check_finite(weights=True)
            self._write_model(trainer, pl_module, f"step-{step:08d}")
        if step % self.every == 0 or step == trainer.max_steps or self.stopping:
            self._save(trainer, pl_module)
        if self.stopping:
            raise Stopped

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.saved != trainer.global_step:  # stopped early by another callback
            self._save(trainer, pl_module)

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

    def _choose_sampled(self, loss: float, trainer: pl.Trainer, pl_module: Any) -> None:
        if loss < self.best_sampled:  # not NaN, of no samples
            self.best_sampled = loss
            self._write_model(trainer, pl_module, "best-sampled")

    def _save(self, trainer: pl.Trainer, pl_module: Any) -> None:
        trainer.save_checkpoint(self.path)
        self._write_model(trainer, pl_module, "model")
        self.saved = trainer.global_step

    def _write_model(self, trainer: pl.Trainer, pl_module: TaskModule, name: str) -> None:
        if self.save is not None and trainer.is_global_zero:
            self.save(name, pl_module.averaged, trainer.global_step)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints beside their final place, so that a killed process or a full disk leaves the last one whole.

    Lightning's own writes to the folder for temporary files, which may lie on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        # Given a path, PyTorch would not say why it cannot write.
        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)


class Threads(Callback):
    """Adapts the number of threads to the cores that other processes leave free."""

    def __init__(self) -> None:
        self.spare = SpareThreads()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.spare.adapt()


class ShowProgress(Callback):
    """Shows the progress."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.progress.start(trainer.global_step, trainer.max_steps, pl_module.device)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.is_global_zero:
            self.progress.update(trainer.global_step, pl_module.latest)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.is_global_zero:
            self.progress.stop()
