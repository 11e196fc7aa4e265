"""Check of data before training: everything that would stop or spoil it at once, with counts and places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore.attributes import NOTES as NOTES_OF_READERS
from graphscore.data.dataset import Dataset, Transform
from graphscore.data.own.dataset import OwnDataset, Shared
from graphscore.data.own.files import by_part, read_own
from graphscore.data.own.packed import own_graphs
from graphscore.data.own.rules import ByPart, Rule, make_rule
from graphscore.data.own_graph import OwnGraph
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.packed.index import is_packed
from graphscore.data.preparation import Preparation, content_key, field_values
from graphscore.data.readers import Failure
from graphscore.data.sources import find_files
from graphscore.data.split import FRACTIONS, PARTS, Part
from graphscore.data.writers import check_output, write_json
from graphscore.experiment.build import build_model, build_transform
from graphscore.experiment.config.schema import Config
from graphscore.experiment.data_check.expected_memory import expected_memory
from graphscore.experiment.data_check.figures import FieldFigures, Sizes, part_faults
from graphscore.experiment.data_check.graph_faults import NOTES, SPOILS, STOPS, Fault, network_faults, structure_faults
from graphscore.experiment.data_check.kinds import Kinds
from graphscore.experiment.datasets import build_dataset, wanted_fields
from graphscore.nn.edges.search import Search, count_edges, searches_of

POS, X = "pos", "x"
_NUM_MEASURED = 50


def check_data(
    data: Path | Mapping[str, Path] | Config,
    out: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Check the graphs of files, or the data set of a configuration and whether its network can take the graphs.

    Args:
        data: File, folder or pattern, or one for each part, whose positions ``pos`` or features ``x`` are checked as
            the field; or the configuration of a run.
        out: File for the report, ``*.json``.
        progress: Called with (records done, ``None``).

    Returns:
        ``data``, its name; ``rule`` of the split; ``parts``: numbers of graphs, and sums and quantiles of their nodes
        and edges; ``fields``: columns, mean, standard deviation, scale and range of each; ``largest``: the graph with
        the most nodes, the most edges on which the network works for a graph, and the ``memory`` of training, see
        :func:`~graphscore.experiment.data_check.expected_memory.expected_memory`; and the faults that would stop
        (``stops``) or spoil (``spoils``) training, and what is remarkable (``notes``), each a list of ``kind``,
        ``count``, ``places``, ``example``; ``fit``: whether nothing stops or spoils.

    Raises:
        FileNotFoundError: If there are no such files.
        ValueError: If nothing can be read, the configuration cannot be built, or the report cannot be written.
    """
    out = None if out is None else check_output(out, [".json"])
    if isinstance(data, Config):
        name, (graphs, rule, notes) = data.data.dataset.name, _of_config(data)
        check = _Check(rule, wanted_fields(data), _transform(data), data, _searches(data))
    else:
        paths = by_part(data)
        name, graphs, notes = " and ".join(map(str, paths.values())), _of_files(paths), ()
        check = _Check(rule := make_rule(None, FRACTIONS, 0, list(paths)))
    for done, own in enumerate(graphs, start=1):
        check.add(own)
        if progress is not None:
            progress(done, None)
    report = {"data": name, "rule": rule.text, **check.report(notes)}
    if out is not None:
        write_json(report, out)
    return report


def _of_config(config: Config) -> tuple[Iterable[OwnGraph | Failure], Rule, Sequence[str]]:
    """The graphs of the data set of a configuration, the rule of their split, and notes on it."""
    component = config.data.dataset
    if component.name == "files":
        options = component.options
        paths = by_part(options.get("path", ""))
        fractions = options.get("fractions", FRACTIONS)
        rule = make_rule(options.get("split"), fractions, options.get("seed", 0), list(paths))
        return _of_files(paths), rule, ()
    dataset = build_dataset(config, transformed=False)
    as_given = ByPart()
    own = dataset if isinstance(dataset, OwnDataset) else None
    as_given.text = "of the data set" if own is None else own.rule.text
    return _of_dataset(dataset), as_given, () if own is None else own.notes


def _of_files(paths: Mapping[Part | None, Path]) -> Iterable[OwnGraph | Failure]:
    if stores := _stores(paths):
        return chain.from_iterable(own_graphs(store, part, str(store.path)) for part, store in stores.items())
    return read_own(paths, {part: find_files(path) for part, path in paths.items()})


def _stores(paths: Mapping[Part | None, Path]) -> dict[Part | None, PackedGraphs]:
    """Packed graphs of each part; empty if a path is of other files."""
    return {part: PackedGraphs(path) for part, path in paths.items()} if all(map(is_packed, paths.values())) else {}


def _transform(config: Config) -> Transform | None:
    """The transform of a configuration; ``None`` if its graphs were packed with one."""
    component = config.data.dataset
    paths = by_part(component.options.get("path", "")) if component.name == "files" else {}
    packed = any(store.prepared is not None for store in _stores(paths).values())
    return None if packed else build_transform(config)


def _of_dataset(dataset: Dataset) -> Iterator[OwnGraph | Failure]:
    yield from getattr(dataset, "failures", ())
    for part in PARTS:
        number = 0
        for group in dataset.groups(part):
            first = number
            for graph in group:
                number += 1
                yield OwnGraph(graph, dataset.name, number, f"{part}:{number}", part, f"{part}:{first}")


def _searches(config: Config) -> list[Search]:
    fields = tuple(one.model_copy(update={"scale": 1.0}) for one in config.fields)
    return searches_of(build_model(config.model_copy(update={"fields": fields})))


