"""Data set from graphs in Python: lists, data sets of PyG, or the parts of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch_geometric.data import Batch, Data

from graphscore.data.consistency import check_graph
from graphscore.data.dataset import Dataset, Transform
from graphscore.data.own.dataset import OwnDataset
from graphscore.data.own.rules import make_rule
from graphscore.data.own_graph import OwnGraph
from graphscore.data.preparation import content_key
from graphscore.data.readers import Failure
from graphscore.data.split import FRACTIONS, PARTS, Part

GIVEN = "given"


class GivenDataset(OwnDataset):
    """Data set of graphs that were given in Python, to :func:`graphscore.train_model`.

    The graphs themselves are not changed. Splits and groups are those of
    :class:`~graphscore.data.own.files.FileDataset`.

    Args:
        data: Graphs: a list of ``Data``, a data set of PyG, or a :class:`~graphscore.data.dataset.Dataset`; or one for
            each part, ``{"train": ..., "val": ..., "test": ...}``.
        seed: Seed of the split.
        fractions: Expected shares of train, val and test.
        transform: Applied once to each graph, before it gets the fields.
        split: See :class:`~graphscore.data.own.files.FileDataset`.
        fields: Names of the attributes ``[rows, columns]`` that each graph must have.

    Attributes:
        name: ``"given"``.
        failures: Graphs that could not be used.
        notes: What is remarkable about the split.

    Raises:
        ValueError: If there are no graphs, no graph has the fields, they differ in columns, there is no such split, or
            it leaves nothing to train on.
    """

    def __init__(
        self,
        data: Any = None,
        seed: int = 0,
        fractions: Sequence[float] = FRACTIONS,
        transform: Transform | None = None,
        split: str | Mapping[str, str] | None = None,
        fields: Sequence[str] = ("pos",),
    ) -> None:
        if data is None:
            raise ValueError(
                "The graphs of this run were given in Python, and no file has them: give them again, by "
                "train_model(..., data=...)"
            )
        parts = _by_part(data)
        self._digests: dict[str, str] = {}
        rule = make_rule(split, fractions, seed, list(parts))
        super().__init__(GIVEN, "the given data", self._graphs(parts), rule, fields, transform)

    def _graphs(self, parts: Mapping[Part | None, Iterable[Sequence[Any]]]) -> Iterator[OwnGraph | Failure]:
        for part, groups in parts.items():
            source, number, digest = part or "data", 0, hashlib.sha256()
            for count, group in enumerate(groups):
                for value in group:
                    number += 1
                    try:
                        graph = _copied(value)
                    except ValueError as error:
                        yield Failure(source, f"graph {number}", str(error))
                        continue
                    digest.update(content_key(graph))
                    place = str(number) if part is None else f"{part}:{number}"
                    key = f"{source}:{count}" if len(group) > 1 else ""
                    yield OwnGraph(graph, source, number, place, part, key)
            self._digests[source] = digest.hexdigest()

    def digests(self) -> dict[str, str]:
        """Hash the tensors of all graphs, for each list."""
        return self._digests


def _by_part(data: Any) -> dict[Part | None, Iterable[Sequence[Any]]]:
    """Sort given graphs by part, each in groups; ``None`` stands for all parts."""
    if isinstance(data, Dataset):
        return {part: data.groups(part) for part in PARTS}
    if not isinstance(data, Mapping):
        return {None: _groups(data)}
    if "train" not in data or not data.keys() <= set(PARTS):
        raise ValueError(f"Expected graphs, or those of train, val and test, but got {sorted(map(str, data))}")
    parts: dict[Part | None, Iterable[Sequence[Any]]] = {part: _groups(data[part]) for part in PARTS if part in data}
    return parts


def _groups(graphs: Any) -> Iterable[Sequence[Any]]:
    if isinstance(graphs, Batch):
        graphs = graphs.to_data_list()
    if isinstance(graphs, Data | Mapping | str | bytes) or not (
        isinstance(graphs, Iterable) or hasattr(graphs, "__getitem__")
    ):
        raise ValueError(
            f"Expected graphs, such as a list of PyG Data or a data set of PyG, but got {type(graphs).__name__}"
        )
    return ([graph] for graph in graphs)


def _copied(value: Any) -> Data:
    """Check a graph, and copy it as plain ``Data``.

    Raises:
        ValueError: If it is none, or of a class that batches it in its own way.
    """
    if isinstance(value, Data):
        kind = type(value)
        if kind.__inc__ is not Data.__inc__ or kind.__cat_dim__ is not Data.__cat_dim__:
            raise ValueError(f"{kind.__name__} has its own __inc__ or __cat_dim__, but graphs are batched as Data")
        value = value.to_dict()
    return check_graph(dict(value) if isinstance(value, Mapping) else value)
