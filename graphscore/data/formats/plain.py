"""Attribute values as text in JSON, and back: tensors, tuples and dicts stay what they are."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

_TENSOR, _SHAPE, _TUPLE, _DICT = "tensor", "shape", "tuple", "dict"


def to_text(value: Any) -> str:
    """Write a tensor, number, string, list, tuple or dict of these, or ``None``, as text.

    Raises:
        ValueError: If it is something else.
    """
    return json.dumps(_encoded(value), ensure_ascii=False)


def from_text(text: str) -> Any:
    """Read what :func:`to_text` has written.

    Raises:
        ValueError: If it is something else.
    """
    try:
        return _decoded(json.loads(text))
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"Expected a value in JSON, but got {text[:80]!r}") from error


def shortest(number: float) -> float:
    """Round a number that float32 holds exactly to the shortest one that float32 rounds to it: 0.1 of 0.100000001."""
    single = np.float32(number)
    return float(str(single)) if math.isfinite(number) and float(single) == number else number


def listed(array: Any) -> Any:
    """Nested lists of an array or tensor; numbers of less than 64 bits as the shortest ones, see :func:`shortest`."""
    if isinstance(array, Tensor):
        array = (array.float() if array.dtype == torch.bfloat16 else array).detach().cpu().numpy()
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        array = array.astype(str).astype(float)
    return array.tolist()


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = torch.as_tensor(value)
    if isinstance(value, Tensor) and not value.is_complex():
        kind = str(value.dtype).removeprefix("torch.")
        return {_TENSOR: kind, _SHAPE: list(value.shape), "values": listed(value.reshape(-1))}
    if isinstance(value, tuple):
        return {_TUPLE: [_encoded(part) for part in value]}
    if isinstance(value, list):
        return [_encoded(part) for part in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {_DICT: {key: _encoded(part) for key, part in value.items()}}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"Expected tensors, numbers and strings, but got {type(value).__name__}")


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(part) for part in value]
    if not isinstance(value, dict):
        return value
    if _DICT in value:
        return {key: _decoded(part) for key, part in value[_DICT].items()}
    if _TUPLE in value:
        return tuple(_decoded(part) for part in value[_TUPLE])
    kind = getattr(torch, value[_TENSOR], None)
    if not isinstance(kind, torch.dtype):
        raise TypeError(f"no type of tensors: {value[_TENSOR]!r}")
    return torch.tensor(value["values"], dtype=kind).reshape(value[_SHAPE])
