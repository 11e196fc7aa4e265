"""Measure what precisions gain in speed and lose in quality: ``python tests/benchmarks/bench_precision.py``.

The weights that ship, on validation molecules of ``gfn2-ensembles``, heavy atoms. The variants are float32
(``fp32``), the precisions ``high`` and ``medium`` of ``torch.set_float32_matmul_precision``, autocast to bfloat16
(``bf16``), and ``torch.compile(dynamic=True)`` of the backbone in float32 (``compile``) and with autocast
(``bf16-compile``). On a CUDA GPU ``high`` and ``medium`` are TF32; on a CPU without units for bfloat16 they are
float32. Each variant does the same work, with the same noise:

- training: steps of the configuration ``conformers`` at a learning rate of 0, medians of interleaved rounds; the
  gradient's difference from that of float32, relative to its norm; the validation loss, and its change with the
  standard error over graphs;
- sampling: as shipped, but no sample is drawn again; the RMSD between the samples of float32 and of the variant, which
  start from the same noise; AMR-R and AMR-P, see :mod:`graphscore.molecules.metrics.conformers`.

Compilers' time is not counted in the speed, and printed apart.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import mean, median, stdev
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.experiment.build import build_sampler
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.pretrained import load_model
from graphscore.experiment.training.build import build_task
from graphscore.linalg.kabsch import align
from graphscore.molecules.metrics.conformers import rmsd_matrix
from graphscore.nn.backbones.base import SizedBackbone
from graphscore.rng import SAMPLING, VALIDATION, GraphGenerator
from graphscore.runtime import settings as runtime
from graphscore.train.task import ScoreMatchingTask

BATCH_SIZE = 64


class Variant(NamedTuple):
    """Precision of products, and whether they are compiled."""

    precision: str = "highest"
    autocast: bool = False
    compiled: bool = False


VARIANTS = {
    "fp32": Variant(),
    "high": Variant("high"),
    "medium": Variant("medium"),
    "bf16": Variant(autocast=True),
    "compile": Variant(compiled=True),
    "bf16-compile": Variant(autocast=True, compiled=True),
}


class Subject(NamedTuple):
    """A variant, its copy of the training task, and the graphs to work on."""

    variant: Variant
    task: ScoreMatchingTask
    train: list[Batch]
    val: list[Batch]
    config: Any
    device: torch.device

    @property
    def model(self) -> ScoreModel:
        """The model."""
        return self.task.model

    @contextmanager
    def set_up(self) -> Iterator[None]:
        """Compute in the precision of the variant inside the ``with`` block."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self.variant.precision)
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.variant.autocast):
                yield
        finally:
            torch.set_float32_matmul_precision(before)


