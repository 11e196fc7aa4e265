"""Numpy archives, ``.npz``: reading with clear errors and without running code from a file, and small data files."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from graphscore.data.missing import missing as missing_file
from graphscore.runtime.atomic import replacing

WHOLE, REAL, TRUTH, BYTES, TEXT = "whole numbers", "real numbers", "truth values", "byte strings", "strings"
_SHOWN = 200
_KINDS = {WHOLE: "iu", REAL: "iuf", TRUTH: "b", BYTES: "S", TEXT: "U"}
# LZMA is read a tenth as fast as deflate: where it saves less than this share, it is not worth the wait.
_WORTHWHILE = 0.1


def read_npz(
    file: str | Path | IO[bytes],
    wanted: Mapping[str, tuple[str, int]],
    source: object,
    optional: Mapping[str, tuple[str, int]] | None = None,
) -> dict[str, Any]:
    """Read the arrays of an archive.

    Args:
        file: File, or its content as a stream.
        wanted: Content (:data:`WHOLE`, :data:`REAL`, :data:`TRUTH`, :data:`BYTES` or :data:`TEXT`) and number of
            dimensions of each array, by name; others are not read.
        source: Name of the file in error messages.
        optional: The same of arrays that the archive may lack.

    Returns:
        The arrays by name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such an archive, or an array is missing or another one.
    """
    if isinstance(file, str | Path) and not Path(file).is_file():
        raise missing_file(file)
    try:
        with np.load(file, allow_pickle=False) as archive:
            missing = wanted.keys() - set(archive.files)
            known = {**wanted, **{name: how for name, how in (optional or {}).items() if name in archive.files}}
            arrays = {} if missing else {name: archive[name] for name in known}
    except Exception as error:  # of a damaged file, numpy and zipfile raise errors of many types
        raise ValueError(f"Cannot read {source} as a numpy archive: {described(error)}") from error
    if missing:
        raise ValueError(f"Expected the arrays {sorted(wanted)} in {source}, but {sorted(missing)} are missing")
    for name, (kind, dimensions) in known.items():
        check_array(name, arrays[name], kind, dimensions, source)
    return arrays


def write_npz(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a data file that ships: a small archive, the same bytes for the same arrays, whole or not at all.

    An array is compressed by LZMA where that makes it smaller by a tenth than deflate does, otherwise by deflate, which
    is read ten times as fast. ``numpy.load`` reads both.

    Args:
        path: File to write, ``*.npz``; one that exists is replaced.
        arrays: Arrays by name, of numbers, truth values or strings.

    Raises:
        ValueError: If an array holds objects of Python.
        ImportError: If this Python was built without the module ``lzma``.
    """
    with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with io.BytesIO() as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
                content = stream.getvalue()
            # The time of a ZipInfo is that of 1980, not of now.
            archive.writestr(ZipInfo(f"{name}.npy"), content, _compression(content))


def _compression(content: bytes) -> int:
    import lzma  # not every Python has it

    small = len(lzma.compress(content, lzma.FORMAT_ALONE)) <= (1 - _WORTHWHILE) * len(zlib.compress(content))
    return ZIP_LZMA if small else ZIP_DEFLATED


def described(error: Exception) -> str:
    """Kind of an error, and the beginning of its message, which may hold the damaged bytes."""
    return f"{type(error).__name__}: {error}"[:_SHOWN]


def check_array(name: str, array: NDArray[Any], kind: str, dimensions: int, source: object) -> None:
    """Check content and number of dimensions of an array; real numbers must be finite.

    Raises:
        ValueError: If they are others.
    """
    if array.dtype.kind not in _KINDS[kind] or array.ndim != dimensions:
        raise ValueError(
            f"Expected {name} in {source} to hold {kind} in {dimensions} dimension(s), but it is {array.dtype} "
            f"of shape {list(array.shape)}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"Numbers of {name} in {source} are not finite")
