"""Reading of points from text files, ``.xyz .pts .csv .txt``, and of many clouds from HDF5 files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.data.formats.text import read_lines
from graphscore.data.readers import Record

_AXES = ("x", "y", "z")
_NAMES = ("data", "points", "pos")
"""Names of the array of points in HDF5 files: that of ModelNet40 and ScanObjectNN first."""
_LABELS = ("label", "labels")
_MOST_SEEN = 60


def guess(lines: Sequence[str]) -> tuple[str, ...]:
    """Recognise a text file of points by its first lines: numbers alone, below a line of names or none.

    Returns:
        The format of :func:`read_points`, or nothing.
    """
    rows = [_words(line) for line in lines if _is_row(line)][:_MOST_SEEN]
    named = bool(rows) and _columns(rows[0]) is not None
    numbers = rows[1:] if named else rows[1:] if rows and _is_count(rows[0]) else rows
    if not numbers or not all(len(row) == len(numbers[0]) >= 2 and all(map(_is_number, row)) for row in numbers):
        return ()
    # Two whole numbers in each line may be anything, such as the edges of a graph.
    whole = all(word.lstrip("+-").isdigit() for row in numbers for word in row)
    return () if not named and (whole or len(numbers) < 2) else (".points",)


def read_points(path: Path) -> Iterator[Record]:
    """Read a text file with a point in each line as one cloud.

    Numbers are parted by spaces, tabs, commas or semicolons. A first line may name the columns, of which ``x``, ``y``
    and ``z`` are the coordinates, or hold the number of points; otherwise the first three columns are the coordinates,
    or both of two. Lines that begin with ``#`` or ``//`` are skipped. Coordinates that are all ``nan`` stand for a
    point to be sampled, see ``graphscore sample --complete``.

    Args:
        path: File, which may be compressed by gzip.

    Yields:
        One record: a graph with ``pos`` ``[N, 2]`` or ``[N, 3]`` float32, further columns as ``x`` ``[N, k]``, no
        edges, and the name of the file.

    Raises:
        ValueError: If it is not such a file; the message names the line.
    """
    yield "points", lambda: _cloud(path)


def _cloud(path: Path) -> Data:
    numbered = [(k, _words(line)) for k, line in enumerate(read_lines(path), start=1) if _is_row(line)]
    if not numbered:
        raise ValueError("it has no points")
    axes, announced = _columns(numbered[0][1]), None
    if axes is not None:
        numbered = numbered[1:]
    elif len(numbered) > 1 and _is_count(numbered[0][1]) and len(numbered[1][1]) > 1:
        announced, numbered = int(numbered[0][1][0]), numbered[1:]
    if announced is not None and announced != len(numbered):
        raise ValueError(f"it announces {announced} points, but has {len(numbered)}")
    values = _table(numbered)
    axes = axes or tuple(range(min(values.shape[1], 3)))
    if not 2 <= len(axes) <= 3:
        raise ValueError(f"expected two or three coordinates in each line, but line {numbered[0][0]} has {len(axes)}")
    pos = values[:, list(axes)]
    partly = np.isinf(pos).any(axis=1) | (np.isnan(pos).any(axis=1) & ~np.isnan(pos).all(axis=1))
    if partly.any():
        raise ValueError(f"line {numbered[int(partly.argmax())][0]} has coordinates that are not finite")
    graph = _graph(pos, path.name.removesuffix(".gz").rpartition(".")[0])
    if rest := [k for k in range(values.shape[1]) if k not in axes]:
        graph.x = torch.from_numpy(values[:, rest].astype(np.float32))
    return graph


def _table(numbered: Sequence[tuple[int, list[str]]]) -> NDArray[np.float64]:
    """Numbers of rows, all of which must be as long."""
    if not numbered:
        raise ValueError("it has no points")
    width = len(numbered[0][1])
    for number, row in numbered:
        if len(row) != width:
            raise ValueError(f"line {number} has {len(row)} numbers, but the first has {width}")
        if wrong := [word for word in row if not _is_number(word)]:
            raise ValueError(f"line {number} has {wrong[0]!r} where a number was expected")
    return np.array([[float(word) for word in row] for _, row in numbered])


def read_h5(path: Path) -> Iterator[Record]:
    """Read many clouds from an HDF5 file, as ModelNet40 and ScanObjectNN come.

    The points are the array ``data``, ``points`` or ``pos``, or the only one of numbers ``[B, N, 3]`` or ``[N, 3]``.
    Classes ``label`` ``[B]`` or ``[B, 1]`` become ``category`` ``[1]``.

    Args:
        path: File ``.h5`` or ``.hdf5``.

    Yields:
        A record for each cloud, see :func:`read_points`.

    Raises:
        ValueError: If it is no HDF5 file, has no such array, or its arrays lie in other files.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f'Reading {path} needs h5py: pip install "graphscore[clouds]"') from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"Cannot read {path} as an HDF5 file: {error}") from error
    with file:
        arrays = _arrays(file, h5py)
        name = _points_name(arrays, path)
        points = arrays[name]
        label = next((arrays[key] for key in _LABELS if key in arrays), None)
        count = len(points) if points.ndim == 3 else 1
        if label is not None and len(label) != count:
            raise ValueError(f"{path} has {count} clouds, but {len(label)} labels")
        for number in range(count):
            values = np.asarray(points[number] if points.ndim == 3 else points[()])
            category = None if label is None else np.asarray(label[number]).reshape(-1)
            yield f"cloud {number + 1}", lambda values=values, category=category: _of_arrays(values, category)


