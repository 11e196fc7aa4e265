"""Columns: the attributes of many graphs as flat arrays, from which each graph comes back unchanged.

A column holds the values of one attribute in the graphs of a shard that have it, with the same kind, data type and
number of dimensions; an attribute of several kinds has several columns. Values of equal shapes are stacked, others lie
one after the other along the dimension in which their shapes differ, with offsets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Kind = Literal["tensor", "int", "float", "bool", "text", "json", "mapping"]
AS_JSON = ("json", "mapping")
Layout = Literal["stacked", "ragged", "flat"]
Signature = tuple[str, Kind, str, int]
"""Name, kind, data type and number of dimensions of a value."""
Signed = tuple[Signature, Any]

NODE, EDGE = "node", "edge"
"""Names of the offsets that columns of nodes and edges share."""

_NUMBERS: dict[type, Kind] = {bool: "bool", int: "int", float: "float"}
_DTYPES = {"bool": torch.bool, "int": torch.int64, "float": torch.float64}
# Data types that are stored as they are; others are stored as integers of the same bits.
_PLAIN = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
_PLAIN |= {torch.float16, torch.float32, torch.float64}
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_NARROW = (torch.uint8, torch.int8, torch.int16, torch.int32)


class Decoder(NamedTuple):
    """First attributes of a :class:`Column`, which tell how to decode its values."""

    name: str
    kind: Kind
    dtype: str
    layout: Layout
    shape: tuple[int, ...]
    dim: int


class Column(NamedTuple):
    """Description of a column, as in the index of a store.

    Attributes:
        name: Name of the attribute.
        kind: Kind of the values: tensors, Python's numbers, text, or lists and mappings as JSON.
        dtype: Data type of tensors, such as ``"float32"``; empty for other kinds.
        layout: ``"stacked"``, one entry for each graph; ``"ragged"``, along one dimension; or ``"flat"``, for shapes
            that differ in several dimensions.
        shape: Shape of the value of each graph; of ragged values without the ragged dimension, of flat ones empty.
        dim: Dimension along which ragged values follow each other.
        offsets: Name of the offsets of values that are not stacked.
        everywhere: Whether all graphs of the shard have the attribute.
        infinite: Numbers of the graphs with entries that are not finite.
    """

    name: str
    kind: Kind
    dtype: str = ""
    layout: Layout = "stacked"
    shape: tuple[int, ...] = ()
    dim: int = 0
    offsets: str = ""
    everywhere: bool = True
    infinite: tuple[int, ...] = ()

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Column:
        """Make the column of a description in JSON.

        Raises:
            ValueError: If its data type is none of PyTorch's.
        """
        if values["dtype"] and not isinstance(getattr(torch, values["dtype"], None), torch.dtype):
            raise ValueError(f"Expected a data type of PyTorch, but got {values['dtype']!r}")
        return cls(**{**values, "shape": tuple(values["shape"]), "infinite": tuple(values["infinite"])})

    @property
    def decoder(self) -> Decoder:
        """Rule of decoding its values; those of columns with equal decoders are decoded together."""
        return Decoder(*self[:6])


class Encoded(NamedTuple):
    """Columns of a number of graphs: their descriptions, and arrays by name."""

    columns: list[Column]
    arrays: dict[str, Tensor]


def signed(graph: Mapping[str, Any]) -> list[Signed]:
    """Pair the attributes of a graph with their signatures.

    Raises:
        ValueError: If one cannot be stored.
    """
    return [(signature(name, value), value) for name, value in graph.items()]


def encode(graphs: Sequence[Sequence[Signed]], nodes: Sequence[int], edges: Sequence[int]) -> Encoded:
    """Encode the attributes of graphs as columns.

    Args:
        graphs: Attributes of each graph, see :func:`signed`.
        nodes: Number of nodes of each graph.
        edges: Number of edges of each graph.
    """
    found: dict[Signature, tuple[list[int], list[Any]]] = {}
    for number, graph in enumerate(graphs):
        for sign, value in graph:
            places, values = found.setdefault(sign, ([], []))
            places.append(number)
            values.append(value)
    shared = {NODE: list(nodes), EDGE: list(edges)}
    encoded = Encoded([], {name: _offsets(counts) for name, counts in shared.items()})
    for number, (sign, (places, values)) in enumerate(found.items()):
        everywhere = len(places) == len(graphs)
        column = _column(encoded.arrays, number, sign, values, shared if everywhere else {})
        if not everywhere:
            slots = torch.full((len(graphs),), -1, dtype=torch.int32)
            slots[places] = torch.arange(len(places), dtype=torch.int32)
            encoded.arrays[slots_name(number)] = slots
        infinite = tuple(places[row] for row in _infinite(encoded.arrays[values_name(number)], values))
        encoded.columns.append(column._replace(everywhere=everywhere, infinite=infinite))
    return encoded


def values_name(number: int) -> str:
    """Name of the array of a column's values."""
    return f"{number}.values"


