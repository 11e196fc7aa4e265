"""Consistency checks of graphs from files: edges join existing nodes, and attributes have the right number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.domains import attributes


def check_graph(value: Any) -> Data:
    """Check a loaded graph for consistency and complete it.

    Node numbers that are stored as floating-point or short integers become int64, if all are whole.

    Args:
        value: A PyG graph, or its attributes by name.

    Returns:
        The graph, with ``edge_index`` and ``num_nodes``.

    Raises:
        ValueError: If it is something else, or its attributes do not fit together.
    """
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        value = Data(**value)
    if type(value) is not Data:
        raise ValueError(f"Expected a dict of tensors or a PyG Data, but got {type(value).__name__}")
    if value.edge_index is None:
        value.edge_index = torch.empty(2, 0, dtype=torch.long)
    known = {
        name: attribute
        for name, attribute in attributes().items()
        if value.get(name) is not None and (attribute.beside is None or attribute.beside in value)
    }
    for name in known:
        _check_tensor(name, value[name])
    value.num_nodes = _num_nodes(value, [name for name, attribute in known.items() if attribute.level == "node"])
    for name in (name for name, attribute in known.items() if attribute.indices):
        value[name] = whole_indices(name, value[name], value.num_nodes)
    rows = {"node": value.num_nodes, "edge": value["edge_index"].shape[1]}
    for name, attribute in known.items():
        expected = None if attribute.indices else rows.get(attribute.level)
        if expected is not None and len(value[name]) != expected:
            raise ValueError(
                f"Expected {name} to have {expected} rows, one for each {attribute.level}, but its shape is "
                f"{list(value[name].shape)}"
            )
    return value


def _check_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"Expected {name} to be a tensor, but it is {type(value).__name__}")
    if value.layout != torch.strided or value.dim() < 1:
        got = "a single number" if value.layout == torch.strided else value.layout
        raise ValueError(f"Expected {name} to be a plain tensor with rows, but it is {got}")
    if value.is_complex():
        raise ValueError(f"Expected {name} to hold real numbers, but it is {value.dtype}")


def _num_nodes(data: Data, node_level: Sequence[str]) -> int:
    given = data.get("num_nodes") if "num_nodes" in data else None
    if isinstance(given, Tensor) and given.numel() == 1:
        given = given.item()
    if given is None:
        if not node_level:
            raise ValueError(f"Expected num_nodes, x, pos or z to tell the number of nodes; got {data.keys()}")
        return len(data[node_level[0]])
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise ValueError(f"Expected num_nodes to be a whole number of at least 0, but it is {given!r}")
    return given


def whole_indices(name: str, value: Tensor, num_nodes: int) -> Tensor:
    """Check node numbers, and convert them to int64.

    Args:
        name: Name of the attribute: ``edge_index`` must have two rows, another one may have any number of rows.
        value: Shape ``[2, E]``, or ``[*, E]``.
        num_nodes: Number of nodes N.

    Returns:
        The same in int64.

    Raises:
        ValueError: If the shape is another one, or a number is not whole or not from 0 to N - 1.
    """
    if value.dim() != 2 or (name == "edge_index" and value.shape[0] != 2):
        hint = ": transpose it" if value.dim() == 2 and value.shape[1] == 2 else ""
        wanted = "[2, E]" if name == "edge_index" else "[*, rows]"
        raise ValueError(f"Expected {name} to have the shape {wanted}, but it is {list(value.shape)}{hint}")
    if value.dtype == torch.bool or value.is_complex() or not torch.equal(value, value.round()):
        raise ValueError(f"Expected {name} to hold whole numbers of nodes, but it is {value.dtype} and not whole")
    whole = value.long()
    outside = whole[(whole < 0) | (whole >= num_nodes)]
    if outside.numel():
        raise ValueError(
            f"Expected {name} to hold numbers of nodes from 0 to {num_nodes - 1}, but it has {int(outside[0])}"
        )
    return whole
