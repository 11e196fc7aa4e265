"""Keys of packed graphs: what splits and groups need to know of a graph, so that it need not be read."""

from __future__ import annotations

import copy
from typing import Any

from graphscore.data.consistency import check_graph
from graphscore.data.own_graph import OwnGraph

FILE, RECORD, DOMAIN, GROUP, FAILURE = "file", "record", "domain", "group", "failure"
SPLIT = "split."
"""Beginning of the names of the keys of splits."""


def keys_of(own: OwnGraph, file: int) -> dict[str, Any]:
    """Compute the keys of a graph.

    Args:
        own: The graph.
        file: Number of its file, or -1 if it comes from none.

    Returns:
        The number of its file and of its record; its domain, and its keys for each split of the domain and for its
        group, where they are not empty; or instead of these why the domain cannot compute them.
    """
    place: dict[str, Any] = {FILE: file, RECORD: own.number}
    try:
        domain = own.domain
        if file < 0 and domain.splits:
            check_graph(copy.copy(own.graph))  # graphs that are given as objects have not been checked
        keys = {GROUP: own.group_key, **{SPLIT + by: own.split_key(by) for by in domain.splits}}
    except ValueError as error:
        return {**place, FAILURE: str(error)}
    return {**place, DOMAIN: domain.name, **{name: key for name, key in keys.items() if key}}
