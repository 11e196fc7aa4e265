"""Preparation of graphs for training: fields and transforms."""

from __future__ import annotations

import copy
import hashlib
import inspect
import pickle
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import Compose

from graphscore.attributes import NOTES
from graphscore.data.dataset import Transform, with_fields
from graphscore.domains import attributes


class UnknownTransformError(ValueError):
    """A transform cannot be told from others."""


class Preparation:
    """Preparation of a graph for training: it must have the fields, and is transformed without them.

    Labels, notes and mappings are left out, since not all graphs of a batch may have them.

    Args:
        fields: Names of the attributes ``[rows, columns]`` that each graph must have.
        transform: Applied to the graph before it gets the fields.
    """

    def __init__(self, fields: Sequence[str], transform: Transform | None = None) -> None:
        self.fields, self.transform = tuple(fields), transform

    def __call__(self, data: Data) -> Data:
        """Prepare a graph, which is not changed.

        Raises:
            ValueError: If it has not all fields, or the transform refuses it.
        """
        return with_fields(without(data, self.fields), [field_values(data, self.fields)], self.transform)[0]

    def describe(self) -> dict[str, Any]:
        """Describe the preparation in JSON; those with equal descriptions do the same.

        Raises:
            UnknownTransformError: If a transform cannot be told from others, since it cannot be pickled.
        """
        return {"fields": list(self.fields), "transforms": [_described(step) for step in self.steps]}

    @property
    def steps(self) -> list[Transform]:
        """The transforms one by one."""
        chain = self.transform.transforms if isinstance(self.transform, Compose) else [self.transform]
        return [step for step in chain if step is not None]


def _described(transform: Any) -> dict[str, str]:
    """Name of a transform, and a hash of its options and of its own code."""
    try:
        content = pickle.dumps(transform, protocol=4)
    except Exception as error:  # pickle raises errors of many types
        raise UnknownTransformError(f"The transform {transform!r} cannot be told from others: {error}") from error
    kind = transform if inspect.isfunction(transform) else type(transform)
    try:
        code = inspect.getsource(kind)
    except (OSError, TypeError):
        code = ""
    return {"name": repr(transform), "digest": hashlib.sha256(content + code.encode()).hexdigest()}


def named(field: str) -> str:
    """Name a field for a message."""
    return "coordinates (pos)" if field == "pos" else field


def field_values(data: Data, fields: Sequence[str]) -> dict[str, Tensor]:
    """Take the fields of a graph, in float32, as networks compute.

    Raises:
        ValueError: If one is missing, or not finite real numbers in rows and columns.
    """
    values = {}
    for name in fields:
        value = data.get(name)
        if value is None:
            raise ValueError(f"it has no {named(name)}, which training needs")
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} must be a tensor, but is a {type(value).__name__}")
        shape = f"finite real numbers {'[N, D]' if name == 'pos' else '[rows, columns]'}"
        if value.dim() != 2 or not value.is_floating_point():
            raise ValueError(f"{name} must be {shape}, but is {value.dtype} {list(value.shape)}")
        if not bool(value.isfinite().all()):
            num = int((~value.isfinite()).sum())
            raise ValueError(f"{name} must be {shape}, but {num} of {value.numel()} are infinite or NaN")
        values[name] = value.float()
    return values


def without(data: Data, fields: Sequence[str]) -> Data:
    """Copy a graph without the fields, and without labels and notes, which not all graphs of a batch may have."""
    graph = copy.copy(data)
    graph.num_nodes = data.num_nodes  # PyG infers it from pos or x, which may be removed
    known = attributes()
    for key, value in data.to_dict().items():
        if key in fields or key == NOTES or (key in known and known[key].is_label) or isinstance(value, Mapping):
            del graph[key]
    return graph


def content_key(graph: Data, names: Collection[str] | None = None) -> bytes:
    """Hash tensors of a graph, in the order of its nodes and edges, to 8 bytes.

    Args:
        graph: The graph.
        names: Attributes to take; by default all.
    """
    digest = hashlib.blake2b(str(graph.num_nodes).encode(), digest_size=8)
    for key, value in sorted(graph.to_dict().items()):
        if isinstance(value, Tensor) and (names is None or key in names):
            digest.update(f"|{key} {value.dtype} {list(value.shape)}".encode())
            if value.numel():  # as bytes: NumPy lacks some types
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()
