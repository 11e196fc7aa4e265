"""Graphs read together from packed ones, and their batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore.data.packed.columns import AS_JSON, Decoder, decode, joined

_SIZED = {"num_nodes", "x", "pos", "edge_index"}
"""Attributes one of which tells PyG the number of nodes of a graph."""


class Pieces(NamedTuple):
    """Stored entries of values with the same decoder.

    Attributes:
        decoder: How to decode them.
        places: Place of the graph of each value.
        parts: Stored entries of each value.
        shapes: Shape of each value, where it is stored.
    """

    decoder: Decoder
    places: list[int]
    parts: list[NDArray[Any]]
    shapes: list[list[int]]


class GatheredGraphs(Sequence[Data]):
    """Graphs that were read together; they are made when the first is asked for, and a batch without making them.

    Args:
        pieces: Values of all attributes.
        num_nodes: Number of nodes of each graph ``[G]``.
    """

    def __init__(self, pieces: Sequence[Pieces], num_nodes: NDArray[np.int64]) -> None:
        self.pieces, self.num_nodes = pieces, num_nodes

    @cached_property
    def _graphs(self) -> list[Data]:
        graphs = [Data() for _ in range(len(self))]
        # Setting attributes one by one takes three times as long as this, which does the same for plain values.
        attributes = [graph._store._mapping for graph in graphs]
        for decoder, places, parts, shapes in self.pieces:
            for place, value in zip(places, decode(decoder, parts, shapes), strict=True):
                attributes[place][decoder.name] = value
        return graphs

    def __len__(self) -> int:
        return len(self.num_nodes)

    @overload
    def __getitem__(self, index: int) -> Data: ...

    @overload
    def __getitem__(self, index: slice) -> list[Data]: ...

    def __getitem__(self, index: int | slice) -> Data | list[Data]:
        return self._graphs[index]

    def __iter__(self) -> Iterator[Data]:
        return iter(self._graphs)

    def rows(self, name: str) -> tuple[Tensor, Tensor]:
        """Join the values of a tensor attribute along their first dimension.

        Returns:
            The values, and the number of rows of each graph.

        Raises:
            ValueError: If a graph lacks it, or the values differ in more than their rows.
        """
        found = [pieces for pieces in self._in_order() if pieces.decoder.name == name]
        if len(found) == 1 and len(found[0].parts) == len(self) and found[0].decoder.kind == "tensor":
            decoder, _, parts, _ = found[0]
            if decoder.layout == "ragged" and decoder.dim == 0:
                return joined(decoder, parts), torch.tensor([len(part) for part in parts])
            if decoder.layout == "stacked" and decoder.shape:
                return joined(decoder, parts).flatten(0, 1), torch.full((len(self),), decoder.shape[0])
        for number, graph in enumerate(self):
            if name not in graph:
                raise ValueError(f"Graph {number} has no attribute {name!r}; it has {sorted(graph.keys())}")
        values = [graph[name] for graph in self]
        return torch.cat(values), torch.tensor([len(value) for value in values])

    def batch(self) -> Batch:
        """Join the graphs to the batch that ``Batch.from_data_list`` makes of them; see :func:`collate`."""
        found = [_join(pieces, self.num_nodes) for pieces in self._in_order()] if self._is_uniform() else [None]
        if None in found:
            return _joined_by_pyg(list(self))
        batch = Batch(_base_cls=Data)
        attributes = batch._store._mapping
        batch._num_graphs, batch._slice_dict, batch._inc_dict = len(self), {}, {}
        for joint in found:
            assert joint is not None
            attributes[joint.name] = joint.value
            if joint.name == "num_nodes":
                batch._store._num_nodes = self.num_nodes.tolist()
                continue
            batch._slice_dict[joint.name], batch._inc_dict[joint.name] = joint.slices, joint.increments
        counts = torch.from_numpy(self.num_nodes)
        attributes["batch"] = torch.arange(len(self)).repeat_interleave(counts)
        attributes["ptr"] = _starts(counts)
        return batch

    def _is_uniform(self) -> bool:
        """Tell whether all graphs have the same attributes, decoded alike, and known sizes."""
        names = {pieces.decoder.name for pieces in self.pieces}
        everywhere = all(len(pieces.places) == len(self) for pieces in self.pieces)
        return len(names) == len(self.pieces) and everywhere and bool(names & _SIZED)

    def _in_order(self) -> Iterator[Pieces]:
        """The values in the order of the graphs."""
        for decoder, places, parts, shapes in self.pieces:
            order = np.argsort(places).tolist()
            yield Pieces(decoder, order, [parts[place] for place in order], shapes)


def collate(graphs: Sequence[Data]) -> Batch:
    """Make a batch of graphs, as PyG's loader does; of those read from packed ones in a fraction of the time.

    Attributes that only some of the graphs have are left out.
    """
    return graphs.batch() if isinstance(graphs, GatheredGraphs) else _joined_by_pyg(list(graphs))


def _joined_by_pyg(graphs: Sequence[Data]) -> Batch:
    names = [set(graph.keys()) for graph in graphs]
    partial = set.union(*names) - set.intersection(*names) - {"num_nodes"}
    return Batch.from_data_list(list(graphs), exclude_keys=sorted(partial))


class _Joint(NamedTuple):
    """An attribute of a batch, with the slices and increments of its graphs."""

    name: str
    value: Any
    slices: Tensor | None
    increments: Tensor | None


def _join(pieces: Pieces, num_nodes: NDArray[np.int64]) -> _Joint | None:
    """Join the values of an attribute as PyG does; ``None`` where its rules are not those of here."""
    decoder, _, parts, shapes = pieces
    name, count = decoder.name, len(parts)
    if decoder.kind in AS_JSON or decoder.layout == "flat" or "batch" in name or "adj" in name or name == "ptr":
        return None
    if decoder.kind == "text":
        return _Joint(name, list(decode(decoder, parts, shapes)), torch.arange(count + 1), None)
    value, probe = joined(decoder, parts), Data(num_nodes=2)
    increment = probe.__inc__(name, value)
    if name == "num_nodes":
        return _Joint(name, int(num_nodes.sum()), None, None) if decoder.kind == "int" else None
    nodes = torch.from_numpy(num_nodes)
    increments = _starts(nodes)[:-1] if increment else torch.zeros(count, dtype=torch.int64)
    if decoder.kind != "tensor":
        value = value.to(torch.get_default_dtype()) if decoder.kind == "float" else value
        return None if increment else _Joint(name, value, torch.arange(count + 1), increments)
    dims = len(decoder.shape) + (decoder.layout == "ragged")
    along = probe.__cat_dim__(name, value)
    along = along % dims if dims else 0
    if decoder.layout == "stacked":
        size = decoder.shape[along] if dims else 1
        sizes = torch.full((count,), size, dtype=torch.int64)
        value = value.movedim(0, along).flatten(along, along + 1) if dims else value
    elif along != decoder.dim:
        return None
    else:
        sizes = torch.tensor([len(part) for part in parts])
        value = value.movedim(0, along).contiguous()
    if increment:
        value = value + increments.repeat_interleave(sizes).reshape(-1, *[1] * (dims - along - 1))
    return _Joint(name, value, _starts(sizes), increments)


def _starts(counts: Tensor) -> Tensor:
    """Sums of all counts before each, and of all."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
