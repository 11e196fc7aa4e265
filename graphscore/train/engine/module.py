"""LightningModule of a training task."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch_geometric.data import Data

from graphscore.nn.edges.search import searches_of
from graphscore.rng import CALIBRATION, VALIDATION, GraphGenerator
from graphscore.train.calibration import Calibration, errors
from graphscore.train.divergence import StepRecord, are_finite, report
from graphscore.train.ema import EMA
from graphscore.train.interruption import set_worker_signals
from graphscore.train.loading import FixedOrder, MicroBatch, Shares, StepOrder, StepSampler
from graphscore.train.memory import MemoryPlan
from graphscore.train.metrics import SPEEDS, LevelBins, LossMeans, Speed
from graphscore.train.options import TrainingOptions
from graphscore.train.parts import sizes_of
from graphscore.train.task import ScoreMatchingTask

DIVERGED_FILE = "diverged.pt"
"""File in the folder of a run with the graphs whose loss was not finite."""
# Steps between checks that the loss is finite.
LOOK_EVERY = 10


class TaskModule(pl.LightningModule):
    """LightningModule of a training task, with its averaged weights, optimiser and data loaders.

    Optimisation is "manual" in Lightning's words: the gradient of a step is summed over micro-batches, whose number may
    differ from rank to rank.
    """

    def __init__(
        self, task: ScoreMatchingTask, options: TrainingOptions, train: Sequence[Data], val: Sequence[Data], out: Path
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.task = task
        self.emas = [EMA(task.model, decay, options.ema_warmup) for decay in options.ema_decays]
        self.averages = nn.ModuleList(self.emas)  # so that they are saved and moved to the device
        self.options = options
        self.data = {"train": train, "val": val}
        searches = searches_of(task.model)
        self.sizes = {part: sizes_of(graphs, searches) for part, graphs in self.data.items()}
        self.plan: MemoryPlan | None = None
        self.budget = options.budget
        self.out = out
        self.record = StepRecord()
        fields, bins = list(task.model.fields), LevelBins(task.model, task.density)
        self.losses, self.val_losses = LossMeans(fields, bins), LossMeans(fields, bins)
        # Superposed targets are not those of the posterior mean, and only normal noise gives its error.
        has_scores = all(sde.has_score for _, sde in task.model.process)
        self.is_calibrated = has_scores and not task.objective.options.get("align")
        self.calibration = Calibration(bins)
        self.speed = Speed()
        self.latest: dict[str, float] = {}  # values of the log

    def follow(self, plan: MemoryPlan | None) -> None:
        """Keep to a plan of the memory."""
        self.plan = plan
        if plan is not None:
            self.budget = plan.budget(self.options.budget)
            self.sizes = {part: plan.measured(sizes) for part, sizes in self.sizes.items()}

    def train_dataloader(self) -> DataLoader:
        return self._loader("train", self._training_steps(self.global_step))

    @property
    def averaged(self) -> list[Any]:
        """The models with averaged weights."""
        return [ema.module for ema in self.emas]

    @property
    def columns(self) -> list[str]:
        """Names of all values of the log."""
        names = [*self.losses.names("loss"), "gradient_norm", "learning_rate", *SPEEDS]
        of_validation = [*self.val_losses.names("val_loss"), *(self.calibration.names if self.is_calibrated else [])]
        return names + (of_validation if self.num_validated else [])

    @property
    def num_validated(self) -> int:
        """Number of validation graphs."""
        return len(self.data["val"])

    def validation_shares(self) -> DataLoader:
        """This rank's shares of the validation graphs."""
        num, size = len(self.data["val"]), self.options.batch_size
        return self._loader("val", self._sampler("val", FixedOrder(num, size), range(-(-num // size))))

    def _training_steps(self, start: int) -> StepSampler:
        """This rank's shares of the steps from one on."""
        options = self.options
        order = StepOrder(len(self.data["train"]), options.batch_size, options.seed)
        return self._sampler("train", order, range(start, options.max_steps))

    def _sampler(self, part: str, order: StepOrder | FixedOrder, steps: range) -> StepSampler:
        rank, num_ranks = self.global_rank, self.trainer.world_size
        return StepSampler(order, self.sizes[part], steps, self.budget, rank, num_ranks)

    def _loader(self, part: str, shares: StepSampler) -> DataLoader:
        return DataLoader(
            Shares(self.data[part]), sampler=shares, batch_size=None, collate_fn=_as_it_is,
            num_workers=self.options.workers if part == "train" else 0, pin_memory=self.device.type == "cuda",
            worker_init_fn=set_worker_signals,
        )  # fmt: skip

    def training_step(self, share: list[MicroBatch], _: int) -> None:
        step, options = self.global_step, self.options
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        outs = []
        for number, (batch, places) in enumerate(share, start=1):
            with nullcontext() if number == len(share) else self._gradients_kept():
                out = self.task(batch, step, places=places, num_graphs=options.batch_size)
                # DDP averages over ranks, but the loss is the mean over all graphs of the step.
                scale = self.trainer.world_size / options.batch_size
                with torch.autocast(self.device.type, enabled=False):
                    self.manual_backward(out.loss * scale)
            torch.clear_autocast_cache()  # else the next micro-batch would get this one's graph of rounded weights
            outs.append(out)
            self.losses.add(out)
        self.record.add_losses(step, torch.cat([out.graph_losses for out in outs]))
        norm = nn.utils.clip_grad_norm_(self.task.model.parameters(), options.gradient_clip)
        self.record.add_norm(norm)
        for group in optimizer.param_groups:
            group["lr"] = options.rate(step)
        optimizer.step()
        for ema in self.emas:
            ema.update(self.task.model, step)
        if (step + 1) % LOOK_EVERY == 0:
            self.check_finite()
        self.speed.add(options.batch_size, sum(batch.num_nodes for batch, _ in share) * self.trainer.world_size)
        self.norm = norm

    def training_row(self) -> dict[str, float]:
        """Means since the last row of the log; this waits for the device once."""
        means = self.losses.means("loss", self._over_ranks) | {"gradient_norm": self.norm}
        values = torch.stack([value.detach().double().cpu() for value in means.values()]).tolist()
        rate = self.options.rate(self.global_step - 1)
        return dict(zip(means, values, strict=True)) | {"learning_rate": rate} | self.speed.row(self.device)

    def _over_ranks(self, value: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(value.clone(), reduce_op="sum")  # changes it in place

    def _gradients_kept(self) -> Any:
        """Context in which gradients are not yet summed over ranks."""
        block = getattr(self.trainer.strategy, "block_backward_sync", nullcontext)
        return block()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Compute the validation losses of the averaged weights."""
        size, strategy = self.options.batch_size, self.trainer.strategy
        for number, share in enumerate(self.validation_shares()):
            num_graphs = min(size, self.num_validated - number * size)
            for batch, places in strategy.batch_to_device(share):
                with self.trainer.precision_plugin.val_step_context():
                    out = self.task(
                        batch, number, places=places, num_graphs=num_graphs, model=self.averaged[0],
                        stream=VALIDATION,
                    )  # fmt: skip
                self.val_losses.add(out)
                if number == 0 and self.is_calibrated:
                    seeds = self.task.seeds(number, places, num_graphs)
                    noise, probes = GraphGenerator(seeds, VALIDATION), GraphGenerator(seeds, CALIBRATION)
                    self.calibration.add(out.t, errors(self.averaged[0], batch, out.t, noise, probes))
        means = self.val_losses.means("val_loss", self._over_ranks)
        means |= self.calibration.ratios(self._over_ranks) if self.is_calibrated else {}
        self.speed.pause()
        return dict(zip(means, torch.stack(list(means.values())).tolist(), strict=True))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Called before anything is written, by all ranks.
        self.check_finite(weights=True)
        plan = None if self.plan is None else (self.plan.limit, tuple(self.plan.model))
        losses = self._over_ranks(self.losses.sums).cpu()
        checkpoint["graphscore"] = {
            "losses": losses, "latest": self.latest, "memory": (self.options.memory_gb, plan),
        }  # fmt: skip

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # All ranks' sums, which are summed over ranks again.
        self.losses.sums = checkpoint["graphscore"]["losses"] / self.trainer.world_size
        self.latest = dict(checkpoint["graphscore"]["latest"])

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
        path = self.out / (f"{self.global_rank}-{DIVERGED_FILE}" if self.trainer.world_size > 1 else DIVERGED_FILE)
        share = self._training_steps(bad.step).share(bad.step)
        raise FloatingPointError(report(bad, self.task, self.data["train"], share, self.options.batch_size, path))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.options.optimizer(self.task.model.parameters())


def _as_it_is(item: Any) -> Any:
    return item
