"""Memory that a training is expected to take, before it is started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch_geometric.data import Data

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import Config
from graphscore.experiment.training.build import build_task
from graphscore.nn.edges.search import searches_of
from graphscore.runtime.settings import choose_device
from graphscore.train.memory import free_memory, measure_memory
from graphscore.train.parts import sizes_of


def expected_memory(config: Config, graphs: Sequence[Data]) -> dict[str, Any]:
    """Predict the memory of training steps from a measurement on small batches.

    Args:
        config: The configuration.
        graphs: The graph with the most edges for the network, and others like most graphs.

    Returns:
        In GB: ``largest``, a step of the first graph alone; ``step``, of ``training.batch_size`` graphs like the others
        at once; ``free``, the memory that is free now, on the ``device``.
    """
    fields = tuple(field.model_copy(update={"scale": 1.0}) for field in config.fields)
    config = config.model_copy(update={"fields": fields})
    with torch.random.fork_rng(devices=[]):
        task = build_task(config, build_model(config))
    device, sizes = choose_device(), sizes_of(graphs, searches_of(task.model))
    model = measure_memory(task, graphs, sizes, device)
    of_graphs = model.of_graphs(sizes)
    step = model.fixed + config.training.batch_size * float(of_graphs[1:].mean() if len(graphs) > 1 else of_graphs[0])
    gigabytes = {"largest": model.fixed + float(of_graphs[0]), "step": step, "free": free_memory(device)}
    return {"device": device.type, **{name: float(f"{value / 1e9:.3g}") for name, value in gigabytes.items()}}
