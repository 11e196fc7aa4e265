"""LightningModule of a training task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from graphscore.rng import VALIDATION
from graphscore.train.divergence import StepRecord, are_finite, report
from graphscore.train.ema import EMA
from graphscore.train.interruption import set_worker_signals
from graphscore.train.loading import StepBatchSampler
from graphscore.train.options import TrainingOptions
from graphscore.train.task import ScoreMatchingTask

DIVERGED_FILE = "diverged.pt"
# Steps between rows of the log, and between checks that the loss is finite.
LOOK_EVERY = 10


class TaskModule(pl.LightningModule):
    """LightningModule of a training task, with its averaged weights, optimiser and data loaders."""

    def __init__(
        self, task: ScoreMatchingTask, options: TrainingOptions, train: Sequence[Data], val: Sequence[Data], out: Path
    ) -> None:
        super().__init__()
        self.task = task
        self.ema = EMA(task.model, options.ema_decay)
        self.options = options
        self.data = {"train": train, "val": val}
        self.out = out
        self.record = StepRecord()

    def train_dataloader(self) -> DataLoader:
        return self._loader("train", self._batches(self.global_step))

    def _batches(self, start: int) -> StepBatchSampler:
        """The batches from a step on, as indices of this rank's training graphs."""
        return StepBatchSampler(
            len(self.data["train"]), self.options.batch_size, self.options.max_steps, start, self.options.seed,
            self.global_rank, self.trainer.world_size,
        )  # fmt: skip

    @property
    def _val_share(self) -> tuple[int, int]:
        """Rank and number of ranks for dividing the validation graphs.

        With fewer graphs than ranks, each rank takes all graphs: a rank without graphs would skip the validation, while
        the others wait for its part of the mean.
        """
        num_ranks = self.trainer.world_size
        return (self.global_rank, num_ranks) if len(self.data["val"]) >= num_ranks else (0, 1)

    def val_dataloader(self) -> DataLoader:
        rank, num_ranks = self._val_share
        share = list(range(rank, len(self.data["val"]), num_ranks))
        batches = [share[i : i + self.options.batch_size] for i in range(0, len(share), self.options.batch_size)]
        return self._loader("val", batches)

    def _loader(self, part: str, batches: Iterable[list[int]]) -> DataLoader:
        workers = self.options.workers if part == "train" else 0
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
        self.record.add_norm(nn.utils.clip_grad_norm_(self.task.model.parameters(), self.options.gradient_clip))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Not at the end of the batch: the checkpoint has been written by then.
        self.ema.update(self.task.model, self.global_step)  # this step is not counted yet
        if (self.global_step + 1) % LOOK_EVERY == 0:
            self.check_finite()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Called before anything is written, by all ranks.
        self.check_finite(weights=True)

    def check_finite(self, weights: bool = False) -> None:
        """Check that losses and gradients since the last check are finite, on all ranks.

        Args:
            weights: Whether to check the weights, too.

        Raises:
            FloatingPointError: If they are not; the message names the step and the graphs of its batch, which are
                written to a file.
        """
        bad = self.record.look()
        fine = bad is None and (not weights or are_finite([*self.parameters(), *self.buffers()]))
        if not self.trainer.strategy.reduce_boolean_decision(not fine, all=False):
            return
        if bad is None:
            done = f"after step {self.global_step} of {self.options.max_steps}"
            what = "another rank says at which step" if fine else f"weights are not finite {done}"
            raise FloatingPointError(f"Training diverged: {what}; lower training.learning_rate")
        rank, num_ranks = self.global_rank, self.trainer.world_size
        path = self.out / (f"{rank}-{DIVERGED_FILE}" if num_ranks > 1 else DIVERGED_FILE)
        indices = next(iter(self._batches(bad.step)))
        raise FloatingPointError(
            report(bad, self.task, self.data["train"], indices, path, rank=rank, num_ranks=num_ranks)
        )

    def configure_optimizers(self) -> dict[str, Any]:
        options = self.options
        optimizer = torch.optim.AdamW(
            self.task.model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / max(options.warmup_steps, 1))
            return warm * 0.5 * (1 + math.cos(math.pi * min(step / options.max_steps, 1.0)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
