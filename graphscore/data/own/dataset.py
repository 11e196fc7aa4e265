"""Own graphs as a data set: what they must have, the part that each goes to, and what two parts have in common."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from typing import Any, NamedTuple

from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Transform, check_part
from graphscore.data.own.packed import PreparedGraphs
from graphscore.data.own.rules import Rule
from graphscore.data.own_graph import OwnGraph
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.preparation import named
from graphscore.data.readers import Failure
from graphscore.data.split import PARTS, Part


class Placed(NamedTuple):
    """A graph with its part and group.

    Attributes:
        own: The graph.
        part: The part.
        group: Key of the group; graphs of a part with equal keys share the inputs of the model.
        columns: Number of columns of each field.
    """

    own: OwnGraph
    part: Part
    group: str
    columns: dict[str, int]


class OwnDataset(Dataset):
    """Data set of a user's graphs, checked, and split by a rule.

    Args:
        name: Name of the data set.
        origin: What the graphs come from, for messages, such as the path of a file.
        graphs: The graphs, and failures in place of those that could not be read.
        rule: Assigns graphs to parts.
        fields: Names of the attributes ``[rows, columns]`` that each graph must have.
        transform: Applied once to each graph, before it gets the fields.
        packed: For each part the packed graphs, of which ``graphs`` then gives the numbers.

    Attributes:
        name: Name of the data set.
        failures: Records that could not be used.
        notes: What is remarkable about the split, in sentences.
        rule: The rule of the split.
        domains: Names of the domains of the graphs.
        codes: For each file the part of each record, see :class:`~graphscore.data.own.rules.Recorded`.

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
        packed: Mapping[Part, PackedGraphs | PreparedGraphs] | None = None,
    ) -> None:
        self.name, self.rule, self._packed = name, rule, packed
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self.domains: set[str] = set()
        self.codes: dict[str, bytes] = {}
        self._groups: dict[str, dict[str, list[Any]]] = {part: {} for part in PARTS}
        for own, part, group, _ in self._place(graphs, fields, origin):
            self._groups[part].setdefault(group, []).append(own.prepared(fields, transform))
        if not any(self._groups.values()) and self.failures:
            missing = " and ".join(map(named, fields))
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
        shared = None if self.rule.separates else Shared([*fields, "edge_index"])
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
            self.domains.add(own.domain.name)
            of_file = codes.setdefault(own.source, bytearray())
            of_file.extend(bytes(own.number - len(of_file)))
            of_file[own.number - 1] = 1 + PARTS.index(placed.part)
            for name, number in placed.columns.items():
                columns[name].add(number)
            if shared is not None:
                shared.add(own, placed.part)
            yield placed
        self.codes = {source: bytes(code) for source, code in codes.items()}
        for name, found in columns.items():
            if len(found) > 1:
                raise ValueError(f"Expected one number of columns of {name} in {origin}, but found {sorted(found)}")
        self.notes += [*self.rule.finish(), *([] if shared is None else shared.notes())]

    def _part_groups(self, part: Part) -> Iterable[Sequence[Data]]:
        groups = self._groups[part].values()
        return groups if self._packed is None else (self._packed[part].select(group) for group in groups)

    def size(self, part: Part) -> tuple[int, int]:
        """Count the graphs and the groups of a part."""
        sizes = list(map(len, self._groups[check_part(part)].values()))
        return sum(sizes), len(sizes)

    def split(self, part: Part) -> Sequence[Data]:
        """Return all graphs of a part, group by group; packed ones are read when they are asked for."""
        if self._packed is None:
            return super().split(part)
        return self._packed[check_part(part)].select(list(chain.from_iterable(self._groups[part].values())))


def place(own: OwnGraph, rule: Rule, fields: Sequence[str]) -> Placed | None:
    """Check a graph, and find its part and group; ``None`` if the rule leaves it out.

    Raises:
        ValueError: If it lacks a field, a field is not as it must be, or the rule cannot assign it.
    """
    columns = own.columns(fields)
    part = rule.part(own)
    return None if part is None else Placed(own, part, own.group_key or f"{own.source}:{own.number}", columns)


class Shared:
    """Count of graphs that two parts share: equal by the first split of their domain, or else in some attributes.

    Args:
        names: The attributes, such as fields and edges.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.names = names
        self.keys: dict[str, dict[Part, Counter[bytes]]] = {}

    def add(self, own: OwnGraph, part: Part) -> None:
        """Add a graph."""
        what = next(iter(own.domain.splits), "graph")
        key = own.split_key(what) if own.domain.splits else ""
        hashed = hashlib.blake2b(key.encode(), digest_size=8).digest() if key else own.content(self.names)
        self.keys.setdefault(what, {name: Counter() for name in PARTS})[part][hashed] += 1

    def notes(self) -> list[str]:
        """Say how many graphs of a part are in another part, too."""
        notes = []
        for what, parts in self.keys.items():
            for first, second in combinations(PARTS, 2):
                num = sum(count for key, count in parts[second].items() if key in parts[first])
                if num:
                    of = parts[second].total()
                    notes.append(f"{num:,} of {of:,} graphs of {second} are in {first}, too: they are the same {what}")
        return notes
