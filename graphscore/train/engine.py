"""The training loop, on PyTorch Lightning. The only module that imports it."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from graphscore.experiment.schema import TrainingConfig
from graphscore.nn.backbones.base import SizedBackbone
from graphscore.rng import VALIDATION
from graphscore.runtime.settings import SpareThreads, choose_device
from graphscore.train.divergence import StepRecord, are_finite, report
from graphscore.train.ema import EMA
from graphscore.train.history import read_history, write_history
from graphscore.train.interruption import Interrupted, SignalWatch, set_worker_signals
from graphscore.train.loading import StepBatchSampler
from graphscore.train.options import check_options, listed
from graphscore.train.process_state import quiet_lightning, tfloat32
from graphscore.train.progress import ProgressLine
from graphscore.train.resumption import resumable_step
from graphscore.train.task import ScoreMatchingTask

RESUME_FILE = "last.ckpt"
DIVERGED_FILE = "diverged.pt"
# Steps between rows of the log, looks whether the loss is finite, and agreements of ranks to stop.
_LOOK_EVERY = 10
# Lightning's names: "mixed" keeps weights, optimiser and checkpoints in float32.
_PRECISIONS = {"float32": "32-true", "tfloat32": "32-true", "bfloat16": "bf16-mixed"}


class _Module(pl.LightningModule):
    """A task, its averaged weights and its optimiser, in Lightning's terms."""

    def __init__(
        self, task: ScoreMatchingTask, config: TrainingConfig, train: Sequence[Data], val: Sequence[Data], out: Path
    ) -> None:
        super().__init__()
        self.task = task
        self.ema = EMA(task.model, config.ema_decay)
        self.config = config
        self.data = {"train": train, "val": val}
        self.out = out
        self.record = StepRecord()

    def train_dataloader(self) -> DataLoader:
        return self._loader("train", self._batches(self.global_step))

    def _batches(self, start: int) -> StepBatchSampler:
        """The batches from a step on: for each, which training graphs are this rank's share."""
        return StepBatchSampler(
            len(self.data["train"]), self.config.batch_size, self.config.max_steps, start, self.config.seed,
            self.global_rank, self.trainer.world_size,
        )  # fmt: skip

    @property
    def _val_share(self) -> tuple[int, int]:
        """Rank and number of ranks among which the validation graphs are dealt out.

        With fewer graphs than ranks each takes all of them: one without any would skip the validation, while the others
        wait for its part of the mean.
        """
        num_ranks = self.trainer.world_size
        return (self.global_rank, num_ranks) if len(self.data["val"]) >= num_ranks else (0, 1)

    def val_dataloader(self) -> DataLoader:
        rank, num_ranks = self._val_share
        share = list(range(rank, len(self.data["val"]), num_ranks))
        batches = [share[i : i + self.config.batch_size] for i in range(0, len(share), self.config.batch_size)]
        return self._loader("val", batches)

    def _loader(self, part: str, batches: Iterable[list[int]]) -> DataLoader:
        workers = self.config.workers if part == "train" else 0
        return DataLoader(
            self.data[part], batch_sampler=batches, num_workers=workers, pin_memory=self.device.type == "cuda",
            worker_init_fn=set_worker_signals,
        )  # fmt: skip

    def training_step(self, batch: Batch, _: int) -> Tensor:
        out = self.task(batch, self.global_step, rank=self.global_rank, num_ranks=self.trainer.world_size)
        # Every rank has the same number of graphs, so the average over ranks is that over the global batch.
        loss = out.loss / out.num_graphs
        self.record.add_losses(self.global_step, out.graph_losses)
        self.log_dict(
            {"loss": loss.detach(), **{f"loss/{k}": v for k, v in out.logs.items()}}, batch_size=out.num_graphs
        )
        return loss

    def validation_step(self, batch: Batch, number: int) -> None:
        rank, num_ranks = self._val_share
        out = self.task(batch, number, rank=rank, num_ranks=num_ranks, model=self.ema.module, stream=VALIDATION)
        self.log("val_loss", out.loss / out.num_graphs, batch_size=out.num_graphs, sync_dist=True)

    def configure_gradient_clipping(self, *args: Any, **kwargs: Any) -> None:
        self.record.add_norm(nn.utils.clip_grad_norm_(self.task.model.parameters(), self.config.gradient_clip))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Here and not at the end of the batch, where the checkpoint has already been written.
        self.ema.update(self.task.model, self.global_step)  # this step is not counted yet
        if (self.global_step + 1) % _LOOK_EVERY == 0:
            self.check_finite()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Called before anything is written, by all ranks.
        self.check_finite(weights=True)

    def check_finite(self, weights: bool = False) -> None:
        """Stop all ranks if the loss or gradient of a step since the last check is not finite, or if weights are not.

        Raises:
            FloatingPointError: That names the step and the graphs of its batch, which are kept for a report.
        """
        bad = self.record.look()
        fine = bad is None and (not weights or are_finite([*self.parameters(), *self.buffers()]))
        if not self.trainer.strategy.reduce_boolean_decision(not fine, all=False):
            return
        if bad is None:
            done = f"after step {self.global_step} of {self.config.max_steps}"
            what = "another rank says at which step" if fine else f"weights are not finite {done}"
            raise FloatingPointError(f"Training diverged: {what}; lower training.learning_rate")
        rank, num_ranks = self.global_rank, self.trainer.world_size
        path = self.out / (f"{rank}-{DIVERGED_FILE}" if num_ranks > 1 else DIVERGED_FILE)
        indices = next(iter(self._batches(bad.step)))
        raise FloatingPointError(
            report(bad, self.task, self.data["train"], indices, path, rank=rank, num_ranks=num_ranks)
        )

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