def wait(device: torch.device) -> float:
    """The time when the device has done all work; on one thread that of the processor, free of other processes."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.process_time() if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter()


def references(num: int) -> tuple[list[list[Data]], list[Data]]:
    """Molecules with their references, evenly spread over the validation part, and twice each as the model sees it."""
    config = load_config("conformers", ["data.dataset={name: gfn2-ensembles, sources: [qm9], max_conformers: 16}"])
    whole, seen = (build_dataset(config, transformed=transformed).groups("val") for transformed in (False, True))
    places = range(0, len(whole), max(1, len(whole) // num))[:num]
    return [list(whole[i]) for i in places], [graph for i in places for graph in seen[i] for _ in range(2)]


def batches(graphs: Sequence[Data], device: torch.device) -> list[Batch]:
    """Batches of the size of training, on the device."""
    return [
        Batch.from_data_list(list(graphs[i : i + BATCH_SIZE])).to(device) for i in range(0, len(graphs), BATCH_SIZE)
    ]


def subjects(names: Sequence[str], train: list[Batch], val: list[Batch], device: torch.device) -> dict[str, Subject]:
    """Each variant with its own copy of the weights."""
    model, shipped, _ = load_model("conformers")
    scale = model.process.fields["pos"].scale
    config = load_config("conformers", [f"fields.0.scale={scale}"])
    made = {}
    for name in names:
        task = build_task(config, copy.deepcopy(model)).to(device)
        if VARIANTS[name].compiled:
            for part in task.model.modules():
                if isinstance(part, SizedBackbone):
                    part.compile(dynamic=True)
        made[name] = Subject(VARIANTS[name], task, train, val, shipped, device)
    return made


def backward(subject: Subject, step: int) -> None:
    """The gradient of a training step."""
    batch = subject.train[step % len(subject.train)]
    with subject.set_up():
        loss = subject.task(batch, step).loss / batch.num_graphs
    loss.backward()
    torch.clear_autocast_cache()


def take_steps(subject: Subject) -> Callable[[], float]:
    """A function that takes a step on each training batch, and returns the seconds of one."""
    optimizer = torch.optim.AdamW(subject.task.parameters(), lr=0.0)

    def take() -> float:
        subject.model.train()
        start = wait(subject.device)
        for step in range(len(subject.train)):
            optimizer.zero_grad()
            backward(subject, step)
            optimizer.step()
        return (wait(subject.device) - start) / len(subject.train)

    return take


def draw_samples(subject: Subject) -> tuple[list[Batch], float]:
    """Samples of all validation graphs, and the seconds of one."""
    subject.model.eval()
    start, samples = wait(subject.device), []
    for number, batch in enumerate(subject.val):
        seeds = [number * BATCH_SIZE + place for place in range(batch.num_graphs)]
        with subject.set_up():
            sampler = build_sampler(subject.config, subject.model)
            samples.append(sampler(batch, GraphGenerator(seeds, SAMPLING)).batch)
    return samples, (wait(subject.device) - start) / sum(batch.num_graphs for batch in samples)


def gradient(subject: Subject) -> Tensor:
    """The gradient of the first training batch, in one vector."""
    subject.task.zero_grad()
    subject.model.train()
    backward(subject, 0)
    return torch.cat([p.grad.flatten() for p in subject.task.parameters() if p.grad is not None]).double()


@torch.no_grad()
def validate(subject: Subject) -> Tensor:
    """The validation loss of each graph."""
    subject.model.eval()
    losses = []
    for number, batch in enumerate(subject.val):
        with subject.set_up():
            out = subject.task(batch, number, stream=VALIDATION)
        losses.append(out.graph_losses.double().cpu())
    return torch.cat(losses)


def distances(samples: Sequence[Batch], others: Sequence[Batch]) -> Tensor:
    """RMSD of each sample from its counterpart, superposed, in Angstrom: ``[B]``."""
    found = []
    for mine, other in zip(samples, others, strict=True):
        index, number = mine.batch, mine.num_graphs
        moved = align(mine.pos.double(), other.pos.double(), index, number)
        found.append(ops.mean((moved - other.pos).square().sum(-1), index, number).sqrt().cpu())
    return torch.cat(found)


def recall_and_precision(samples: Sequence[Batch], groups: Sequence[Sequence[Data]]) -> tuple[float, float]:
    """AMR-R and AMR-P: means over molecules, twice as many samples as references."""
    parts = iter([part.cpu() for batch in samples for part in batch.pos.split(batch.ptr.diff().tolist())])
    rows = []
    for group in groups:
        made = []
        for _ in range(2 * len(group)):
            sample, pos = copy.copy(group[0]), group[0]["pos"].clone()
            pos[sample.z > 1] = next(parts).to(pos)
            sample.pos = pos
            made.append(sample)
        rmsd = rmsd_matrix(group, made)
        rows.append((rmsd.min(axis=1).mean(), rmsd.min(axis=0).mean()))
    recalls, precisions = zip(*rows, strict=True)
    return float(mean(recalls)), float(mean(precisions))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--molecules", type=int, default=40, help="validation molecules")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    given = parser.parse_args()
    runtime.keep_freed_memory()
    device = runtime.choose_device(given.device)
    groups, graphs = references(given.molecules)
    order = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(0)).tolist()
    train, val = batches([graphs[i] for i in order], device)[:8], batches(graphs, device)
    found = subjects(["fp32", *(name for name in given.variant if name != "fp32")], train, val, device)
    print(
        f"{runtime.describe_device(device)}, torch {torch.__version__}, {torch.get_num_threads()} threads, load "
        f"{os.getloadavg()[0]:.1f}; {len(groups)} molecules, {len(graphs)} samples, seed 0",
        flush=True,
    )
    takes, speeds = {name: take_steps(subject) for name, subject in found.items()}, {name: [] for name in found}
    samples, paces = {}, {name: [] for name in found}
    for name, subject in found.items():  # compiles, and fills caches
        start = time.perf_counter()
        takes[name]()
        draw_samples(subject)
        print(f"{name}: first round {time.perf_counter() - start:.0f} s", flush=True)
    for _ in range(given.rounds):
        for name, subject in found.items():
            speeds[name].append(takes[name]())
            samples[name], pace = draw_samples(subject)
            paces[name].append(pace)
    report(found, speeds, paces, samples, groups)


def report(
    found: dict[str, Subject], speeds: dict[str, list[float]], paces: dict[str, list[float]],
    samples: dict[str, list[Batch]], groups: Sequence[Sequence[Data]],
) -> None:  # fmt: skip
    """Print a row for each variant."""
    exact, losses = gradient(found["fp32"]), validate(found["fp32"])
    print("| | ms a step | gradient off by | validation loss | change | ms a sample ", end="")
    print("| RMSD to fp32, median, largest | AMR-R | AMR-P |")
    print(9 * "|---" + "|")
    for name, subject in found.items():
        off = float((gradient(subject) - exact).norm() / exact.norm())
        own = validate(subject)
        change = (own - losses).tolist()
        error = stdev(change) / len(change) ** 0.5
        apart = distances(samples[name], samples["fp32"])
        recall, precision = recall_and_precision(samples[name], groups)
        step, pace = median(speeds[name]), median(paces[name])
        print(
            f"| {name} | {1e3 * step:.0f} ({median(speeds['fp32']) / step:.2f} times as fast) | {off:.1e} "
            f"| {own.mean():.4f} | {mean(change):+.1e} ± {error:.0e} "
            f"| {1e3 * pace:.1f} ({median(paces['fp32']) / pace:.2f}) "
            f"| {float(apart.median()):.4f}, {float(apart.max()):.2f} A | {recall:.4f} | {precision:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
