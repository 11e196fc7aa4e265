"""Collation of graphs into batches, and splitting of sampled fields by graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.data.data import BaseData

from graphscore import ops
from graphscore.fields import Field


def collate(graphs: Sequence[Data]) -> Batch:
    """Collate graphs into a batch with the tensors that all of them have."""
    shared = set.intersection(*(set(graph.keys()) for graph in graphs))
    tensors: list[BaseData] = [
        Data.from_dict({key: graph[key] for key in shared if isinstance(graph[key], Tensor) or key == "num_nodes"})
        for graph in graphs
    ]
    return Batch.from_data_list(tensors)


def split_fields(batch: Batch, fields: Iterable[Field]) -> list[dict[str, Tensor]]:
    """Split the fields of a batch by graph: tensors on the CPU by name, for each graph."""
    values: list[dict[str, Tensor]] = [{} for _ in range(batch.num_graphs)]
    for field in fields:
        rows = ops.count(field.index(batch), batch.num_graphs).tolist()
        for place, part in zip(values, batch[field.name].cpu().split(rows), strict=True):
            place[field.name] = part
    return values