def slots_name(number: int) -> str:
    """Name of the array with the place of each graph among those that have the attribute, or -1."""
    return f"{number}.slots"


def shapes_name(number: int) -> str:
    """Name of the array of the shapes of flat values."""
    return f"{number}.shapes"


def signature(name: str, value: Any) -> Signature:
    """Tell name, kind, data type and number of dimensions of a value.

    Raises:
        ValueError: If it cannot be stored.
    """
    if isinstance(value, Tensor):
        if type(value) not in (Tensor, torch.nn.Parameter) or value.layout != torch.strided or value.is_quantized:
            raise ValueError(f"its attribute {name!r} is a {type(value).__name__} of layout {value.layout}")
        if value.device.type != "cpu":
            raise ValueError(f"its attribute {name!r} is on the device {value.device}; move it to the CPU")
        return name, "tensor", str(value.dtype).removeprefix("torch."), value.dim()
    if type(value) in _NUMBERS and (type(value) is not int or -(2**63) <= value < 2**63):
        return name, _NUMBERS[type(value)], "", 0
    if type(value) is str:
        return name, "text", "", 0
    if not _is_plain(value):
        raise ValueError(
            f"its attribute {name!r} is, or holds, something else than tensors, numbers, text, and lists and dicts of "
            f"numbers and text: {type(value).__name__}"
        )
    return name, "mapping" if type(value) is dict else "json", "", 0


def _is_plain(value: Any) -> bool:
    """Tell whether JSON gives the value back unchanged."""
    if type(value) is list:
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_plain, value.values()))
    return value is None or type(value) in (bool, int, float, str)


def _infinite(stored: Tensor, values: Sequence[Any]) -> list[int]:
    """Rows of the tensors that have entries that are not finite."""
    if not isinstance(values[0], Tensor) or values[0].itemsize == 1 or not _is_real(values[0]):
        return []
    if _is_real(stored) and bool(stored.isfinite().all()):
        return []
    return [row for row, value in enumerate(values) if not bool(value.isfinite().all())]


def _is_real(values: Tensor) -> bool:
    return values.is_floating_point() or values.is_complex()


def _offsets(counts: Sequence[int]) -> Tensor:
    return torch.tensor([0, *counts], dtype=torch.int64).cumsum(0)


