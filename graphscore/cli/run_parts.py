"""Sampling and evaluation of a part of the data set of a run."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore.cli.sample import FileJob, Files
from graphscore.data.preparation import content_key
from graphscore.data.split import Part, some_of
from graphscore.data.writers import PT, check_output, write
from graphscore.domains import domain_of
from graphscore.experiment.evaluation.files import Evaluation, evaluate_files, metrics_of
from graphscore.experiment.training.split_record import load_part
from graphscore.experiment.weights import named_weights
from graphscore.registry import Trusted
from graphscore.runtime.workers import Progress

PER_REFERENCE = 2
"""Number of samples for each reference graph, if none is given: that of the protocols for conformers."""


class PartInputs:
    """Inputs of a job from a part of the data set of a run: the first graph of each group.

    Args:
        run: Folder of the run, or its model file.
        part: ``"train"``, ``"val"`` or ``"test"``.
        trust: For runs with a custom data set.
        limit: Largest number of groups, chosen at random by the seed; all by default.
        seed: Seed of the choice.

    Attributes:
        groups: The graphs of each group.
        notes: What has changed since the training, in sentences.
        nums: Number of samples of each input; ``None`` for that of the request.
        files: Files that the job must not replace.

    Raises:
        FileNotFoundError: If there is no such run, or its data are not where they were.
        ValueError: As for :func:`~graphscore.experiment.training.split_record.load_part`.
    """

    def __init__(self, run: Path, part: Part, trust: Trusted = (), limit: int | None = None, seed: int = 0) -> None:
        found = load_part(run, part, trust)
        self.groups, self.notes = some_of(found.groups, limit, seed), found.notes
        self.nums: Sequence[int] | None = None
        self.files: list[Path] = []

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Data]:
        return (group[0] for group in self.groups)

    def first(self) -> Data:
        """Return the first graph."""
        return self.groups[0][0]

    def digest(self) -> str:
        """Compute a hash of the graphs, and of the numbers of their samples."""
        digest = hashlib.sha256(str(self.nums).encode())
        for graph in self:
            digest.update(content_key(graph))
        return digest.hexdigest()


def evaluate_run(
    run: Path,
    generated: Path | None = None,
    out: Path | None = None,
    *,
    part: Part = "test",
    num: int | None = None,
    limit: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    trust: Trusted = (),
    sampling: Progress | None = None,
    evaluating: Callable[[int, int], None] | None = None,
    **options: Any,
) -> tuple[Evaluation, Sequence[str]]:
    """Evaluate the samples of a run against a part of its data set, by the metrics of the graphs' domain.

    The folder of the run gets ``PART.references.pt``, the samples if they are drawn, ``PART.samples.sdf`` or ``.pt``,
    and the report. Sampling that was stopped goes on.

    Args:
        run: Folder of the run, or a model file in it.
        generated: File of samples of that part; by default they are drawn.
        out: File for the report; by default ``PART.evaluation.json``.
        part: ``"train"``, ``"val"`` or ``"test"``.
        num: Number of samples of each input; by default twice as many as it has references.
        limit: Largest number of inputs, chosen at random by the seed; all by default.
        seed: Seed of the samples and of the choice of inputs, and of the domain's metrics if it is given.
        device: Device of the network.
        trust: For models with custom components.
        sampling: Called with (samples done, all).
        evaluating: Called with (groups done, all).
        **options: Options of the domain, see :func:`~graphscore.experiment.evaluation.files.evaluate_files`.

    Returns:
        The evaluation, and notes on what has changed since the training.

    Raises:
        FileNotFoundError: If there is no such run or file.
        ValueError: If the domain has no metrics, or as for :class:`~graphscore.cli.sample.FileJob`.
    """
    if str(run) in named_weights() and not run.exists():
        raise ValueError(f"Expected the folder of a run, but {run} are weights that come with the library")
    folder = run if run.is_dir() else run.parent
    references, out = (
        folder / f"{part}.references{PT}",
        check_output(out or folder / f"{part}.evaluation.json", [".json"]),
    )
    inputs = PartInputs(run, part, trust, limit, seed or 0)
    domain = domain_of(inputs.first())
    metrics = metrics_of(domain, f"The part {part} of the data of {run}", options)
    if seed is not None and "seed" in inspect.signature(metrics).parameters:
        options["seed"] = seed
    write([graph for group in inputs.groups for graph in group], check_output(references))
    if generated is None:
        generated = folder / f"{part}.samples{next(iter(domain.writers), PT)}"
        if num is None:
            inputs.nums = [PER_REFERENCE * len(group) for group in inputs.groups]
        request = {"seed": seed or 0, "num": num or 1, "workers": options.get("workers")}
        FileJob(inputs, Files(generated), request, run, device, trust, resume=True).run(sampling)
    return evaluate_files(generated, references, out, progress=evaluating, **options), inputs.notes
