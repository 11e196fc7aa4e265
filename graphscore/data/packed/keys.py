"""Keys of packed graphs: what splits and groups need to know of a graph, so that it need not be read."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.consistency import check_graph
from graphscore.data.own_graph import OwnGraph

FILE, RECORD, DOMAIN, GROUP, FAILURE = "file", "record", "domain", "group", "failure"
PLAIN, CONTENT = "plain", "content"
SPLIT = "split."
"""Beginning of the names of the keys of splits."""


def keys_of(own: OwnGraph, file: int, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """Compute the keys of a graph.

    Args:
        own: The graph, before it is prepared.
        file: Number of its file, or -1 if it comes from none.
        fields: Fields of its preparation; ``None`` if it is packed as it is.

    Returns:
        The number of its file and of its record; its domain, and its keys for each split of the domain and for its
        group, where they are not empty; or instead of these why the domain cannot compute them. Of a prepared graph
        also its single values, in JSON, and a hash of its fields and edges, which splits can ask for.
    """
    place: dict[str, Any] = {FILE: file, RECORD: own.number}
    if fields is not None:
        place[PLAIN] = json.dumps(dict(_single_values(own.graph)))
    try:
        domain = own.domain
        if file < 0 and domain.splits:
            check_graph(copy.copy(own.graph))  # graphs that are given as objects have not been checked
        keys = {GROUP: own.group_key, **{SPLIT + by: own.split_key(by) for by in domain.splits}}
    except ValueError as error:
        return {**place, FAILURE: str(error)}
    if fields is not None and not any(keys[SPLIT + by] for by in list(domain.splits)[:1]):
        keys[CONTENT] = own.content([*fields, "edge_index"]).hex()
    return {**place, DOMAIN: domain.name, **{name: key for name, key in keys.items() if key}}


def _single_values(graph: Data) -> Iterator[tuple[str, Any]]:
    """Attributes that are one value for the graph, and mappings of such."""
    for name, value in graph.to_dict().items():
        if isinstance(value, Tensor):
            if value.numel() and value.layout == torch.strided and not value.is_complex():
                first = value.reshape(-1)[0]
                if bool((value == first).all()):
                    yield name, first.item()
        elif isinstance(value, str | int | float):
            yield name, value
        elif isinstance(value, Mapping):
            yield name, {key: one for key, one in value.items() if isinstance(one, str | int | float)}