class _Stopped(Exception):  # noqa: N818 (not an error)
    """Ends Lightning's loop after a signal; it takes a KeyboardInterrupt for its own affair."""


class _Keeper(Checkpoint):
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
            raise _Stopped

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
        return trainer.global_step % _LOOK_EVERY == 0 and trainer.strategy.reduce_boolean_decision(received, all=False)

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self.saved = trainer.global_step


class _Threads(Callback):
    """Leaves cores to other processes, while these need them."""

    def __init__(self) -> None:
        self.spare = SpareThreads()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.spare.adapt()


class _Progress(Callback):
    """Tells the progress line what happens."""

    def __init__(self, line: ProgressLine) -> None:
        self.line = line

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.line.start(trainer.global_step, trainer.max_steps, pl_module.device)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.line.update(trainer.global_step, trainer.callback_metrics)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.line.stop()


def fit(
    task: ScoreMatchingTask,
    config: TrainingConfig,
    train: Sequence[Data],
    val: Sequence[Data],
    out: Path,
    *,
    resume: bool = False,
    progress: bool = True,
    spare_cores: bool = False,
    trainer_options: dict[str, Any] | None = None,
) -> nn.Module:
    """Train a task and keep it in a folder: ``last.ckpt`` to resume from, ``logs/`` as CSV and for TensorBoard.

    It is computed on a CUDA GPU where there is one, else on the CPU: see
    :func:`graphscore.runtime.settings.choose_device`. Ctrl-C and SIGTERM are answered at the end of the step, when the
    run has been saved.

    Args:
        task: What to optimise; its model is trained in place.
        config: How.
        train: Graphs to train on.
        val: Graphs to watch the loss on, under the same times and noise each time; may be empty.
        out: Folder of the run.
        resume: Whether to go on from ``last.ckpt``; the result then equals that of an uninterrupted run
            on as many threads.
        progress: Whether to show the progress line.
        spare_cores: Whether to compute on no more threads than other processes leave cores for, from step to step, see
            :class:`graphscore.runtime.settings.SpareThreads`.
        trainer_options: Further options of Lightning's ``Trainer``, such as accelerator and devices. Callbacks and
            loggers come beside those of this library; ``logger=False`` turns all logging off.

    Returns:
        The model with averaged weights.

    Raises:
        FileNotFoundError: If there is nothing to resume from.
        ValueError: If an option contradicts the configuration, or what there is cannot be resumed from.
        FloatingPointError: If the loss stops being finite. ``last.ckpt`` is then that of an earlier step, and the
            graphs of the bad step are in ``diverged.pt``, see :func:`graphscore.train.divergence.report`.
        Interrupted: If a signal stopped the training; ``last.ckpt`` holds the state.
    """
    resume_from = out / RESUME_FILE
    if resume and not resume_from.is_file():
        raise FileNotFoundError(f"Nothing to resume: {resume_from} does not exist; start without --resume")
    options = check_options(trainer_options or {})
    out.mkdir(parents=True, exist_ok=True)
    module = _Module(task, config, train, val, out)
    start = resumable_step(resume_from, module) if resume else None
    keeper = _Keeper(resume_from, config.checkpoint_every)
    callbacks = [*listed(options.pop("callbacks", None)), keeper, *([_Threads()] if spare_cores else [])]
    if progress:
        callbacks.append(_Progress(ProgressLine(config.batch_size)))
    with quiet_lightning():
        trainer = pl.Trainer(
            **{
                "accelerator": choose_device().type, "devices": 1, "max_steps": config.max_steps, "max_epochs": -1,
                "precision": _PRECISIONS[config.precision], "log_every_n_steps": min(_LOOK_EVERY, config.max_steps),
                "enable_progress_bar": False, "enable_model_summary": False, "use_distributed_sampler": False,
                "num_sanity_val_steps": 0, "val_check_interval": min(config.validate_every, config.max_steps),
                "limit_val_batches": 1.0 if len(val) else 0, **options,
                "callbacks": callbacks, "logger": _loggers(out, start, options.get("logger", True)),
            }
        )  # fmt: skip
        if config.compile:
            # In place, and only what is trained: the average is copied already.
            for part in task.model.modules():
                if isinstance(part, SizedBackbone):
                    part.compile(dynamic=True)
        with tfloat32(config.precision == "tfloat32"):
            _run(trainer, module, keeper, resume_from if resume else None)
    return module.ema.module


