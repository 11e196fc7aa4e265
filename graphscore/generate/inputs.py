"""Input graphs of a network for sampling: checks, hashes and sizes."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphscore.attributes import NOTES, READ_FROM
from graphscore.domains import attributes
from graphscore.fields import rows_of
from graphscore.nn import ScoreNetwork

FEATURES = ("x", "edge_attr", "edge_weight")
"""Attributes that belong to a graph, whatever numbers they hold, unless they are sampled."""
Label = Callable[[Data, Data, str, int], str]
"""Function ``(template, graph, name, row)`` that describes the node or edge of a row of an attribute."""


def categories(items: Sequence[Data], names: Sequence[str]) -> dict[str, list[int]]:
    """List the values of integer attributes in the given graphs, for the argument ``known`` of :func:`generate`."""
    return {
        name: sorted(map(int, torch.cat([values.unique() for values, _ in rows_of(items, name)]).unique().tolist()))
        for name in names
    }


def inputs_of(model: nn.Module) -> set[str]:
    """Collect the names of the attributes that the networks inside a model read."""
    return {name for module in model.modules() if isinstance(module, ScoreNetwork) for name in module.reads}


def without_measurements(template: Data, inputs: Collection[str], fields: Collection[str]) -> Data:
    """Copy a template without attributes that may have been measured or computed for its own coordinates.

    These are plain numbers, scalar tensors and arrays of floating-point numbers, such as ``energy``, ``weight`` or
    forces, of a template that has any of the fields; where it has none, nothing can have been measured for them. The
    copy keeps the graph itself, its features and weights (``x``, ``edge_attr``, ``edge_weight``), categories and flags
    (arrays of integers and booleans), everything that is not a number, such as ``name`` and ``smiles``, all inputs of
    the network, and attributes that say so, see :attr:`graphscore.attributes.Attribute.is_given`. Notes on the record
    that the template was read from, and its place, are left out too.

    Args:
        template: A graph.
        inputs: Names of the attributes that the network reads.
        fields: Names of the sampled fields.

    Returns:
        A shallow copy.
    """
    measured = any(name in template for name in fields)
    given = (name for name, attribute in attributes().items() if attribute.is_given)
    kept = {"num_nodes", *inputs, *FEATURES, *given} - {*fields}
    bare = copy.copy(template)
    bare.num_nodes = template.num_nodes
    for key, value in template.to_dict().items():
        if key in (NOTES, READ_FROM) or (measured and key not in kept and _is_measured(value)):
            del bare[key]
    return bare


def _is_measured(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.dim() == 0 or value.is_floating_point() or value.is_complex()
    if isinstance(value, np.ndarray | np.generic):
        return value.ndim == 0 or value.dtype.kind in "fc"
    if isinstance(value, list | tuple):
        return any(isinstance(part, float) or (not isinstance(part, int) and _is_measured(part)) for part in value)
    return isinstance(value, int | float | complex)


def graph_key(template: Data, starts: Mapping[str, Tensor] | None = None) -> int:
    """Hash a graph to 64 bits, the same in every process, on every machine and in every batch.

    The hash covers the number of nodes and all arrays of integers and booleans, such as edges, elements and bonds, but
    neither floats, which differ by rounding, nor names and labels, see :class:`graphscore.attributes.Attribute`. It
    depends on the order of the nodes.

    Args:
        template: A graph.
        starts: Values that count too, although they are floats: those that samples start from, as they were given.

    Returns:
        From 0 to 2**64 - 1.
    """
    digest = hashlib.blake2b(f"{template.num_nodes}".encode(), digest_size=8)
    known = attributes()
    for key, value in sorted(template.to_dict().items()):
        if key in known and known[key].is_label:
            continue
        if isinstance(value, Tensor) and value.dim() > 0 and not (value.is_floating_point() or value.is_complex()):
            digest.update(f"|{key}{list(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().astype("<i8").tobytes())
    for key, value in sorted((starts or {}).items()):
        digest.update(f"|{key}{list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().astype("<f4").tobytes())
    return int.from_bytes(digest.digest(), "little")


def identity(template: Data, *, marks: bool = True) -> tuple[str, Tensor]:
    """Identify a graph by :func:`graph_key`, for which the order of its nodes counts: their order is that of its rows.

    Args:
        template: The graph.
        marks: Without effect, since a graph of no domain has none.
    """
    return str(graph_key(template)), torch.arange(template.num_nodes or 0)


def input_graph(
    template: Data,
    transform: Callable[[Data], Data] | None,
    fields: Sequence[str],
    known: Mapping[str, Sequence[int]],
    label: Label,
) -> Data:
    """Make the network's input graph of a template.

    Raises:
        ValueError: If the template cannot be sampled, with the reason.
    """
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
            where, value = label(template, graph, name, row), int(graph[name][row])
            raise ValueError(f"{name} of {where} is {value}, but the model was trained on {list(values)} only")
    return graph
