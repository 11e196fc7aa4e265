"""What a network sees of the graphs that it is to make samples of."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch_geometric.data import Data

from graphscore.data.dataset import is_molecule


def categories(items: Sequence[Data], names: Sequence[str]) -> dict[str, list[int]]:
    """List the values that integer attributes take in the given graphs, for ``known`` of :func:`generate`."""
    return {
        name: sorted(int(value) for value in torch.cat([item[name].unique() for item in items]).unique())
        for name in names
    }


def input_graphs(
    templates: Sequence[Data],
    transform: Callable[[Data], Data] | None,
    fields: Sequence[str],
    known: Mapping[str, Sequence[int]],
) -> tuple[dict[int, Data], list[str | None]]:
    """Make the graphs that the network sees, by number of the template, and the reason for each that is missing."""
    graphs: dict[int, Data] = {}
    failures: list[str | None] = [None] * len(templates)
    for number, template in enumerate(templates):
        try:
            graphs[number] = _input_graph(template, transform, fields, known)
        except ValueError as error:
            failures[number] = str(error)
    return graphs, failures


def _input_graph(
    template: Data, transform: Callable[[Data], Data] | None, fields: Sequence[str], known: Mapping[str, Sequence[int]]
) -> Data:
    """Make the graph that the network sees; raises ValueError with the reason if it cannot be sampled."""
    if not template.num_nodes:
        raise ValueError("the graph has no nodes")
    graph = copy.copy(template)
    graph.num_nodes = template.num_nodes
    for name in fields:
        if name in graph:
            del graph[name]
    graph = graph if transform is None else transform(graph)
    for name, values in known.items():
        if name not in graph:
            raise ValueError(
                f"the graph has no attribute {name!r}, which the model needs; it has {sorted(graph.keys())}"
            )
        strange = ~torch.isin(graph[name], torch.tensor(list(values), device=graph[name].device))
        if bool(strange.any()):
            row = int(strange.nonzero()[0])
            where, value = _where(template, graph, name, row), int(graph[name][row])
            raise ValueError(f"{name} of {where} is {value}, but the model was trained on {list(values)} only")
    return graph


def _where(template: Data, graph: Data, name: str, row: int) -> str:
    """Say which atoms of the molecule, or else which row, it is."""
    if not is_molecule(template):
        return f"row {row}"
    from graphscore.data.molfiles import atom_label

    kept = graph.get("kept")
    nodes = graph["edge_index"][:, row].tolist() if graph.is_edge_attr(name) else [row]
    return " and ".join(atom_label(template, node if kept is None else int(kept[node])) for node in nodes)