def _run(trainer: pl.Trainer, module: _Module, keeper: _Keeper, resume_from: Path | None) -> None:
    """Let Lightning loop, and give its ways to stop a meaning."""
    watch = keeper.watch
    watch.start()
    try:
        trainer.fit(module, ckpt_path=resume_from, weights_only=True)
        stopped = watch.received is not None  # during the last step
    except _Stopped:
        stopped = True
    except SystemExit as error:
        # What Lightning makes of a Ctrl-C that did not wait, and of a SIGTERM before the first step.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        stopped = watch.received is not None
        if not stopped:
            raise
    finally:
        watch.stop()
    if stopped:
        signum = watch.received or signal.SIGTERM
        raise Interrupted(
            f"Training stopped after {keeper.saved} of {trainer.max_steps} steps by {signal.Signals(signum).name}, and "
            f"its state is in {keeper.path}: go on by `graphscore train` with the same configuration and folder and "
            "--resume (in Python, resume=True)",
            signum,
        )


def _loggers(out: Path, start: int | None, more: Any) -> list[Logger]:
    """The loggers of a run, and a user's own; none if these are ``False``.

    Lightning's writer of CSV starts by deleting the file: on resuming, the rows of the steps that stay are put back.
    """
    if more is False:
        return []
    table = CSVLogger(out, "logs", version="", flush_logs_every_n_steps=1)
    if start is not None:
        path = Path(table.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        if path.is_file() and rank_zero_only.rank == 0:
            history = read_history(path, start)
            table.experiment.metrics_keys = history.columns
            write_history(path, history)
    curves = TensorBoardLogger(out, "logs", version="", purge_step=start)
    return [table, curves, *listed(more)]
