"""Training runs: from a configuration to a model file in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import nn

from graphscore.data import Dataset
from graphscore.data.readers import Failure
from graphscore.data.writers import write_json
from graphscore.denoiser import ScoreModel
from graphscore.experiment.build import build_model, build_sampler, measure_scales
from graphscore.experiment.config.schema import Config, ModelConfig, check_model, load_config
from graphscore.experiment.datasets import build_dataset, with_given
from graphscore.experiment.folder import CONFIG_FILE, INIT_FILE, KEPT, MODEL_FILE, SKIPPED_FILE
from graphscore.experiment.pretrained import load_weights
from graphscore.experiment.training.build import build_options, build_task
from graphscore.experiment.training.graphs import take_graphs
from graphscore.experiment.training.reading import reading
from graphscore.experiment.training.resumption import check_resumable, stored_config, take_scales
from graphscore.experiment.training.samples import build_score
from graphscore.experiment.training.split_record import SplitRecord, check_split, write_split
from graphscore.experiment.training.summary import summarize
from graphscore.experiment.weights import find_model
from graphscore.registry import Trusted
from graphscore.runtime.atomic import check_writable, replacing
from graphscore.runtime.checkpoint import Checkpoint, check_plain, load_checkpoint, save_checkpoint
from graphscore.runtime.launch import is_first
from graphscore.runtime.locking import owned
from graphscore.train.engine import RESUME_FILE, fit

_UNFIT = "The weights to start from do not fit the configuration"


class Run(NamedTuple):
    """Result of a training run: model file and data set.

    Attributes:
        path: Path of the model file.
        dataset: The data set of the run.
        metrics: Latest values of the log, such as ``loss`` and ``val_loss``.
        num_skipped: Number of records that could not be used, or were too large.
    """

    path: Path
    dataset: Dataset
    metrics: dict[str, float]
    num_skipped: int


def train_model(
    config: Config | str | Path,
    out: str | Path,
    changes: Sequence[str] = (),
    *,
    resume: bool = False,
    init: str | Path | None = None,
    data: Any = None,
    progress: bool = True,
    spare_cores: bool = False,
) -> Run:
    """Train a model by a configuration, and write the run to a folder.

    The folder gets ``config.yaml``, ``last.ckpt``, ``logs/`` and models with averaged weights: ``model.safetensors``
    with each checkpoint, ``best.safetensors`` with the lowest validation loss, ``best-sampled.safetensors`` with the
    best samples if the configuration measures them, and those that are kept in ``checkpoints/``. By ``split.json`` the
    parts of the data can be made again. Records of the data set that could not be used are listed in ``skipped.json``.

    Args:
        config: A configuration, its name, or a YAML file, see :func:`~graphscore.experiment.config.schema.load_config`.
        out: Folder of the run.
        changes: Changes of a configuration given by name or file, such as ``"training.max_steps=100"``.
        resume: Whether to resume the run in the folder, see :func:`resume_training`.
        init: Model file, folder of a run, or name of weights that come with the library, for the initial weights; by
            default they are random. Scales that are ``auto`` are taken from it, too. Inputs that its network lacks,
            such as a condition, have no effect at first.
        data: Graphs to train on, instead of the configuration's data set: a list of ``Data``, a data set of PyG, a
            :class:`~graphscore.data.Dataset`, or one for each part, ``{"train": ..., "val": ..., "test": ...}``. They
            are not stored: a run is resumed with the same graphs.
        progress: Whether to show the progress line.
        spare_cores: Whether to leave cores to other processes, see :func:`graphscore.train.engine.fit`.

    Returns:
        The model file, for :func:`graphscore.experiment.pretrained.load`, and the data set.

    Raises:
        ValueError: If the folder holds a run that is not to be resumed, or one of another configuration, or the initial
            weights do not fit the configuration.
        FileNotFoundError: If there is nothing to resume, or no file of initial weights.
        OSError: If another process trains in the folder, or it cannot be written.
        FloatingPointError: If the training diverges, see :func:`graphscore.train.engine.fit`.
        Interrupted: If a signal stopped the training; its state has been saved.
    """
    out = Path(out)
    config, start, changed = _begin(_configured(config, changes, data), out, resume, init)
    _check_buildable(config, start)
    with reading(progress) as told:
        dataset = build_dataset(config, data=data, progress=told)
    graphs = take_graphs(dataset, config)
    config = measure_scales(config, graphs.train)
    model = _initial_model(config, start)
    task, options = build_task(config, model), build_options(config)
    score = build_score(config, model, graphs.known, dataset, data, out)
    split = check_split(dataset, out, resume)
    first = is_first(os.environ)
    with owned(out) if first else nullcontext():
        if first:
            _record(out, config, start, split, graphs.failures)
        result = fit(
            task,
            options,
            graphs.train,
            graphs.val,
            out,
            resume=resume and (out / RESUME_FILE).is_file(),
            progress=progress,
            spare_cores=spare_cores,
            save=partial(_save, out, config, graphs.describe(config)),
            score=score,
            describe=partial(summarize, config, graphs.numbers, model, changed),
            hyperparameters=config.model_dump(mode="json"),
        )
    return Run(out / MODEL_FILE, dataset, result.metrics, len(graphs.failures))


def resume_training(
    out: str | Path,
    changes: Sequence[str] = (),
    *,
    trust: Trusted = (),
    data: Any = None,
    progress: bool = True,
    spare_cores: bool = False,
) -> Run:
    """Resume the training run in a folder, after it was stopped or killed, from its last checkpoint.

    The result is that of an uninterrupted run on as many threads, bit for bit.

    Args:
        out: Folder of the run.
        changes: Changes of its configuration, such as ``"training.max_steps=20000"``; those of
            :data:`~graphscore.experiment.training.resumption.RESUMABLE` alone.
        trust: Modules whose components the run's configuration may use, see :class:`graphscore.registry.Trust`.
        data: The graphs, if they were given in Python.
        progress: Whether to show the progress line.
        spare_cores: Whether to leave cores to other processes, see :func:`graphscore.train.engine.fit`.

    Returns:
        As of :func:`train_model`, which has the other errors, too.

    Raises:
        FileNotFoundError: If there is no run in the folder.
        ValueError: If it is damaged, or a change would affect steps that are done.
    """
    config = stored_config(Path(out), changes).trusting(trust)
    return train_model(config, out, resume=True, data=data, progress=progress, spare_cores=spare_cores)


def _configured(config: Config | str | Path, changes: Sequence[str], data: Any) -> Config:
    """Load the configuration if it is given by name or file, with the data set of graphs that are given."""
    if not isinstance(config, Config):
        config = load_config(config, changes)
    elif changes:
        raise ValueError(f"changes are for configurations given by name or file; make {list(changes)} where it is made")
    return config if data is None else with_given(config)


def _initial_model(config: Config, start: Checkpoint | None) -> ScoreModel:
    """Build the model, with random weights or those of a checkpoint."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        model = build_model(config)
    if start is not None:
        load_weights(model, start, _UNFIT)
    return model


