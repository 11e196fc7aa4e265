"""Faults of single graphs that stop or spoil training: shapes, categories, edges, coincident nodes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.experiment.config.schema import Config
from graphscore.experiment.config.sections import Features
from graphscore.fields import num_rows

STOPS, SPOILS, NOTES = "stops", "spoils", "notes"
"""Weight of a fault: training stops, its result is not what is wanted, or worth knowing."""
Fault = tuple[str, str]
"""Weight and sentence."""


def structure_faults(graph: Data, positions: str | None) -> Iterator[Fault]:
    """List what is unusual about the nodes and edges of a graph.

    Args:
        graph: The graph.
        positions: Name of the positions of its nodes, if it has some.
    """
    num_nodes = graph.num_nodes or 0
    if not num_nodes:
        yield SPOILS, "it has no nodes"
        return
    edge_index = graph.edge_index
    if edge_index is not None and edge_index.shape[1]:
        source, target = edge_index
        if loops := int((source == target).sum()):
            yield NOTES, f"it has {loops} self loops"
        if twice := edge_index.shape[1] - len((source * num_nodes + target).unique()):
            yield NOTES, f"it has {twice} edges more than once"
        if isolated := num_nodes - len(edge_index.unique()):
            yield NOTES, f"it has {isolated} nodes without edges"
    pos = None if positions is None else graph.get(positions)
    if isinstance(pos, Tensor) and pos.dim() == 2 and (same := len(pos) - len(pos.unique(dim=0))):
        yield SPOILS, f"it has {same} nodes at the place of another node"


def network_faults(graph: Data, config: Config) -> Iterator[Fault]:
    """List why the network of a configuration cannot take a graph.

    Args:
        graph: The graph, after the transforms and with its fields.
        config: The configuration.
    """
    rows = {"node": graph.num_nodes, "edge": graph.num_edges, "graph": 1}
    for field in config.fields:
        try:
            num = num_rows(graph, field.level)
        except ValueError as error:
            yield STOPS, f"{error}: no transform adds it"
        else:
            level = field.level.removesuffix("_index")
            yield from _wrong_shape(field.name, graph[field.name], num, level, field.width)
    network, null = config.network, {one.name: one.null_value for one in config.conditions}
    levels = {"node": network.node_inputs, "edge": network.edge_inputs, "graph": network.graph_inputs}
    for level, inputs in levels.items():
        for name, kind in inputs.items():
            value = graph.get(name)
            if level == "graph" and isinstance(value, int | float):  # as PyG makes a batch of numbers
                value = torch.tensor([value])
            if not isinstance(value, Tensor):
                yield STOPS, f"it has no {name!r}, an input of the network"
            elif isinstance(kind, Features):
                yield from _wrong_shape(name, value, rows[level], level, kind.width)
                if not bool(value.isfinite().all()):
                    yield SPOILS, f"{name!r} has infinite or NaN entries"
                elif name in null and value.numel() and bool((value == null[name]).all()):
                    yield SPOILS, f"{name!r} is {null[name]:g}, which stands for no condition"
            else:
                yield from _wrong_shape(name, value, rows[level], level, 1)
                yield from _wrong_category(name, value, kind, null.get(name))
    fields = {field.name for field in config.fields}
    others = {*network.vectors, *([] if network.chirality is None else [network.chirality])} - fields
    for name in sorted(others):
        if name not in graph:
            yield STOPS, f"it has no {name!r}, an input of the network"


def _wrong_shape(name: str, value: Tensor, num: int | None, level: str, width: int) -> Iterator[Fault]:
    columns = value.shape[1] if value.dim() == 2 else 1
    if value.dim() > 2 or columns != width:
        yield STOPS, f"{name!r} has the shape {list(value.shape)}, but the configuration says {width} columns"
    elif (len(value) if value.dim() else 1) != num:
        yield STOPS, f"{name!r} has {len(value)} rows, but the graph has {num}: one for each {level} is expected"


def _wrong_category(name: str, value: Tensor, size: int, null: float | None) -> Iterator[Fault]:
    if value.is_floating_point() or value.dtype == torch.bool:
        yield STOPS, f"{name!r} must hold whole numbers, but is {value.dtype}"
    elif value.numel() and not 0 <= int(value.min()) <= int(value.max()) < size:
        low, high = int(value.min()), int(value.max())
        yield STOPS, f"{name!r} goes from {low} to {high}, but the network takes 0 to {size - 1}"
    elif null is not None and bool((value == null).any()):
        yield STOPS, f"{name!r} is {null:g} somewhere, which stands for no condition"
