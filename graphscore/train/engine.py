"""The training loop, on PyTorch Lightning. The only module that imports it."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from graphscore.config import TrainingConfig
from graphscore.generators import VALIDATION
from graphscore.nn.backbone import SizedBackbone
from graphscore.train.ema import EMA
from graphscore.train.loading import StepBatchSampler
from graphscore.train.task import ScoreMatchingTask

RESUME_FILE = "last.ckpt"
# Lightning's names: "mixed" keeps weights, optimiser and checkpoints in float32.
_PRECISIONS = {"float32": "32-true", "tfloat32": "32-true", "bfloat16": "bf16-mixed"}


class _Module(pl.LightningModule):
    """A task, its averaged weights and its optimiser, in Lightning's terms."""

    def __init__(
        self, task: ScoreMatchingTask, config: TrainingConfig, train: Sequence[Data], val: Sequence[Data]
    ) -> None:
        super().__init__()
        self.task = task
        self.ema = EMA(task.model, config.ema_decay)
        self.config = config
        self.data = {"train": train, "val": val}

    def train_dataloader(self) -> DataLoader:
        sampler = StepBatchSampler(
            len(self.data["train"]), self.config.batch_size, self.config.max_steps, self.global_step, self.config.seed,
            self.global_rank, self.trainer.world_size,
        )  # fmt: skip
        return self._loader("train", sampler)

    def val_dataloader(self) -> DataLoader:
        share = list(range(self.global_rank, len(self.data["val"]), self.trainer.world_size))
        batches = [share[i : i + self.config.batch_size] for i in range(0, len(share), self.config.batch_size)]
        return self._loader("val", batches)

    def _loader(self, part: str, batches: Iterable[list[int]]) -> DataLoader:
        workers = self.config.workers if part == "train" else 0
        return DataLoader(
            self.data[part], batch_sampler=batches, num_workers=workers, pin_memory=self.device.type == "cuda"
        )

    def training_step(self, batch: Batch, _: int) -> Tensor:
        out = self.task(batch, self.global_step, rank=self.global_rank, num_ranks=self.trainer.world_size)
        # Every rank has the same number of graphs, so the average over ranks is that over the global batch.
        loss = out.loss / out.num_graphs
        self.log_dict(
            {"loss": loss.detach(), **{f"loss/{k}": v for k, v in out.logs.items()}}, batch_size=out.num_graphs
        )
        return loss

    def validation_step(self, batch: Batch, number: int) -> None:
        out = self.task(
            batch,
            number,
            rank=self.global_rank,
            num_ranks=self.trainer.world_size,
            model=self.ema.module,
            stream=VALIDATION,
        )
        self.log("val_loss", out.loss / out.num_graphs, batch_size=out.num_graphs, sync_dist=True)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Here and not at the end of the batch, where the checkpoint has already been written.
        self.ema.update(self.task.model, self.global_step - 1)

    def configure_optimizers(self) -> dict[str, Any]:
        config = self.config
        optimizer = torch.optim.AdamW(
            self.task.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
            return warm * 0.5 * (1 + math.cos(math.pi * min(step / config.max_steps, 1.0)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _ProgressLine(Callback):
    """One live line: step, loss, validation loss, graphs per second and time left."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        self.last = (0.0, 0)
        self.status = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.progress.start()
        self.line = self.progress.add_task("", total=trainer.max_steps, completed=trainer.global_step, status="")
        self.last = (time.monotonic(), trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        # Reading the loss waits for the device: every 20 steps is often enough for eyes.
        if trainer.global_step % 20 == 0:
            now = (time.monotonic(), trainer.global_step)
            speed = (now[1] - self.last[1]) * pl_module.config.batch_size / max(now[0] - self.last[0], 1e-9)
            self.last = now
            values = trainer.callback_metrics
            self.status = f"loss {float(values['loss']):.4f}  {speed:.0f} graphs/s"
            if "val_loss" in values:
                self.status += f"  val {float(values['val_loss']):.4f}"
        self.progress.update(self.line, completed=trainer.global_step, status=self.status)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.progress.stop()


def fit(
    task: ScoreMatchingTask,
    config: TrainingConfig,
    train: Sequence[Data],
    val: Sequence[Data],
    out: Path,
    *,
    resume: bool = False,
    progress: bool = True,
    trainer_options: dict[str, Any] | None = None,
) -> nn.Module:
    """Train a task and keep it in a folder: ``last.ckpt`` to resume from, ``logs/`` as CSV and for TensorBoard.

    Args:
        task: What to optimise; its model is trained in place.
        config: How.
        train: Graphs to train on.
        val: Graphs to watch the loss on, under the same times and noise each time; may be empty.
        out: Folder of the run.
        resume: Whether to go on from ``last.ckpt``; the result then equals that of an uninterrupted run.
        progress: Whether to show the progress line.
        trainer_options: Further options of Lightning's ``Trainer``, such as accelerator and devices.

    Returns:
        The model with averaged weights.

    Raises:
        FileNotFoundError: If there is nothing to resume from.
        FloatingPointError: If the loss stops being finite.
    """
    resume_from = out / RESUME_FILE
    if resume and not resume_from.is_file():
        raise FileNotFoundError(f"Nothing to resume: {resume_from} does not exist; start without --resume")
    out.mkdir(parents=True, exist_ok=True)
    module = _Module(task, config, train, val)
    checkpoint = ModelCheckpoint(
        out, filename="last", every_n_train_steps=config.checkpoint_every, save_on_train_epoch_end=False,
        enable_version_counter=False,
    )  # fmt: skip
    loggers = [CSVLogger(out, "logs", version=""), TensorBoardLogger(out, "logs", version="")]
    with _quiet_lightning():
        trainer = pl.Trainer(
            **{
                "accelerator": "auto", "devices": 1, "max_steps": config.max_steps, "max_epochs": -1,
                "precision": _PRECISIONS[config.precision], "gradient_clip_val": config.gradient_clip,
                "logger": loggers, "log_every_n_steps": min(10, config.max_steps),
                "callbacks": [checkpoint, *([_ProgressLine()] if progress else [])],
                "enable_progress_bar": False, "enable_model_summary": False, "use_distributed_sampler": False,
                "num_sanity_val_steps": 0, "val_check_interval": min(config.validate_every, config.max_steps),
                "limit_val_batches": 1.0 if len(val) else 0, **(trainer_options or {}),
            }
        )  # fmt: skip
        if config.compile:
            # In place, and only what is trained: the average is copied already.
            for part in task.model.modules():
                if isinstance(part, SizedBackbone):
                    part.compile(dynamic=True)
        with _tfloat32(config.precision == "tfloat32"):
            trainer.fit(module, ckpt_path=resume_from if resume else None, weights_only=True)
    if not all(bool(torch.isfinite(p).all()) for p in module.task.parameters()):
        raise FloatingPointError("Training diverged: weights are no longer finite; lower training.learning_rate")
    return module.ema.module


@contextmanager
def _tfloat32(allowed: bool) -> Iterator[None]:
    """Let CUDA compute float32 products from 11 bits; other devices go on as they are."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed or before
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advertisements and hints for other settings while it runs, and nothing else."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for hint in (
            "does not have many workers",
            "exists and is not empty",
            "in eval mode",
            "LeafSpec",
            "not resumable",
        ):
            warnings.filterwarnings("ignore", message=f".*{hint}.*")
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
