"""The main job on embedded real data: train, sample graphs never seen, measure, show."""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from graphscore.data.writers import write_json
from graphscore.domains import Domain, domain_of
from graphscore.experiment.build import build_dataset, build_model
from graphscore.experiment.curves import loss_curve
from graphscore.experiment.pipeline import Pipeline
from graphscore.experiment.reports import Report
from graphscore.experiment.run import CONFIG_FILE, LOG_FILE, MODEL_FILE, train_model
from graphscore.experiment.schema import Config
from graphscore.registry import resolve
from graphscore.train.engine import RESUME_FILE

Say = Callable[[str], None]


class Demo(NamedTuple):
    """What a demo gives.

    Attributes:
        metrics: Content of ``metrics.json``.
        files: What was written, by what it is.
        report: What the domain made of the samples.
        domain: The domain of the graphs.
    """

    metrics: dict[str, Any]
    files: dict[str, Path]
    report: Report
    domain: Domain


def run_demo(
    config: Config,
    out: Path,
    *,
    num_groups: int = 60,
    progress: bool = True,
    spare_cores: bool = False,
    say: Say = print,
) -> Demo:
    """Train on a data set's training part, sample its test part, compare, and write all of it to a folder.

    Args:
        config: What to train.
        out: Folder; what an earlier demo left there is replaced.
        num_groups: How many groups of test graphs (the conformers of a molecule, say) to sample, chosen by the seed.
        progress: Whether to show live progress.
        spare_cores: Whether training leaves cores to other processes.
        say: Told what happens.

    Returns:
        The metrics and the files written.
    """
    if num_groups < 1:
        raise ValueError(f"The number of groups to sample must be at least 1, but is {num_groups}")
    started = time.monotonic()
    for name in (RESUME_FILE, CONFIG_FILE, MODEL_FILE, LOG_FILE):
        (out / name).unlink(missing_ok=True)
    model_path, dataset = train_model(config, out, progress=progress, spare_cores=spare_cores)
    trained = time.monotonic()
    seed = config.training.seed
    # Not transformed: samples are copies of these, and shall be fit to be written and read again.
    groups = build_dataset(config, transformed=False).groups("test")
    groups = random.Random(seed).sample(groups, min(num_groups, len(groups)))
    domain = domain_of(groups[0][0])
    pipeline: Pipeline = resolve(domain.pipeline).load(model_path, trust=config.trust)
    config = config.model_copy(update={"fields": pipeline.config.fields})  # with the scales that were measured
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untrained = pipeline.with_model(build_model(config).eval())
    nums = [2 * len(group) for group in groups]
    say(f"Sampling {sum(nums)} graphs of {len(groups)} groups of the test part, and as many by an untrained network")
    templates, samples = [group[0] for group in groups], {}
    for name, which in (("model", pipeline), ("untrained", untrained)):
        samples[name] = [outcome.samples for outcome in which.sample(templates, nums=nums, seed=seed, retries=0)]
    if not any(samples["model"]):
        raise FloatingPointError("No sample of the trained model is finite: train longer, or at a lower learning rate")
    sampled = time.monotonic()
    report: Report = resolve(domain.report)(groups, samples, out, seed)
    files = {"loss curve": loss_curve(out / LOG_FILE, out / "loss.png"), "model": model_path}
    metrics = {
        "scores": report.scores,
        "graphs": {part: len(dataset.split(part)) for part in ("train", "val", "test")},
        "groups": len(groups),
        "seconds": {"train": trained - started, "sample": sampled - trained, "measure": time.monotonic() - sampled},
        "parameters": sum(parameter.numel() for parameter in pipeline.model.parameters()),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "config": config.model_dump(mode="json"),
        "training": {key: value for key, value in pipeline.info.items() if key != "known"},
    }
    write_json(metrics, out / "metrics.json")
    return Demo(metrics, {**report.files, **files, "metrics": out / "metrics.json"}, report, domain)