def _column(
    arrays: dict[str, Tensor], number: int, sign: Signature, values: list[Any], shared: Mapping[str, list[int]]
) -> Column:
    """Lay out the values of a column; its arrays are added to those of the others."""
    name, kind, dtype, dims = sign
    if kind in ("text", *AS_JSON):
        texts = values if kind == "text" else map(json.dumps, values)
        parts = [np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8) for text in texts]
        arrays[values_name(number)] = torch.from_numpy(np.concatenate(parts))
        arrays[own := f"{number}.offsets"] = _offsets([len(part) for part in parts])
        return Column(name, kind, layout="ragged", offsets=own)
    if kind != "tensor":
        arrays[values_name(number)] = _stored(torch.tensor(values, dtype=_DTYPES[kind]))
        return Column(name, kind)
    shapes = torch.tensor([list(value.shape) for value in values], dtype=torch.int64).reshape(len(values), dims)
    ragged = (shapes != shapes[0]).any(0).nonzero()[:, 0].tolist()
    values = [value.detach() if value.requires_grad else value for value in values]
    if not ragged:
        arrays[values_name(number)] = _stored(torch.stack(values))
        return Column(name, kind, dtype, "stacked", tuple(values[0].shape))
    dim = ragged[0]
    if flat := len(ragged) > 1:
        arrays[shapes_name(number)] = shapes
        counts, whole = shapes.prod(1).tolist(), torch.cat([value.reshape(-1) for value in values])
    else:
        counts, whole = shapes[:, dim].tolist(), torch.cat([value.movedim(dim, 0) for value in values])
    offsets = next((level for level, rows in shared.items() if rows == counts), "")
    if not offsets:
        arrays[offsets := f"{number}.offsets"] = _offsets(counts)
    arrays[values_name(number)] = _stored(whole)
    if flat:
        return Column(name, kind, dtype, "flat", (), 0, offsets)
    return Column(name, kind, dtype, "ragged", tuple(whole.shape[1:]), dim, offsets)


def _stored(values: Tensor) -> Tensor:
    """Values as they are stored: whole numbers in the smallest type that holds them all, rare types as integers."""
    values = values.contiguous()
    if values.is_complex():
        return torch.view_as_real(values.resolve_conj()).contiguous()
    if values.dtype not in _PLAIN:
        values = values.resolve_neg().view(_BITS[values.itemsize])
    if values.dtype not in (torch.int16, torch.int32, torch.int64) or not values.numel():
        return values
    low, high = (int(bound) for bound in values.aminmax())
    fitting = (type_ for type_ in _NARROW if torch.iinfo(type_).min <= low and high <= torch.iinfo(type_).max)
    return values.to(next(fitting, values.dtype))


def joined(decoder: Decoder, pieces: Sequence[NDArray[Any]]) -> Tensor:
    """Join the stored entries of tensors, or numbers, one after the other along the first dimension.

    Args:
        decoder: See :attr:`Column.decoder`.
        pieces: Stored entries of each value.

    Returns:
        Entries of the original data type, in memory of their own.
    """
    dtype = getattr(torch, decoder.dtype) if decoder.kind == "tensor" else _DTYPES[decoder.kind]
    stored = torch.from_numpy(np.concatenate(pieces))
    if not stored.numel():  # numpy gives empty arrays other strides than PyTorch expects
        return torch.empty(stored.shape[:-1] if dtype.is_complex else stored.shape, dtype=dtype)
    if dtype.is_complex:
        return torch.view_as_complex(stored)
    if dtype in _PLAIN:
        return stored.to(dtype)
    return stored.to(_BITS[dtype.itemsize]).view(dtype)


def decode(decoder: Decoder, pieces: Sequence[NDArray[Any]], shapes: Sequence[Sequence[int]]) -> Sequence[Any]:
    """Decode values of columns with equal decoders.

    Args:
        decoder: See :attr:`Column.decoder`.
        pieces: Stored entries of each value.
        shapes: Shape of each value, if they are flat.

    Returns:
        The values; tensors have memory of their own, which those of one call share.
    """
    if decoder.kind == "text":
        return [piece.tobytes().decode("utf-8", "surrogatepass") for piece in pieces]
    if decoder.kind in AS_JSON:
        return [json.loads(piece.tobytes()) for piece in pieces]
    values = joined(decoder, pieces)
    if decoder.kind != "tensor":
        return values.tolist()
    if decoder.layout == "stacked":
        return values.unbind(0)
    counts = [len(piece) for piece in pieces]
    if decoder.layout == "flat":
        return [part.reshape(tuple(size)) for part, size in zip(values.split(counts), shapes, strict=True)]
    return values.movedim(0, decoder.dim).contiguous().split(counts, decoder.dim)
