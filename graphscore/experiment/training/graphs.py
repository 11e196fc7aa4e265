"""Graphs of a training run: those that it trains and validates on, and those that it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch_geometric.data import Data

from graphscore.data import Dataset
from graphscore.data.readers import Failure
from graphscore.data.split import Part, some_of
from graphscore.experiment.config.schema import Config
from graphscore.experiment.trained_on import KEY, TrainedOn
from graphscore.generate.inputs import categories
from graphscore.train.parts import sizes_of


class RunGraphs(NamedTuple):
    """Graphs of a run.

    Attributes:
        dataset: Its data set.
        train: Graphs to train on.
        val: Graphs to validate on.
        num_test: Number of graphs of the test part.
        known: Values of each integer input in training.
        failures: Records that could not be used, and graphs that are too large.
    """

    dataset: Dataset
    train: Sequence[Data]
    val: Sequence[Data]
    num_test: int
    known: dict[str, list[int]]
    failures: list[Failure]

    @property
    def numbers(self) -> dict[Part, int]:
        """Number of graphs of each part."""
        return {"train": len(self.train), "val": len(self.val), "test": self.num_test}

    def describe(self, config: Config) -> dict[str, Any]:
        """Facts about the training graphs, for the model files."""
        seen = TrainedOn.measure(self.dataset, config.data.dataset.name, self.train).model_dump(mode="json")
        return {"known": self.known, KEY: seen, "num_training_graphs": len(self.train)}


def take_graphs(dataset: Dataset, config: Config) -> RunGraphs:
    """Take the graphs of a run from its data set, without those that are too large.

    Raises:
        ValueError: If there is nothing to train on, or the network does not take what the graphs have.
    """
    training = config.training
    graphs, left_out = _without_large(dataset.split("train"), "train", training.max_nodes)
    if not graphs:
        raise ValueError(f"The training part of the data set {config.data.dataset.name!r} is empty")
    known = categories(graphs, list(config.network.categories))
    _check_categories(config, known)
    validation, too_large = _without_large(dataset.split("val"), "val", training.max_nodes)
    # Some data sets find failures only when a part is read.
    failures = [*getattr(dataset, "failures", []), *left_out, *too_large]
    validation = some_of(validation, training.num_validation_graphs, training.seed)
    return RunGraphs(dataset, graphs, validation, len(dataset.split("test")), known, failures)


def _without_large(graphs: Sequence[Data], part: str, most: int | None) -> tuple[Sequence[Data], list[Failure]]:
    """Leave out graphs with too many nodes; return the others, and those that are left out."""
    if most is None:
        return graphs, []
    nodes = sizes_of(graphs).nodes
    large = np.flatnonzero(nodes > most).tolist()
    left_out = [
        Failure(f"{part} part", f"graph {k}", f"it has {nodes[k]:,} nodes, more than training.max_nodes={most}")
        for k in large
    ]
    kept = np.flatnonzero(nodes <= most)
    select = getattr(graphs, "select", None)  # of graphs that are not in memory
    return [graphs[k] for k in kept.tolist()] if select is None else select(kept), left_out


def _check_categories(config: Config, known: dict[str, list[int]]) -> None:
    for condition in config.conditions:
        if condition.null_value in known.get(condition.name, ()):
            raise ValueError(
                f"The null_value of the condition {condition.name!r}, {condition.null_value:g}, is a value that graphs "
                f"of the data have ({known[condition.name]}): choose one that none has, and a network that takes it"
            )
    sizes = config.network.categories
    for name, values in known.items():
        if values and not 0 <= values[0] <= values[-1] < sizes[name]:
            raise ValueError(
                f"The network takes {name} from 0 to {sizes[name] - 1}, but the data have {values[0]} to {values[-1]}"
            )
