"""Fields: the batch attributes that the diffusion process perturbs."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore import ops
from graphscore.runtime.reprs import options_of

Level = Literal["node", "edge", "graph"]

_AT_ONCE = 4096
"""Graphs that are measured together."""


def replace(batch: Batch, values: Mapping[str, Tensor]) -> Batch:
    """Return a shallow copy of a batch with some attributes replaced.

    Args:
        batch: Any PyG batch.
        values: New attributes by name.

    Returns:
        A batch that shares all other tensors with the given one.
    """
    out = copy.copy(batch)
    for name, value in values.items():
        out[name] = value
    return out


def check_batch(batch: Batch) -> Batch:
    """Check that an object is a PyG batch with a ``batch`` vector and a number of graphs.

    Args:
        batch: A batch from a PyG ``DataLoader`` or ``Batch.from_data_list``.

    Returns:
        The same batch.

    Raises:
        ValueError: If it has no ``batch`` vector, or neither ``ptr`` nor a stored number of graphs.
    """
    if not isinstance(batch, Batch) or getattr(batch, "batch", None) is None:
        raise ValueError(
            f"Expected a PyG Batch with a `batch` vector, but got {type(batch).__name__}; "
            "wrap single graphs by Batch.from_data_list([data])"
        )
    if getattr(batch, "ptr", None) is None and not hasattr(batch, "_num_graphs"):
        raise ValueError("The batch does not say how many graphs it has; build it by Batch.from_data_list or set `ptr`")
    return batch


def wrap(x: Tensor) -> Tensor:
    """Wrap angles to the range from -pi to pi; those within it stay the same to the bit.

    Args:
        x: Angles in radians, any shape.
    """
    return x - 2 * math.pi * torch.floor((x + math.pi) / (2 * math.pi))


@dataclass(frozen=True)
class Field:
    r"""An attribute of a batch that diffuses, with its level and scale.

    Values are divided by ``scale`` when they are read and multiplied by it at the end, so that processes and networks
    see data of unit standard deviation.

    Args:
        name: Attribute of the batch, e.g. ``"pos"`` or ``"x"``, of shape ``[rows, width]``.
        level: ``"node"``, ``"edge"`` or ``"graph"``: the level of the rows. Never inferred from sizes. Or the name of
            an attribute of node numbers ``[K, rows]``, such as ``"torsion_index"``: a row belongs to the graph of the
            nodes in its column. The name ends in ``"_index"``, so that PyG counts nodes on from graph to graph.
        scale: Standard deviation of the data, in data units.
        zero_mean: Whether each graph's rows are taken relative to their mean, as for coordinates of which translations
            are irrelevant. Data, noise, prior and steps then lie in the subspace of zero mean.
        width: Number of columns; needed only to sample for graphs that lack the attribute.
        periodic: Whether the values are angles in radians, which diffuse on the circle: values that differ by full
            turns are the same. Samples lie between -pi and pi. Takes a variance-exploding process, or the straight path
            for flow matching; see :mod:`graphscore.sdes.circle`.

    Raises:
        ValueError: If an argument is out of range.
    """

    name: str
    level: Level | str = "node"
    scale: float = 1.0
    zero_mean: bool = False
    width: int | None = None
    periodic: bool = False

    def __post_init__(self) -> None:
        if self.level not in ("node", "edge", "graph") and not self.level.endswith("_index"):
            raise ValueError(
                f"Field {self.name!r}: level must be 'node', 'edge' or 'graph', or the name of an attribute of node "
                f"numbers that ends in '_index', but is {self.level!r}"
            )
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise ValueError(f"Field {self.name!r}: scale must be positive and finite, but is {self.scale}")
        if self.zero_mean and self.level == "graph":
            raise ValueError(f"Field {self.name!r}: a graph-level field has one row per graph and cannot be zero-mean")
        if self.periodic and (self.zero_mean or self.scale != 1):
            raise ValueError(
                f"Field {self.name!r}: angles are in radians and have no mean: a periodic field needs scale=1 and "
                f"zero_mean=False, but they are {self.scale} and {self.zero_mean}"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([repr(self.name), *options_of(self, skip=('name',))])})"

    def index(self, batch: Batch) -> Tensor:
        """Return the graph number of each row: shape ``[rows]``, int64.

        Raises:
            ValueError: If the field belongs to edges, and the batch has none, or the attribute of node numbers is
                missing.
        """
        if self.level == "node":
            return batch.batch
        if self.level == "edge":
            if batch.edge_index is None:
                raise ValueError(f"Field {self.name!r} belongs to edges, but the batch has no edge_index [2, E]")
            return batch.batch[batch.edge_index[0]]
        if self.level != "graph":
            if self.level not in batch:
                raise ValueError(f"Field {self.name!r} belongs to {self.level!r}, but the batch has no such attribute")
            return batch.batch[batch[self.level][0]]
        return torch.arange(batch.num_graphs, device=batch.batch.device)

    def project(self, x: Tensor, index: Tensor, num_graphs: int) -> Tensor:
        """Project rows ``[rows, width]`` onto the field's space: subtract each graph's mean if ``zero_mean``."""
        return ops.center(x, index, num_graphs) if self.zero_mean else x

    def read(self, batch: Batch) -> Tensor:
        """Read the field from a batch of clean data: scaled and projected ``x0``, shape ``[rows, width]``.

        Raises:
            ValueError: If the attribute is missing, not a floating matrix, or has the wrong number of rows or columns.
        """
        check_batch(batch)
        x, index = self.values(batch)
        return self.wrap(self.project(x / self.scale, index, batch.num_graphs))

    def wrap(self, x: Tensor) -> Tensor:
        """Wrap the values of a periodic field to the range from -pi to pi; others are returned unchanged."""
        return wrap(x) if self.periodic else x

    def values(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the attribute unchanged, ``[rows, width]``, and the graph of each row, ``[rows]``.

        Raises:
            ValueError: If the attribute is missing, not a floating matrix, or has the wrong number of rows or columns.
        """
        x = batch.get(self.name)
        index = self.index(batch)
        if x is None:
            raise ValueError(f"The batch has no attribute {self.name!r}; it has {sorted(batch.keys())}")
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() != 2:
            got = f"{x.dtype} of shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"Field {self.name!r} must be a floating-point tensor [rows, width], but is {got}")
        if x.shape[0] != index.shape[0] or x.shape[1] != (self.width or x.shape[1]):
            raise ValueError(
                f"Field {self.name!r} ({self.level} level) must have shape "
                f"[{index.shape[0]}, {self.width or 'width'}], but has {list(x.shape)}"
            )
        return x, index

    def write(self, batch: Batch, x: Tensor) -> Batch:
        """Return a shallow copy of a batch with the field set, which ``to_data_list`` can split into graphs.

        Args:
            batch: A batch, with or without the field.
            x: Values, shape ``[rows, width]``.
        """
        out = replace(batch, {self.name: x})
        slices = getattr(batch, "_slice_dict", None)
        if slices is not None and self.name not in slices:
            # `to_data_list` silently leaves out attributes that PyG did not collate itself.
            ends = ops.count(self.index(batch), batch.num_graphs).cumsum(0).cpu()
            out._slice_dict = {**slices, self.name: torch.cat([ends.new_zeros(1), ends])}
            out._inc_dict = {**batch._inc_dict, self.name: torch.zeros_like(ends)}
        return out