def _arrays(file: Any, h5py: Any) -> dict[str, Any]:
    """Arrays at the top of a file that lie in the file itself."""
    found = {}
    for name in file:
        if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
            raise ValueError(f"{file.filename} has {name!r} in another file, which is not read")
        item = file[name]
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise ValueError(f"{file.filename} has {name!r} in another file, which is not read")
            found[name] = item
    return found


def _points_name(arrays: dict[str, Any], path: Path) -> str:
    def fits(item: Any) -> bool:
        return item.dtype.kind in "fiu" and item.ndim in (2, 3) and item.shape[-1] in (2, 3)

    fitting = [name for name, item in arrays.items() if fits(item)]
    named = [name for name in _NAMES if name in fitting]
    if not named and len(fitting) != 1:
        shapes = {name: list(item.shape) for name, item in arrays.items()}
        expected = f"Expected one array of points [B, N, 3] in {path}, named 'data' or 'points'"
        raise ValueError(f"{expected}, but it has {shapes}")
    return (named or fitting)[0]


def _of_arrays(values: NDArray[Any], category: NDArray[Any] | None) -> Data:
    if not np.isfinite(values).all():
        raise ValueError("it has coordinates that are not finite")
    graph = _graph(values, "")
    if category is not None:
        if len(category) != 1 or category[0] != int(category[0]):
            raise ValueError(f"expected a whole number as its label, but got {category.tolist()}")
        graph.category = torch.tensor([int(category[0])])
    return graph


def _graph(pos: NDArray[Any], name: str) -> Data:
    points = torch.from_numpy(np.ascontiguousarray(pos, dtype=np.float32))
    graph = Data(pos=points, edge_index=torch.empty(2, 0, dtype=torch.long))
    if name:
        graph.name = name
    return graph


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(("#", "//"))


def _words(line: str) -> list[str]:
    return [word.strip("\"'") for word in re.split(r"[\s,;]+", line.strip().strip(",;"))]


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|inf)", word, re.IGNORECASE) is not None


def _is_count(row: Sequence[str]) -> bool:
    return len(row) == 1 and row[0].isdigit()


def _columns(row: Sequence[str]) -> tuple[int, ...] | None:
    """Numbers of the columns of coordinates in a row of names; None if it is none."""
    names = [word.lower() for word in row]
    found = tuple(names.index(axis) for axis in _AXES if axis in names)
    return found if len(found) >= 2 and names.count("x") == 1 else None
