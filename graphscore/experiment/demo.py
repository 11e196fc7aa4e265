"""Demo: train on embedded data, sample test graphs, measure the samples and show them."""

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
from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import Config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.drawings.denoising import draw_denoising
from graphscore.experiment.evaluation.curves import loss_curve
from graphscore.experiment.evaluation.reports import Report
from graphscore.experiment.folder import CONFIG_FILE, LOG_FILE, MODEL_FILE
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.training.run import train_model
from graphscore.registry import resolve
from graphscore.train.engine import RESUME_FILE

Say = Callable[[str], None]


class Demo(NamedTuple):
    """Results of a demo: metrics, files and the domain's report.

    Attributes:
        metrics: Content of ``metrics.json``.
        files: Paths of the written files, by description.
        report: Report of the domain on the samples.
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
    """Run a demo: train a model, sample graphs of the test part, compare them with references, and write a report.

    Args:
        config: Configuration of the run.
        out: Folder for the results; those of an earlier demo are replaced.
        num_groups: Number of groups of test graphs (such as molecules) to sample, chosen by the seed.
        progress: Whether to show live progress.
        spare_cores: Whether training leaves cores to other processes.
        say: Called with messages on the progress.

    Returns:
        The metrics and the files written.
    """
    if num_groups < 1:
        raise ValueError(f"The number of groups to sample must be at least 1, but is {num_groups}")
    started = time.monotonic()
    for name in (RESUME_FILE, CONFIG_FILE, MODEL_FILE, LOG_FILE):
        (out / name).unlink(missing_ok=True)
    model_path, dataset, *_ = train_model(config, out, progress=progress, spare_cores=spare_cores)
    trained = time.monotonic()
    seed = config.training.seed
    # Not transformed: samples are copies of these, and must be fit to be written and read again.
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
    alone = {"seed": seed, "retries": 0, "repair": False}  # the network's own samples are measured
    for name, which in (("model", pipeline), ("untrained", untrained)):
        samples[name] = [outcome.samples for outcome in which.sample(templates, nums=nums, **alone)]
    if not any(samples["model"]):
        raise FloatingPointError("No sample of the trained model is finite: train longer, or at a lower learning rate")
    sampled = time.monotonic()
    report: Report = resolve(domain.report)(groups, samples, out, seed)
    shown = draw_denoising(pipeline, templates, out / "denoising.html", **alone)
    files = {"denoising": shown} if shown is not None else {}
    files |= {"loss curve": loss_curve(out / LOG_FILE, out / "loss.png"), "model": model_path}
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
