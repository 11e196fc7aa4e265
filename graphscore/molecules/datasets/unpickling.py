"""Safe unpickling of published data: only RDKit molecules, NumPy numbers and plain Python values are allowed.

A pickle may name any function to be called when it is loaded. Here, only allowed classes and functions are imported or
called. NumPy's own unpickling, which trusts the memory layout in a pickle, is not used either.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from graphscore.molecules.smiles import Chem


class UnsafePickleError(ValueError):
    """Raised when a pickle names a class or function that is not allowed, and that could run code."""


def load_pickle(content: bytes) -> Any:
    """Load a pickle of dicts, lists, strings, numbers, RDKit molecules and numpy scalars.

    Args:
        content: The pickle.

    Returns:
        The object; numpy scalars come as Python numbers.

    Raises:
        UnsafePickleError: If it names any other class or function, none of which is called.
        ValueError: If it is damaged.
    """
    return _load(content)


def load_arrays(path: str | Path) -> list[np.ndarray]:
    """Load a ``.npy`` file of several integer arrays of any lengths, a common format for splits.

    Args:
        path: File.

    Returns:
        The arrays.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafePickleError: If the pickle inside names anything but numpy arrays.
        ValueError: If the file does not hold a list of integer arrays, or is damaged.
    """
    path = Path(path)
    problem = f"Expected a .npy file of integer arrays, but {path} is none"
    with path.open("rb") as file:
        try:
            read_header = _HEADERS[np.lib.format.read_magic(file)]
            shape, _, dtype = read_header(file)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{problem}: {error}") from error
        # Arrays of equal length are stored as one.
        content = _load(file.read()) if dtype.hasobject else np.load(path, allow_pickle=False)
    values = content.values if isinstance(content, _Array) else content
    arrays = [np.asarray(value.values if isinstance(value, _Array) else value) for value in (values if shape else ())]
    if not arrays or any(array.ndim != 1 or array.dtype.kind not in "iu" for array in arrays):
        raise ValueError(f"{problem}: it holds {[(array.dtype.name, array.shape) for array in arrays]}")
    return arrays


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _load(content: bytes) -> Any:
    try:
        return _Unpickler(io.BytesIO(content)).load()
    except UnsafePickleError:
        raise
    except Exception as error:  # damaged pickles raise errors of any type
        raise ValueError(f"The pickle is damaged, or not of this kind: {type(error).__name__}: {error}") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        make = _ALLOWED.get((module.replace("numpy._core", "numpy.core"), name))
        if make is None:
            raise UnsafePickleError(
                f"The pickle was refused: it asks for {module}.{name}, but only RDKit molecules and numbers are "
                "allowed; do not load it by other means unless you trust its source"
            )
        # A new function each time, so that attributes that a pickle sets on it have no effect.
        return lambda *args: make(*args)


def _molecule(*args: Any) -> Any:
    if len(args) != 1 or not isinstance(args[0], bytes):
        raise UnsafePickleError("The pickle was refused: an RDKit molecule must be made of bytes alone")
    return Chem.Mol(args[0])  # pyright: ignore[reportCallIssue, reportArgumentType] (the stubs lack it)


def _encode(text: str, encoding: str) -> bytes:
    """Decode bytes in the form of pickles of protocol 2."""
    if encoding != "latin1":
        raise UnsafePickleError(f"The pickle was refused: bytes as {encoding!r}, but expected 'latin1'")
    return text.encode("latin1")


class _Dtype:
    """Stand-in for ``numpy.dtype``, with a type code and a byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = {"<": "<", ">": ">"}.get(state[1], "=")

    def numpy(self) -> np.dtype:
        dtype = np.dtype(self.code)
        if dtype.kind not in "biuf":
            raise UnsafePickleError(f"The pickle was refused: numpy values of type {self.code!r}, but expected numbers")
        return dtype.newbyteorder(self.order)  # pyright: ignore[reportArgumentType]


class _Array:
    """Stand-in for ``numpy.ndarray``, whose ``values`` are an array of numbers or a list of objects."""

    values: np.ndarray | list[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if isinstance(data, list):
            self.values = data
        else:
            self.values = np.frombuffer(data, dtype.numpy()).reshape(shape, order="F" if fortran else "C")


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.numpy()).item()


_ALLOWED = {
    ("rdkit.Chem.rdchem", "Mol"): _molecule,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,  # only ever an argument
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy.core.multiarray", "scalar"): _scalar,
}