def num_rows(graph: Data, level: str) -> int:
    """Count the rows that an attribute of a level has in a graph: one for each node, each edge, or the graph.

    Args:
        graph: A single graph.
        level: Level, see :class:`Field`; that of an attribute of node numbers has a row for each of its columns.

    Raises:
        ValueError: If the graph lacks the attribute of node numbers.
    """
    if level.endswith("_index"):
        if not isinstance(graph.get(level), Tensor):
            raise ValueError(f"it has no {level!r}, the node numbers that rows belong to")
        return graph[level].shape[-1]
    return {"node": graph.num_nodes or 0, "edge": graph.num_edges, "graph": 1}[level]


def measure_scale(items: Sequence[Data], name: str, zero_mean: bool = False) -> float:
    """Measure the scale of an attribute: its root mean square over all rows and columns of the given graphs.

    Args:
        items: Clean graphs.
        name: Attribute ``[rows, width]``.
        zero_mean: Whether rows are taken relative to their graph's mean.

    Returns:
        The root mean square, in data units: the ``scale`` of a :class:`Field`, their standard deviation if centered.

    Raises:
        ValueError: If the attribute is missing somewhere, or does not vary.
    """
    total, entries = 0.0, 0
    for values, counts in rows_of(items, name):
        values = values.double()
        if zero_mean:
            index = torch.arange(len(counts)).repeat_interleave(counts)
            values = ops.center(values, index, len(counts))
        total, entries = total + float(values.square().sum()), entries + values.numel()
    if not total > 0:
        raise ValueError(
            f"The scale of {name!r} cannot be measured: it does not vary over the {len(items)} graphs given"
        )
    return math.sqrt(total / entries)


def rows_of(items: Sequence[Data], name: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over an attribute of some thousand graphs at a time; of packed graphs, nothing else is read.

    Args:
        items: Graphs.
        name: Attribute.

    Yields:
        Values of the graphs, one after the other along the first dimension, and the number of rows of each graph.

    Raises:
        ValueError: If a graph lacks it.
    """
    read: Any = getattr(items, "rows", None)
    for start in range(0, len(items), _AT_ONCE):
        if read is not None:
            yield read(name, start, start + _AT_ONCE)
            continue
        values = []
        for number, item in enumerate(items[start : start + _AT_ONCE], start=start):
            if name not in item:
                raise ValueError(f"Graph {number} has no attribute {name!r}; it has {sorted(item.keys())}")
            values.append(item[name])
        yield torch.cat(values), torch.tensor([len(value) for value in values])
