"""Lossless conversion from and to networkx graphs.

Attributes become tensors ``[N, ...]`` or ``[E, ...]`` under their own names, and strings become lists of str. The dict
attribute ``networkx`` of the graph holds the facts for the conversion back: the level of each attribute, the node
labels, and whether edges have directions.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from numbers import Number
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.attributes import NOTES
from graphscore.domains import attributes, domain_of, domains
from graphscore.registry import resolve

_RESERVED = frozenset({"edge_index", "num_nodes", "networkx", "batch", "ptr"})


def from_networkx(graph: nx.Graph, dtype: torch.dtype = torch.float32) -> Data:
    """Convert a networkx graph to a PyG graph.

    Undirected edges are stored in both directions, and all edges are sorted. Numbers become int64, bool or ``dtype``;
    arrays, lists and tuples of numbers become rows; ``pos`` is always ``dtype``. If nodes have ``z`` (atomic number) or
    ``element`` (symbol) and edges ``bond`` (see :mod:`graphscore.molecules.graph`) or ``order`` (1, 1.5, 2, 3), the
    result is laid out as a molecule, with stereo marks by its coordinates, and ``charge`` is 0 if absent. Hydrogens
    that are not nodes are added, see :func:`graphscore.molecules.networkx.complete`; :func:`to_networkx` then returns
    another graph.

    Args:
        graph: Graph or directed graph, at most one edge between two nodes in a direction.
        dtype: Type of real numbers. Python's floats survive the way there and back exactly in ``torch.float64`` alone.

    Returns:
        The graph; nodes in networkx's order.

    Raises:
        ValueError: For multigraphs, attributes that only some nodes or edges have, and values other than
            numbers, rows of numbers of one length, and strings.
    """
    if graph.is_multigraph():
        raise ValueError(
            f"Expected a Graph or DiGraph, but got a {type(graph).__name__}; merge its parallel edges first"
        )
    labels = list(graph.nodes)
    position = {label: i for i, label in enumerate(labels)}
    edges = [(position[u], position[v], values) for u, v, values in graph.edges(data=True)]
    if not graph.is_directed():
        edges += [(v, u, values) for u, v, values in edges if u != v]
    edges.sort(key=lambda edge: edge[:2])
    nodes = _table([graph.nodes[label] for label in labels], [f"node {label!r}" for label in labels], dtype)
    names = [f"edge {labels[u]!r}-{labels[v]!r}" for u, v, _ in edges]
    edge_table = _table([values for _, _, values in edges], names, dtype)
    graph_table = {str(key): _graph_value(str(key), value, dtype) for key, value in graph.graph.items()}
    _check_names(nodes, edge_table, graph_table)
    derived: dict[str, Tensor] = {}
    for domain in domains():
        if domain.derive is not None:
            derived |= resolve(domain.derive)(nodes, edge_table, names)
    index = torch.tensor([[u, v] for u, v, _ in edges], dtype=torch.long).reshape(-1, 2).t().contiguous()
    data = Data(
        edge_index=index,
        num_nodes=len(labels),
        **nodes,
        **edge_table,
        **graph_table,
        **derived,
        networkx={
            "labels": labels,
            "directed": graph.is_directed(),
            "node": list(nodes),
            "edge": list(edge_table),
            "graph": list(graph_table),
            "derived": list(derived),
        },
    )
    if (complete := domain_of(data).complete) is not None:
        given = set(data.keys())
        data = resolve(complete)(data)
        if "networkx" in data:
            data["networkx"]["derived"] += sorted(set(data.keys()) - given)
    return data


def to_networkx(data: Data) -> nx.Graph:
    """Convert a PyG graph to networkx; the inverse of :func:`from_networkx`.

    For graphs from elsewhere, the level of each attribute is inferred from its size, as PyG does; nodes are 0 to N - 1;
    and the result is undirected if every edge has its reverse with the same attributes. Attributes with several columns
    become numpy arrays, among them ``pos``. Notes on the record that a graph was read from are left out.

    Args:
        data: Any graph.

    Returns:
        ``nx.Graph`` or ``nx.DiGraph``.
    """
    about = data.get("networkx") or {}
    labels: Sequence[Hashable] = about.get("labels") or range(int(data.num_nodes or 0))
    levels: dict[str, dict[str, Any]] = {"node": {}, "edge": {}, "graph": {}}
    for key, value in data.to_dict().items():
        if key not in (*_RESERVED, *about.get("derived", ())) and not (key == NOTES and isinstance(value, list)):
            levels[level_of(data, key)][key] = _values(value)
    index = data.edge_index if data.edge_index is not None else torch.empty(2, 0, dtype=torch.long)
    pairs = [(labels[u], labels[v]) for u, v in index.t().tolist()]
    rows = [{key: values[e] for key, values in levels["edge"].items()} for e in range(len(pairs))]
    directed = about.get("directed", not _is_symmetric(pairs, rows))
    graph = nx.DiGraph() if directed else nx.Graph()
    for i, label in enumerate(labels):
        graph.add_node(label, **{key: values[i] for key, values in levels["node"].items()})
    for (u, v), row in zip(pairs, rows, strict=True):
        graph.add_edge(u, v, **row)
    graph.graph.update({key: _unwrap(value) for key, value in levels["graph"].items()})
    return graph


def _table(rows: Sequence[dict[Any, Any]], names: Sequence[str], dtype: torch.dtype) -> dict[str, Tensor | list[str]]:
    """Collect attributes of all nodes or all edges into columns; ``names`` appear in error messages."""
    keys: dict[Any, str] = {}
    for row, name in zip(rows, names, strict=True):
        for key in row:
            keys.setdefault(key, name)
    for key, owner in keys.items():
        for row, name in zip(rows, names, strict=True):
            if key not in row:
                raise ValueError(f"Attribute {key!r}, which {owner} has, is missing on {name}")
    return {str(key): _column(key, [row[key] for row in rows], names, dtype) for key in keys}


def _column(key: Any, values: list[Any], names: Sequence[str], dtype: torch.dtype) -> Tensor | list[str]:
    if all(isinstance(value, str) for value in values):
        return values
    arrays = []
    for value, name in zip(values, names, strict=True):
        array = _array(value)
        if array is None:
            raise ValueError(
                f"Attribute {key!r} of {name} must be a number, a row of numbers or a string; got {value!r}"
            )
        if array.shape != (arrays[0].shape if arrays else array.shape):
            raise ValueError(
                f"Attribute {key!r} has shape {list(array.shape)} on {name}, but {list(arrays[0].shape)} on {names[0]}"
            )
        arrays.append(array)
    return _tensor(np.stack(arrays), dtype, real=key == "pos")


def _array(value: Any) -> np.ndarray | None:
    """View a number or a (nested) row of numbers as an array; None if it is neither."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, (Number, np.ndarray, np.generic, list, tuple)):
        try:
            array = np.asarray(value)
        except ValueError:  # ragged
            return None
        return array if array.dtype.kind in "biuf" else None
    return None


