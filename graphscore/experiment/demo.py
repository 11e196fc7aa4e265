"""The main job on embedded real data: train, sample graphs never seen, measure, show."""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch_geometric.data import Data

from graphscore.clouds.metrics import evaluate_clouds
from graphscore.clouds.show import cloud_picture
from graphscore.data.dataset import is_molecule
from graphscore.data.writers import write, write_json
from graphscore.experiment.build import build_dataset, build_model, build_sampler, build_transform
from graphscore.experiment.curves import loss_curve
from graphscore.experiment.pretrained import load_model
from graphscore.experiment.run import CONFIG_FILE, LOG_FILE, MODEL_FILE, train
from graphscore.experiment.schema import Config
from graphscore.generate.jobs import generate
from graphscore.runtime.settings import choose_device
from graphscore.train.engine import RESUME_FILE

if TYPE_CHECKING:
    from graphscore.molecules.show.conformers import PageRow

Say = Callable[[str], None]
METHODS = {"model": "trained model", "untrained": "untrained network", "etkdg": "RDKit ETKDGv3"}
NUM_PICTURES = 12
NUM_SHOWN = 3


class Demo(NamedTuple):
    """What a demo gives.

    Attributes:
        metrics: Content of ``metrics.json``.
        files: What was written, by what it is.
    """

    metrics: dict[str, Any]
    files: dict[str, Path]


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
    model_path, dataset = train(config, out, progress=progress, spare_cores=spare_cores)
    trained = time.monotonic()
    model, loaded, info = load_model(model_path, config.trust)
    config = config.model_copy(update={"fields": loaded.fields})  # with the scales that were measured
    seed = config.training.seed
    # Not transformed: samples are copies of these, and shall be fit to be written and read again.
    groups = build_dataset(config, transformed=False).groups("test")
    groups = random.Random(seed).sample(groups, min(num_groups, len(groups)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untrained = build_model(config).eval()
    nums = [2 * len(group) for group in groups]
    say(f"Sampling {sum(nums)} graphs of {len(groups)} groups of the test part, and as many by an untrained network")
    templates, transform = [group[0] for group in groups], build_transform(config)
    device, samples = choose_device(), {}
    for name, which in (("model", model), ("untrained", untrained)):
        sampler = build_sampler(config, which.to(device))
        samples[name] = generate(sampler, templates, num=nums, seed=seed, transform=transform).samples
    if not any(samples["model"]):
        raise FloatingPointError("No sample of the trained model is finite: train longer, or at a lower learning rate")
    sampled = time.monotonic()
    make_report = _report_molecules if is_molecule(groups[0][0]) else _report_clouds
    scores, files = make_report(groups, samples, out, seed)
    files |= {"loss curve": loss_curve(out / LOG_FILE, out / "loss.png"), "model": model_path}
    metrics = {
        "scores": scores,
        "graphs": {part: len(dataset.split(part)) for part in ("train", "val", "test")},
        "groups": len(groups),
        "seconds": {"train": trained - started, "sample": sampled - trained, "measure": time.monotonic() - sampled},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "config": config.model_dump(mode="json"),
        "training": {key: value for key, value in info.items() if key != "known"},
    }
    write_json(metrics, out / "metrics.json")
    return Demo(metrics, files | {"metrics": out / "metrics.json"})


def _report_molecules(
    groups: Sequence[list[Data]], samples: dict[str, list[list[Data]]], out: Path, seed: int
) -> tuple[dict[str, Any], dict[str, Path]]:
    from graphscore.molecules.metrics.conformers import evaluate_conformers
    from graphscore.molecules.metrics.geometry import bond_length_deviation
    from graphscore.molecules.show.conformers import conformer_page, conformer_picture

    etkdg = [_etkdg(group[0], 2 * len(group), seed) for group in groups]
    scores = {}
    for name, drawn in {**samples, "etkdg": etkdg}.items():
        # A sample that is missing is a failed attempt, and counts.
        attempts = [[*some, *[None] * (2 * len(group) - len(some))] for some, group in zip(drawn, groups, strict=True)]
        scores[name] = evaluate_conformers(zip(groups, attempts, strict=True))
        deviations = [bond_length_deviation(*pair) for pair in zip(attempts, groups, strict=True)]
        known = [deviation for deviation in deviations if deviation is not None]
        scores[name]["bond_length_deviation"] = sum(known) / len(known) if known else None
    write([item for drawn in samples["model"] for item in drawn], out / "conformers.sdf")
    rows = [_page_row(*pair) for pair in zip(groups[:NUM_PICTURES], samples["model"], strict=False)]
    summary = {
        METHODS[name]: f"AMR-R {score['amr_r']['mean']:.3f} Å, AMR-P {score['amr_p']['mean']:.3f} Å"
        for name, score in scores.items()
        if score["amr_r"]["mean"] is not None
    }
    few = [row._replace(generated=row.generated[:NUM_SHOWN]) for row in rows]
    return scores, {
        "structures": out / "conformers.sdf",
        "page": conformer_page(few, out / "index.html", "Generated conformers", summary),
        "picture": conformer_picture(rows[:6], out / "conformers.png"),
    }


def _page_row(references: Sequence[Data], drawn: Sequence[Data]) -> PageRow:
    """Show a molecule by the pair of reference and sample that are closest; its other samples follow."""
    from graphscore.molecules.metrics.conformers import rmsd_matrix
    from graphscore.molecules.show.conformers import PageRow

    distances = rmsd_matrix(references, drawn)
    closest = int(distances.min(axis=1).argmin()) if drawn else 0
    by_distance = [drawn[number] for number in distances[closest].argsort()]
    note = f"closest of {len(references)} references and {len(drawn)} samples"
    return PageRow(references[0].smiles, references[0].smiles, references[closest], by_distance, note)


def _report_clouds(
    groups: Sequence[list[Data]], samples: dict[str, list[list[Data]]], out: Path, seed: int
) -> tuple[dict[str, Any], dict[str, Path]]:
    scores = {name: evaluate_clouds(groups, drawn) for name, drawn in samples.items()}
    write([item for drawn in samples["model"] for item in drawn], out / "clouds.pt")
    pairs = [(drawn[0], group[0]) for group, drawn in zip(groups, samples["model"], strict=True) if drawn]
    generated, reference = zip(*pairs[:NUM_PICTURES], strict=True)
    return scores, {
        "clouds": out / "clouds.pt",
        "picture": cloud_picture(generated, reference, out / "clouds.png"),
    }


def _etkdg(template: Data, num: int, seed: int) -> list[Data]:
    """RDKit's own conformers of a molecule, not refined by a force field; fewer where it could not make them."""
    from graphscore.molecules.baselines import etkdg

    try:
        return etkdg(template.smiles, num, seed)
    except ValueError:
        return []
