"""Own graphs as a data set: what they must have, the part that each goes to, and what two parts have in common."""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch_geometric.data import Data

from graphscore.attributes import NOTES
from graphscore.data.dataset import Dataset, Transform, with_fields
from graphscore.data.readers import Failure
from graphscore.data.rules import OwnGraph, Rule
from graphscore.data.split import PARTS, Part
from graphscore.domains import attributes, domain_of
from graphscore.registry import resolve


class Placed(NamedTuple):
    """A graph with its part and group.

    Attributes:
        part: The part.
        group: Key of the group; graphs of a part with equal keys share the inputs of the model.
        graph: The graph without its fields.
        values: The fields.
    """

    part: Part
    group: str
    graph: Data
    values: dict[str, Tensor]


class OwnDataset(Dataset):
    """Data set of a user's graphs, checked, and split by a rule.

    Args:
        name: Name of the data set.
        origin: What the graphs come from, for messages, such as the path of a file.
        graphs: The graphs, and failures in place of those that could not be read.
        rule: Assigns graphs to parts.
        fields: Names of the attributes ``[rows, columns]`` that each graph must have.
        transform: Applied once to each graph, before it gets the fields.

    Attributes:
        name: Name of the data set.
        failures: Records that could not be used.
        notes: What is remarkable about the split, in sentences.
        rule: The rule of the split.
        domains: Names of the domains of the graphs.
        codes: For each file the part of each record, see :class:`~graphscore.data.rules.Recorded`.

    Raises:
        ValueError: If no graph has the fields, they differ in columns, or there is nothing to train on.
    """

    def __init__(
        self,
        name: str,
        origin: str,
        graphs: Iterable[OwnGraph | Failure],
        rule: Rule,
        fields: Sequence[str],
        transform: Transform | None,
    ) -> None:
        self.name, self.rule = name, rule
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self.domains: set[str] = set()
        self.codes: dict[str, bytes] = {}
        self._groups: dict[str, dict[str, list[Data]]] = {part: {} for part in PARTS}
        for part, group, graph, values in self._place(graphs, fields, origin):
            self._groups[part].setdefault(group, []).extend(with_fields(graph, [values], transform))
        if not any(self._groups.values()) and self.failures:
            missing = " and ".join(map(_named, fields))
            raise ValueError(f"No graph of {origin} has {missing}; the first failure: {self.failures[0]}")
        if not self._groups["train"]:
            raise ValueError(
                f"The split of {origin} ({rule.text}) leaves nothing to train on: too few different molecules or "
                "graphs; set fractions=(1, 0, 0) or another seed"
            )

    def _place(self, graphs: Iterable[OwnGraph | Failure], fields: Sequence[str], origin: str) -> Iterator[Placed]:
        """Check graphs and assign them to parts; keep what fails, what is remarkable, and the part of each record."""
        columns: dict[str, set[int]] = {name: set() for name in fields}
        codes: dict[str, bytearray] = {}
        shared = None if self.rule.separates else _Shared([*fields, "edge_index"])
        for own in graphs:
            if isinstance(own, Failure):
                self.failures.append(own)
                continue
            try:
                placed = place(own, self.rule, fields)
            except ValueError as error:
                self.failures.append(Failure(own.source, f"graph {own.number}", str(error)))
                continue
            if placed is None:
                continue
            self.domains.add(domain_of(own.graph).name)
            of_file = codes.setdefault(own.source, bytearray())
            of_file.extend(bytes(own.number - len(of_file)))
            of_file[own.number - 1] = 1 + PARTS.index(placed.part)
            for name, value in placed.values.items():
                columns[name].add(value.shape[1])
            if shared is not None:
                shared.add(own.graph, placed.part)
            yield placed
        self.codes = {source: bytes(code) for source, code in codes.items()}
        for name, found in columns.items():
            if len(found) > 1:
                raise ValueError(f"Expected one number of columns of {name} in {origin}, but found {sorted(found)}")
        self.notes += [*self.rule.finish(), *([] if shared is None else shared.notes())]

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        return self._groups[part].values()


def place(own: OwnGraph, rule: Rule, fields: Sequence[str]) -> Placed | None:
    """Check a graph, and find its part and group; ``None`` if the rule leaves it out.

    Raises:
        ValueError: If it lacks a field, a field is not as it must be, or the rule cannot assign it.
    """
    values = _values(own.graph, fields)
    part = rule.part(own)
    if part is None:
        return None
    group = own.group or resolve(domain_of(own.graph).group)(own.graph) or f"{own.source}:{own.number}"
    return Placed(part, group, _without(own.graph, fields), values)


def _named(field: str) -> str:
    return "coordinates (pos)" if field == "pos" else field


def _values(data: Data, fields: Sequence[str]) -> dict[str, Tensor]:
    """The fields of a graph."""
    values = {}
    for name in fields:
        value = data.get(name)
        if value is None:
            raise ValueError(f"it has no {_named(name)}, which training needs")
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} must be a tensor, but is a {type(value).__name__}")
        if value.dim() != 2 or not value.is_floating_point() or not bool(value.isfinite().all()):
            shape = f"finite real numbers {'[N, D]' if name == 'pos' else '[rows, columns]'}"
            raise ValueError(f"{name} must be {shape}, but is {value.dtype} {list(value.shape)}")
        values[name] = value
    return values


def _without(data: Data, fields: Sequence[str]) -> Data:
    """A copy of a graph without the fields, and without labels and notes, which not all graphs of a batch may have."""
    graph = copy.copy(data)
    graph.num_nodes = data.num_nodes  # PyG infers it from pos or x, which may be removed
    known = attributes()
    for key, value in data.to_dict().items():
        if key in fields or key == NOTES or (key in known and known[key].is_label) or isinstance(value, Mapping):
            del graph[key]
    return graph


class _Shared:
    """Count of graphs that two parts share: equal by the first split of their domain, or else in fields and edges."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = names
        self.keys: dict[str, dict[Part, Counter[bytes]]] = {}

    def add(self, graph: Data, part: Part) -> None:
        domain = domain_of(graph)
        what = next(iter(domain.splits), "graph")
        key = resolve(domain.splits[what])(graph) if domain.splits else ""
        hashed = hashlib.blake2b(key.encode(), digest_size=8).digest() if key else content_key(graph, self.names)
        self.keys.setdefault(what, {name: Counter() for name in PARTS})[part][hashed] += 1

    def notes(self) -> list[str]:
        notes = []
        for what, parts in self.keys.items():
            for first, second in combinations(PARTS, 2):
                num = sum(count for key, count in parts[second].items() if key in parts[first])
                if num:
                    of = parts[second].total()
                    notes.append(f"{num:,} of {of:,} graphs of {second} are in {first}, too: they are the same {what}")
        return notes


def content_key(graph: Data, names: Collection[str] | None = None) -> bytes:
    """Hash tensors of a graph, in the order of its nodes and edges, to 8 bytes.

    Args:
        graph: The graph.
        names: Attributes to take; by default all.
    """
    digest = hashlib.blake2b(str(graph.num_nodes).encode(), digest_size=8)
    for key, value in sorted(graph.to_dict().items()):
        if isinstance(value, Tensor) and (names is None or key in names):
            array = np.ascontiguousarray(value.detach().cpu().numpy())
            digest.update(f"|{key} {array.dtype} {array.shape}".encode())
            digest.update(array.data if array.size else b"")
    return digest.digest()