def _tensor(array: np.ndarray, dtype: torch.dtype, real: bool) -> Tensor:
    kinds = {"b": torch.bool, "i": torch.long, "u": torch.long}
    return torch.from_numpy(array.copy()).to(dtype if real else kinds.get(array.dtype.kind, dtype))


def _graph_value(key: str, value: Any, dtype: torch.dtype) -> Any:
    """Keep scalars and strings; arrays get a leading axis of size 1, as in PyG."""
    if isinstance(value, (str, bool, int, float)):
        return value
    array = _array(value)
    if array is None:
        raise ValueError(f"Graph attribute {key!r} must be a number, a row of numbers or a string, but is {value!r}")
    return _tensor(array, dtype, real=False)[None]


def _check_names(nodes: Iterable[str], edges: Iterable[str], graph: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for level, keys in (("node", nodes), ("edge", edges), ("graph", graph)):
        for key in keys:
            if key in _RESERVED:
                raise ValueError(f"The {level} attribute {key!r} has a name that PyG graphs reserve; rename it")
            if key in seen:
                raise ValueError(f"The {level} attribute {key!r} is a {seen[key]} attribute too; rename one of them")
            seen[key] = level


def level_of(data: Data, key: str) -> str:
    """Level of an attribute of a graph: ``"node"``, ``"edge"`` or ``"graph"``, as told or by its size, as PyG does."""
    about = data.get("networkx") or {}
    for level in ("node", "edge", "graph"):
        if key in about.get(level, ()):
            return level
    value, known = data[key], attributes().get(key)
    if isinstance(value, list | tuple) and not _is_column(value):
        return "graph"
    if (known is not None and known.level == "edge") or data.is_edge_attr(key):
        return "edge"
    return "node" if data.is_node_attr(key) else "graph"


def _is_column(values: Sequence[Any]) -> bool:
    """Tell whether a list may hold one value for each node or edge."""
    return all(isinstance(v, str) for v in values) or all(_array(v) is not None for v in values)


def _values(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.tolist() if value.dim() == 1 else value.detach().cpu().numpy()


def _unwrap(value: Any) -> Any:
    return value[0] if isinstance(value, np.ndarray) and len(value) == 1 else value


def _is_symmetric(pairs: Sequence[tuple[Hashable, Hashable]], rows: Sequence[dict[str, Any]]) -> bool:
    row_of = dict(zip(pairs, rows, strict=True))
    return all(
        (v, u) in row_of and all(np.array_equal(value, row_of[v, u][key]) for key, value in row.items())
        for (u, v), row in row_of.items()
    )
