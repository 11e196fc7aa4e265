"""The training loop, on PyTorch Lightning."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import lightning.pytorch as pl
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only
from torch_geometric.data import Data

from graphscore.denoiser import ScoreModel
from graphscore.nn.backbones.base import SizedBackbone
from graphscore.runtime.launch import find_place
from graphscore.runtime.settings import choose_device
from graphscore.train.engine.callbacks import (
    AtomicCheckpoints,
    Keeper,
    Recorder,
    SaveModel,
    ShowProgress,
    Stopped,
    Threads,
)
from graphscore.train.engine.failures import explained
from graphscore.train.engine.module import TaskModule
from graphscore.train.history import read_history, write_history
from graphscore.train.interruption import Interrupted
from graphscore.train.memory import plan_memory
from graphscore.train.options import TrainingOptions, check_trainer_options, listed
from graphscore.train.parts import Sizes
from graphscore.train.process_state import quiet_lightning, tfloat32
from graphscore.train.progress import Progress
from graphscore.train.resumption import RESUME_FILE, resumable_step, stored_plan
from graphscore.train.sample_score import SampleScore
from graphscore.train.task import ScoreMatchingTask

# Lightning's names: "mixed" keeps weights, optimiser and checkpoints in float32.
_PRECISIONS = {"float32": "32-true", "tfloat32": "32-true", "bfloat16": "bf16-mixed"}


class Fit(NamedTuple):
    """Result of a training.

    Attributes:
        averages: Models with averaged weights, one for each decay of the options.
        metrics: Latest value of each column of the log, such as ``loss`` and ``val_loss``.
    """

    averages: list[ScoreModel]
    metrics: dict[str, float]


def fit(
    task: ScoreMatchingTask,
    options: TrainingOptions,
    train: Sequence[Data],
    val: Sequence[Data],
    out: Path,
    *,
    resume: bool = False,
    progress: bool = True,
    spare_cores: bool = False,
    save: SaveModel | None = None,
    score: SampleScore | None = None,
    describe: Callable[[Sizes], Sequence[str]] | None = None,
    hyperparameters: Mapping[str, Any] = MappingProxyType({}),
    trainer_options: dict[str, Any] | None = None,
) -> Fit:
    """Train a model, and save checkpoints and logs in a folder.

    The folder gets ``last.ckpt`` to resume from, and ``logs/`` as CSV and for TensorBoard. Training runs on a CUDA GPU
    where there is one, else on the CPU: see :func:`graphscore.runtime.settings.choose_device`. Ctrl-C and SIGTERM stop
    it at the end of a step, after the run has been saved.

    Args:
        task: Model and loss; the model is trained in place.
        options: Options of the training loop.
        train: Graphs to train on.
        val: Graphs for the validation loss, with the same times and noise each time; may be empty.
        out: Folder of the run.
        resume: Whether to go on from ``last.ckpt``; the result then equals that of an uninterrupted run
            on as many threads.
        progress: Whether to show the progress line.
        spare_cores: Whether to use only as many threads as other processes leave free cores, measured again and again:
            see :class:`graphscore.runtime.settings.SpareThreads`.
        save: Writes models while the training runs, as ``save(name, models, step)`` with one model for each average:
            ``model`` with each checkpoint, ``best`` when the validation loss has never been as low, ``best-sampled``
            when the score of samples has never been as good, and ``step-N`` each ``keep_every`` steps.
        score: Score of samples to compute every so often; the weights are the same with and without it.
        describe: Makes lines to print above the progress line, from the sizes of the training graphs.
        hyperparameters: What the loggers store of the run, such as its configuration.
        trainer_options: Further options of Lightning's ``Trainer``, such as accelerator and devices. Callbacks and
            loggers are added to those of this library; ``logger=False`` turns all logging off.

    Returns:
        The models with averaged weights, and the last row of the log.

    Raises:
        FileNotFoundError: If there is nothing to resume from.
        ValueError: If an option of the trainer contradicts those of the training, the run cannot be resumed, a graph is
            expected to exceed the memory, or no gradient reaches the network.
        OSError: If a checkpoint or another file of the run cannot be written, or (``ChildProcessError``) a process that
            loads batches has ended.
        FloatingPointError: If the loss stops being finite. ``last.ckpt`` is then that of an earlier step, and the
            graphs of the bad step are in ``diverged.pt``, see :func:`graphscore.train.divergence.report`.
        Interrupted: If a signal stopped the training; ``last.ckpt`` holds the state.
    """
    resume_from = out / RESUME_FILE
    if resume and not resume_from.is_file():
        raise FileNotFoundError(f"Nothing to resume: {resume_from} does not exist; start without --resume")
    more = check_trainer_options(trainer_options or {})
    out.mkdir(parents=True, exist_ok=True)
    module = TaskModule(task, options, train, val, out)
    start = resumable_step(resume_from, module) if resume else None
    is_planned, plan = stored_plan(resume_from, options.memory_gb) if resume else (False, None)
    if not is_planned:
        most = min(options.batch_size, options.budget.graphs or options.batch_size)
        plan = plan_memory(
            task, train, module.sizes["train"], most, options.memory_gb, choose_device(), _processes(options)["devices"]
        )
    module.follow(plan)
    keeper = Keeper(resume_from, options.checkpoint_every, options.keep_every, save, score)
    added = [*(make() for make in options.callbacks), *listed(more.pop("callbacks", None))]
    callbacks = [Recorder(options, score), *([Threads()] if spare_cores else []), *added, keeper]
    if progress:
        notes = [] if describe is None else list(describe(module.sizes["train"]))
        notes += [] if plan is None else [plan.describe(module.sizes["train"])]
        callbacks.insert(1, ShowProgress(Progress(notes)))
    columns = module.columns + ([] if score is None else [score.column])
    with quiet_lightning():
        trainer = pl.Trainer(
            **{
                "accelerator": choose_device().type, "max_steps": options.max_steps, "max_epochs": -1,
                "strategy": options.strategy, **_processes(options),
                "precision": _PRECISIONS[options.precision], "enable_progress_bar": False,
                "enable_model_summary": False, "use_distributed_sampler": False,
                # The module validates and logs; EarlyStopping reads the interval.
                "limit_val_batches": 0, "log_every_n_steps": 0,
                "val_check_interval": min(options.validate_every, options.max_steps),
                "plugins": [AtomicCheckpoints(), *listed(more.pop("plugins", None))], **more,
                "callbacks": callbacks, "logger": _loggers(options, out, start, columns, more.get("logger", True)),
            }
        )  # fmt: skip
        for logger in trainer.loggers if hyperparameters else ():
            logger.log_hyperparams(dict(hyperparameters))
        if options.compile:
            # In place, after the averaged weights were copied: their model is not compiled.
            for part in task.model.modules():
                if isinstance(part, SizedBackbone):
                    part.compile(dynamic=True)
        with tfloat32(options.precision == "tfloat32"):
            _run(trainer, module, keeper, resume_from if resume else None)
    return Fit(module.averaged, module.latest)


def _run(trainer: pl.Trainer, module: TaskModule, keeper: Keeper, resume_from: Path | None) -> None:
    """Run Lightning's loop, and translate each of its ways to stop."""
    watch = keeper.watch
    watch.start()
    try:
        with explained(keeper.path):
            trainer.fit(module, ckpt_path=resume_from, weights_only=True)
        stopped = watch.received is not None  # during the last step
    except Stopped:
        stopped = True
    except SystemExit as error:
        # Lightning raises this after a second Ctrl-C, and after a SIGTERM before the first step.
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
            f"its state is in {keeper.path}: go on by `graphscore train --resume {keeper.path.parent}` (in Python, "
            "resume_training)",
            signum,
        )


