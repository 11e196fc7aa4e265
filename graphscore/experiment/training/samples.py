"""Samples of validation graphs during a training, and their score by the metrics of the domain."""

from __future__ import annotations

import inspect
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore.data.dataset import Dataset
from graphscore.data.derived import given_attributes
from graphscore.data.writers import write
from graphscore.denoiser import ScoreModel
from graphscore.domains import Domain, domain_of
from graphscore.experiment.build import build_transform
from graphscore.experiment.config.schema import Config
from graphscore.experiment.config.sections import BestConfig
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.evaluation.files import metrics_of
from graphscore.experiment.folder import MODEL_FILE
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.generate.inputs import inputs_of, without_measurements
from graphscore.generate.tries import with_values
from graphscore.registry import close_to, resolve
from graphscore.train.sample_score import SAMPLED, SampleScore

_KEY = "training.best.metric"


def build_score(
    config: Config, model: ScoreModel, known: Mapping[str, Sequence[int]], dataset: Dataset, data: Any, out: Path
) -> SampleScore | None:
    """Build the score of samples by which a best model is chosen; ``None`` if the configuration wants none.

    Args:
        config: The configuration, with all scales.
        model: The model.
        known: Values of integer attributes in training.
        dataset: The data set of the run.
        data: Graphs of a data set that was given in Python.
        out: Folder of the run.

    Raises:
        ValueError: If there is no such metric of the validation graphs, or there are none.
    """
    best = config.training.best
    if best is None:
        return None
    # Samples are copies of graphs without transforms, and are measured as those that `graphscore sample` writes.
    raw = build_dataset(config, transformed=False, data=data) if config.transforms else dataset
    samples = ValidationSamples(config, _choose(raw, config, best), known, out)
    highest = samples.check(best.metric, model) == "highest"
    key = repr([best.metric, best.num_graphs, best.num_samples, best.num_steps])
    column = SAMPLED + best.metric.replace(" ", "_")
    return SampleScore(column, best.every, highest, key, samples.draw, samples.measure)


class ValidationSamples:
    """Samples of some validation graphs, and their score.

    Args:
        config: The configuration, with all scales.
        groups: The graphs without transforms, in groups with the same model input.
        known: Values of integer attributes in training.
        out: Folder of the run, for messages.
    """

    def __init__(
        self, config: Config, groups: Sequence[Sequence[Data]], known: Mapping[str, Sequence[int]], out: Path
    ) -> None:
        assert config.training.best is not None
        self.config, self.best, self.groups, self.known, self.out = config, config.training.best, groups, known, out
        self.references = [graph for group in groups for graph in group]
        self.domain: Domain = domain_of(self.references[0])
        self.compare = metrics_of(self.domain, "The validation part")

    def check(self, metric: str, model: ScoreModel) -> str:
        """Check that samples will have a metric, on the references in their place.

        Returns:
            ``"highest"`` or ``"lowest"``, the best value.

        Raises:
            ValueError: If they will not.
        """
        kept, fields = inputs_of(model), given_attributes(model.fields, build_transform(self.config))
        stand_ins = [
            with_values(without_measurements(graph, kept, fields), graph, {name: graph[name] for name in fields})
            for graph in self.references
        ]
        numbers, scores = self._report(stand_ins), self.domain.scores
        found = {pattern: [name for name in numbers if fnmatchcase(name, pattern)] for pattern in scores}
        for pattern, names in found.items():
            if metric in names:
                return scores[pattern]
        some = [", ".join(names[:4]) + (", ..." if len(names) > 4 else "") for names in found.values() if names]
        hint = close_to(metric, [name for names in found.values() for name in names])
        expected = f"expected one of {', '.join(some)}" if some else "they have none by which a model could be chosen"
        raise ValueError(f"{_KEY}: the {self.domain.name} have no metric {metric!r}{hint}; {expected}")

    def draw(self, model: ScoreModel, rank: int = 0, num_ranks: int = 1) -> list[Data]:
        """Sample a rank's share of the groups, from the same noise each time."""
        kind: type[Pipeline] = resolve(self.domain.pipeline)
        device = next(model.parameters()).device
        pipeline = kind(model, self.config, {"known": self.known}, self.out / MODEL_FILE, str(device))
        request = kind.request_type(
            seed=self.config.training.seed, num_steps=self.best.num_steps, retries=0, repair=False
        )  # the network's own samples are measured
        mine = self.groups[rank::num_ranks]
        nums = [self.best.num_samples * len(group) for group in mine]
        outcomes = pipeline.sample([group[0] for group in mine], request, nums=nums)
        return [sample for outcome in outcomes for sample in outcome.samples]

    def measure(self, shares: Sequence[Sequence[Data]]) -> float:
        """Measure samples; NaN if there are none, such as of a network that has learned nothing yet.

        Raises:
            ValueError: If they cannot be measured.
        """
        samples = [sample for share in shares for sample in share]
        if not samples:
            return float("nan")
        try:
            report = self._report(samples)
        except ValueError as error:
            raise ValueError(
                f"The samples could not be measured for {_KEY} ({error}); go on without by `graphscore train --resume "
                f"{self.out} --set training.best=null`"
            ) from error
        return report.get(self.best.metric, float("nan"))

    def _report(self, samples: Sequence[Data]) -> dict[str, float]:
        """All numbers of the domain's report on samples, by key."""
        # In this process: others would take the cores of other ranks, and of the workers that load batches.
        options = {"workers": 1} if "workers" in inspect.signature(self.compare).parameters else {}
        with tempfile.TemporaryDirectory() as folder:
            generated, reference = Path(folder) / "samples.pt", Path(folder) / "references.pt"
            write(samples, generated)
            write(self.references, reference)
            return dict(_numbers(self.compare(generated, reference, progress=None, **options)))


def _choose(dataset: Dataset, config: Config, best: BestConfig) -> list[Sequence[Data]]:
    """Choose groups of validation graphs at random, until there are enough graphs.

    Raises:
        ValueError: If there are none.
    """
    groups, most, transform = dataset.groups("val"), config.training.max_nodes, build_transform(config)
    chosen: list[Sequence[Data]] = []
    left = best.num_graphs
    for number in random.Random(config.training.seed).sample(range(len(groups)), len(groups)):
        group = groups[number]
        if left > 0 and len(group) and (most is None or (transform(group[0]).num_nodes or 0) <= most):
            chosen.append([group[place] for place in range(min(len(group), left))])
            left -= len(chosen[-1])
    if not chosen:
        raise ValueError("training.best needs graphs to validate on, but the validation part is empty")
    return chosen


def _numbers(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in report.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
