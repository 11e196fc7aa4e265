"""Summary of a training run at its start: data, model and training in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from graphscore.data.split import Part
from graphscore.experiment.config.schema import Config
from graphscore.train.parts import Sizes


def summarize(
    config: Config, numbers: Mapping[Part, int], model: nn.Module, changed: Sequence[str], sizes: Sizes
) -> list[str]:
    """Describe a run.

    Args:
        config: Its configuration, with all scales.
        numbers: Number of graphs of each part.
        model: The model.
        changed: Changes of a run that is resumed.
        sizes: Sizes of the training graphs.

    Returns:
        Lines of text.
    """
    training, network = config.training, config.network
    parts = ", ".join(f"{number:,} {part}" for part, number in numbers.items())
    fields = ", ".join(f"{field.name} ({field.sde.name}, scale {float(field.scale):.3g})" for field in config.fields)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return [
        *changed,
        f"Data: {config.data.dataset.name}; {parts} graphs; {_range(sizes.nodes)} nodes, {_range(sizes.edges)} edges",
        f"Model: {network.backbone.name} with {parameters:,} parameters; fields {fields}",
        f"Training: {training.max_steps:,} steps of {training.batch_size:,} graphs; {training.objective.name}; "
        f"{training.optimizer.name}, learning rate {training.learning_rate:g}, {training.schedule.name}; "
        f"{training.precision}",
    ]


def _range(values: np.ndarray) -> str:
    return f"{values.min():,} to {values.max():,} (mean {values.mean():,.1f})"
