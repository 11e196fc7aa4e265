"""Reading and writing of graphs as PyTorch files, ``.pt``, without running code from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.separate import separate
from torch_geometric.data.storage import GlobalStorage

from graphscore.data.consistency import check_graph
from graphscore.data.readers import Record


class _Batched:
    """Stand-in for a PyG ``Batch`` in a file, which becomes a graph with the slices of its parts.

    A ``Batch`` is stored as a call of ``DynamicInheritanceGetter()`` with the classes ``Batch`` and ``Data``. With this
    class in the place of the first two, nothing but ``Data`` is made.
    """

    def __new__(cls, *classes: Any) -> Any:
        return Data() if classes else cls


_SAFE = [Data, DataEdgeAttr, DataTensorAttr, GlobalStorage]
_BATCHED = [(_Batched, f"torch_geometric.data.batch.{name}") for name in ("DynamicInheritanceGetter", "Batch")]


def read_pt(path: Path) -> Iterator[Record]:
    """Read a ``.pt`` file: a PyG graph, a dict of its attributes, a list of them, or many graphs in one.

    The last is a ``Batch``, or what ``InMemoryDataset.save`` writes: a collated graph and the slices of its attributes.

    Raises:
        ValueError: If the file holds anything else.
    """
    content = _load(path)
    batched = _of_batch(content)
    if batched is not None:
        yield from _separated(content, *batched, path)
    elif isinstance(content, tuple) and len(content) >= 2 and isinstance(content[1], Mapping):
        collated, slices = content[:2]
        if isinstance(collated, dict) and all(isinstance(key, str) for key in collated):
            collated = Data(**collated)
        yield from _separated(collated, slices, None, path)
    else:
        graphs = content if isinstance(content, (list, tuple)) else [content]
        for number, value in enumerate(graphs, start=1):
            yield f"graph {number}", lambda value=value: check_graph(value)


def _of_batch(content: Any) -> tuple[Any, Any] | None:
    """Slices and increments of a ``Batch``, which PyG keeps beside the attributes; ``None`` for any other content."""
    store = content.__dict__.get("_store") if isinstance(content, Data) else None
    hidden = getattr(store, "__dict__", {})
    return (hidden["_slice_dict"], hidden.get("_inc_dict")) if "_slice_dict" in hidden else None


def _separated(collated: Any, slices: Any, increments: Any, path: Path) -> Iterator[Record]:
    """The graphs of a collated one, see :func:`torch_geometric.data.separate.separate`."""
    plain = (
        [value for value in slices.values() if not isinstance(value, Mapping)] if isinstance(slices, Mapping) else []
    )
    if not isinstance(collated, Data) or not plain or not all(isinstance(v, Tensor) and v.dim() == 1 for v in plain):
        raise ValueError(f"Expected a collated graph and the slices of its attributes in {path}, but they do not fit")
    if unknown := set(collated.keys()) - slices.keys() - {"num_nodes", "batch", "ptr"}:
        raise ValueError(f"The collated graph of {path} has no slices of {sorted(unknown)}")
    slices = {key: value for key, value in slices.items() if key in collated}

    def make(number: int) -> Data:
        decrement = increments is not None
        try:
            return check_graph(separate(Data, collated, number, slices, increments, decrement=decrement))
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its slices do not fit the collated graph ({type(error).__name__}: {error})") from error

    counts = {len(value) - 1 for value in plain}
    if len(counts) != 1:
        raise ValueError(f"The slices of the attributes in {path} are of different numbers of graphs: {sorted(counts)}")
    for number in range(counts.pop()):
        yield f"graph {number + 1}", lambda number=number: make(number)


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([*_SAFE, *_BATCHED]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, PyTorch raises errors of many types, without a list of them
        reason = str(error).splitlines()[0].partition(". ")[0] if str(error) else ""  # not advice to run its code
        kind = "" if isinstance(error, UnpicklingError | RuntimeError) and reason else f"{type(error).__name__}: "
        raise ValueError(
            f"Cannot read {path}: expected tensors in plain dicts, or PyG Data, saved by torch.save ({kind}{reason})"
        ) from error


def record(item: Data) -> dict[str, Any]:
    """Convert a graph to a plain dict for a file, which loads with ``weights_only=True``.

    Raises:
        ValueError: If an attribute holds anything but tensors, numbers and strings.
    """
    return {key: _plain(key, value) for key, value in item.to_dict().items()}


def save(records: Callable[[], Iterable[dict[str, Any]]], path: Path, format: str) -> None:
    """Write the records of graphs to a file, as a list of PyG graphs."""
    with path.open("wb") as stream:  # a path would be named inside the file
        torch.save([Data.from_dict(made) for made in records()], stream)


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()  # of a view, torch.save would write the whole storage
    if isinstance(value, dict):
        return {name: _plain(f"{key}.{name}", part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(key, part) for part in value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ValueError(f"Attribute {key!r} is a {type(value).__name__}; files hold tensors, numbers and strings")