def _processes(options: TrainingOptions) -> dict[str, int]:
    """Number of devices of a machine and of machines."""
    place = find_place(os.environ)
    local = 1 if place is None else int(os.environ.get("LOCAL_WORLD_SIZE") or _tasks_of_a_machine(place.size))
    nodes = 1 if place is None else place.size // local
    return {
        "devices": local if options.devices == "auto" else options.devices,
        "num_nodes": nodes if options.num_nodes == "auto" else options.num_nodes,
    }


def _tasks_of_a_machine(size: int) -> int:
    return size // int(os.environ.get("SLURM_STEP_NUM_NODES") or 1)


def _loggers(options: TrainingOptions, out: Path, start: int | None, columns: Sequence[str], more: Any) -> list[Logger]:
    """The loggers of a run and those of the user; none if the latter are ``False``.

    Lightning's CSV writer starts by deleting the file: on resuming, the rows of the steps before are written back. It
    would rewrite the file, and could lose it, when a column comes later.
    """
    if more is False:
        return []
    table = CSVLogger(out, "logs", version="", flush_logs_every_n_steps=1)
    path = Path(table.log_dir) / ExperimentWriter.NAME_METRICS_FILE
    history = read_history(path, start) if start is not None and path.is_file() and rank_zero_only.rank == 0 else None
    if history is not None:  # the resumed run may have further columns; Lightning sorts them
        history = history._replace(columns=sorted({*history.columns, *columns}))
    if rank_zero_only.rank == 0:
        table.experiment.metrics_keys = [*columns, "step"] if history is None else history.columns
    if history is not None:
        write_history(path, history)
    curves = TensorBoardLogger(out, "logs", version="", purge_step=start or 0)
    return [table, curves, *(make(out) for make in options.loggers), *listed(more)]
