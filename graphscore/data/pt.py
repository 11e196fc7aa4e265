"""Reading and writing of graphs as PyTorch files, ``.pt``, without running code from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage

from graphscore.data.consistency import check_graph
from graphscore.data.readers import Record


def read_pt(path: Path) -> Iterator[Record]:
    """Read a ``.pt`` file: a PyG graph, a dict of its attributes, or a list of them.

    Raises:
        ValueError: If the file holds anything else.
    """
    content = _load(path)
    for number, value in enumerate(content if isinstance(content, list) else [content]):
        yield f"graph {number}", lambda value=value: check_graph(value)


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([Data, DataEdgeAttr, DataTensorAttr, GlobalStorage]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, PyTorch raises errors of many types, without a list of them
        reason = str(error).splitlines()[0] if str(error) else ""
        kind = "" if isinstance(error, UnpicklingError | RuntimeError) and reason else f"{type(error).__name__}: "
        raise ValueError(
            f"Cannot read {path}: expected tensors in plain dicts, or PyG Data, saved by torch.save ({kind}{reason})"
        ) from error


def record(item: Data) -> dict[str, Any]:
    """Convert a graph to a plain dict for a file.

    Raises:
        ValueError: If an attribute holds anything but tensors, numbers and strings.
    """
    return {key: _plain(key, value) for key, value in item.to_dict().items()}


def save(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the records of graphs to a file, as a list."""
    torch.save(list(records), path)


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()  # of a view, torch.save would write the whole storage
    if isinstance(value, dict):
        return {name: _plain(f"{key}.{name}", part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(key, part) for part in value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ValueError(f"Attribute {key!r} is a {type(value).__name__}; a .pt file holds tensors, numbers and strings")