def _record(
    out: Path, config: Config, start: Checkpoint | None, split: SplitRecord, failures: Sequence[Failure]
) -> None:
    """Write what a run is resumed from before its first checkpoint, the configuration last; and what is left out."""
    if failures:
        write_json([asdict(failure) for failure in failures], out / SKIPPED_FILE)
    write_split(split, out)
    if start is not None:
        save_checkpoint(out / INIT_FILE, start)
    elif not (out / RESUME_FILE).exists():
        (out / INIT_FILE).unlink(missing_ok=True)  # of a start in this folder that came to nothing
    with replacing(out / CONFIG_FILE) as temporary:
        temporary.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def _save(out: Path, config: Config, info: dict[str, Any], name: str, models: Sequence[nn.Module], step: int) -> None:
    """Write averaged models: the first by the given name, others with their decay; those that are kept to a folder."""
    folder = out / KEPT if name.startswith("step-") else out
    decays = config.training.ema_decay if isinstance(config.training.ema_decay, tuple) else (None,)
    for number, (model, decay) in enumerate(zip(models, decays, strict=True)):
        checkpoint = Checkpoint(dict(model.state_dict()), config.model_dump(mode="json"), info | {"steps": step})
        file = f"{name}.safetensors" if number == 0 else f"{name}-ema-{decay}.safetensors"
        save_checkpoint(folder / file, checkpoint)


def _begin(
    config: Config, out: Path, resume: bool, init: str | Path | None
) -> tuple[Config, Checkpoint | None, list[str]]:
    """Check the folder, load the initial weights, and take over their scales; list what changes in a resumed run."""
    changed: list[str] = []
    if resume and init is not None:
        raise ValueError(f"Either resume the run in {out}, or start a new one from the weights of {init}")
    if resume:
        config = take_scales(config, stored_config(out))
        changed = [f"Changed: {change}" for change in check_resumable(config, out)]
        # The run may have been killed before its first checkpoint.
        begun = out / INIT_FILE
        init = begun if begun.is_file() and not (out / RESUME_FILE).is_file() else None
    elif not is_first(os.environ):
        pass  # the first process writes there
    elif (out / RESUME_FILE).exists():
        raise ValueError(f"{out} already holds a run; go on with it by --resume {out}, or choose another folder")
    elif (out / MODEL_FILE).exists():
        raise ValueError(f"{out} already holds a trained model, {MODEL_FILE}; choose another folder")
    if is_first(os.environ):
        check_writable(out)
    start = None if init is None else load_checkpoint(find_model(init))
    if start is not None:
        before = check_model(start.config, str(init))
        config, start = take_scales(config, before), _with_new_inputs(start, config, before)
    return config, start, changed


def _with_new_inputs(start: Checkpoint, config: Config, before: ModelConfig) -> Checkpoint:
    """Add inputs that the network of a checkpoint lacks, with weights of zero: at first, it computes what it did."""
    new = [
        f"network.{level}_inputs.{name}."
        for level in ("node", "edge", "graph")
        for name in getattr(config.network, f"{level}_inputs").keys()
        - getattr(before.network, f"{level}_inputs").keys()
    ]
    if not new:
        return start
    with torch.random.fork_rng(devices=[]):
        wanted = build_model(_with_unit_scales(config)).state_dict()
    added = {name: torch.zeros_like(one) for name, one in wanted.items() if name.startswith(tuple(new))}
    return start._replace(state=added | start.state)


def _with_unit_scales(config: Config) -> Config:
    """Fill in the scales, which are measured on data, to build a model without any."""
    fields = tuple(field.model_copy(update={"scale": 1.0}) for field in config.fields)
    return config.model_copy(update={"fields": fields})


def _check_buildable(config: Config, start: Checkpoint | None) -> None:
    """Check all options before the data are read; only the scales, which are measured on data, are missing."""
    check_plain(config.model_dump(mode="json"), "The configuration")
    config = _with_unit_scales(config)
    with torch.random.fork_rng(devices=[]):
        model = build_model(config)
        build_task(config, model)
        build_options(config)
        build_sampler(config, model)
    if start is not None:
        load_weights(model, start, _UNFIT)