@dataclass
class _Check:
    """Check of graphs, one by one.

    Args:
        rule: Assigns them to parts.
        fields: The fields; by default ``pos`` or ``x``, whichever the first graph has.
        transform: Transform of the configuration.
        config: The configuration.
        searches: The searches for edges of its network.
    """

    rule: Rule
    fields: Sequence[str] = ()
    transform: Transform | None = None
    config: Config | None = None
    searches: Sequence[Search] = ()
    kinds: dict[str, Kinds] = field(default_factory=lambda: {weight: Kinds() for weight in (STOPS, SPOILS, NOTES)})
    sizes: dict[str, Sizes] = field(default_factory=lambda: {part: Sizes() for part in PARTS})
    figures: dict[str, FieldFigures] = field(default_factory=dict)
    contents: dict[bytes, str] = field(default_factory=dict)
    largest: dict[str, Any] = field(default_factory=lambda: {"nodes": -1, "network_edges": -1})
    shared: Shared | None = None
    # Some graphs and the one on which the network works most, to measure its memory.
    measured: list[Data] = field(default_factory=list)

    def add(self, own: OwnGraph | Failure) -> None:
        """Check a graph; what cannot be read, or used, spoils the training without it."""
        if isinstance(own, Failure):
            self.kinds[SPOILS].add(f"{own.source}, {own.location}", f"not readable: {own.reason}")
            return
        place = f"graph {own.place}"
        for note in own.graph.get(NOTES_OF_READERS) or ():
            self.kinds[NOTES].add(place, note)
        try:
            self._begin(own.graph)
            values = field_values(own.graph, self.fields)
            part = self.rule.part(own)
            graph = Preparation(self.fields, self.transform)(own.graph)
        except ValueError as error:
            self.kinds[SPOILS].add(place, str(error))
            return
        if part is None:
            self.kinds[NOTES].add(place, "it is in no part")
            return
        for name, value in values.items():
            self.figures[name].add(value)
        positions = self.config.network.positions if self.config is not None else POS if POS in self.fields else None
        faults = [*structure_faults(own.graph, positions)]
        if self.config is not None:
            faults += network_faults(graph, self.config)
        self._add(faults, place)
        self._count(own, graph, part, place)

    def _begin(self, graph: Data) -> None:
        """Decide on the fields by the first graph."""
        if not self.fields:
            self.fields = [POS] if POS in graph or X not in graph else [X]
        if not self.figures:
            given = () if self.config is None else self.config.fields
            centered = {one.name: one.zero_mean for one in given}
            self.figures = {name: FieldFigures(centered.get(name, name == POS)) for name in self.fields}
            self.shared = Shared([*self.fields, "edge_index"])

    def _count(self, own: OwnGraph, graph: Data, part: Any, place: str) -> None:
        num_nodes, num_edges = graph.num_nodes or 0, graph.num_edges
        self.sizes[part].add(num_nodes, num_edges)
        edges = count_edges(self.searches, num_nodes, num_edges)
        if num_nodes > self.largest["nodes"]:
            self.largest |= {"graph": place, "nodes": num_nodes, "edges": num_edges}
        if edges > self.largest["network_edges"]:
            self.largest["network_edges"] = edges
            self.measured.insert(0, graph)
        elif part == "train" and len(self.measured) < _NUM_MEASURED:
            self.measured.append(graph)
        del self.measured[_NUM_MEASURED:]
        before = self.contents.setdefault(content_key(own.graph, [*self.fields, "edge_index"]), place)
        if before != place:
            self.kinds[NOTES].add(place, f"it is equal to {before!r}")
        if self.shared is not None:
            self.shared.add(own, part)

    def _add(self, faults: Iterable[Fault], place: str) -> None:
        for weight, sentence in faults:
            self.kinds[weight].add(place, sentence)

    def report(self, notes: Iterable[str]) -> dict[str, Any]:
        """Report all figures and faults, and notes on the split; those of the data as a whole have no places."""
        for note in notes:
            self.kinds[NOTES].add("", note)
        for weight, sentence in self._of_whole():
            self.kinds[weight].add("", sentence)
        if self.config is not None and self.measured and not self.kinds[STOPS].table():
            self.largest["memory"] = memory = expected_memory(self.config, self.measured)
            if memory["largest"] > memory["free"]:
                self.kinds[STOPS].add("", "the largest graph does not fit into memory; see training.max_nodes")
        faults = {weight: kinds.table() for weight, kinds in self.kinds.items()}
        for entry in (entry for table in faults.values() for entry in table):
            entry["places"] = [place for place in entry["places"] if place]
        return {
            "parts": {part: sizes.report() for part, sizes in self.sizes.items()},
            "fields": {name: figures.report() for name, figures in self.figures.items()},
            "largest": self.largest if self.largest["nodes"] >= 0 else None,
            **faults,
            "fit": not faults[STOPS] and not faults[SPOILS],
        }

    def _of_whole(self) -> Iterator[Fault]:
        yield from part_faults(self.sizes)
        if self.config is not None and not self.searches and not any(any(sizes.edges) for sizes in self.sizes.values()):
            yield NOTES, "no graph has edges, and the network searches for none: most networks learn nothing then"
        fields = () if self.config is None else self.config.fields
        scales = {one.name: one.scale for one in fields if not one.periodic}  # angles have none
        for name, figures in self.figures.items():
            scale = scales.get(name)
            yield from figures.faults(name, None if isinstance(scale, str) else scale)
        for note in () if self.shared is None else self.shared.notes():
            yield SPOILS, note
        try:
            notes = self.rule.finish()
        except ValueError as error:
            yield STOPS, str(error)
        else:
            for note in notes:
                yield NOTES, note
