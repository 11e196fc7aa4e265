"""Reading and embedding of batch attributes, with checks of their shapes and types.

Checks read only shapes and types, which are on the host, so that no device has to be synchronised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

Values = Batch | Mapping[str, Tensor]


def read(values: Values, name: str, rows: int, like: Tensor | None = None) -> Tensor:
    """Read an attribute of a batch and check its shape and type.

    Args:
        values: A batch, or attributes by name.
        name: Name of the attribute.
        rows: Required number of rows.
        like: A parameter of the network, for attributes that are not embedded: they have to be matrices of its type.

    Returns:
        Shape ``[rows, *]``.

    Raises:
        ValueError: If it is missing, or of another shape or type.
    """
    value: Any = values.get(name)
    if value is None:
        raise ValueError(
            f"The batch has no attribute {name!r}, which the network takes; it has {sorted(values.keys())}"
        )
    if not isinstance(value, Tensor) or value.dim() < 1 or value.shape[0] != rows:
        raise _error(name, f"a tensor of {rows} rows", value)
    if like is not None and (value.dim() != 2 or not fits(value, like)):
        raise _error(name, f"of type {like.dtype} and shape [{rows}, columns]", value)
    return value


def embed(inputs: nn.ModuleDict, values: Values, rows: int) -> list[Tensor]:
    """Embed attributes, each ``[rows, channels]``; a floating attribute ``[rows]`` is one column.

    Raises:
        ValueError: If one is missing, or it is not what its module takes, as far as that is an ``nn.Linear`` or an
            ``nn.Embedding``.
    """
    return [embed_one(name, module, values, rows) for name, module in inputs.items()]


def embed_one(name: str, module: nn.Module, values: Values, rows: int) -> Tensor:
    """Embed one attribute, see :func:`embed`."""
    value = read(values, name, rows)
    if isinstance(module, nn.Embedding) and (value.dim() != 1 or value.dtype not in (torch.long, torch.int)):
        raise _error(name, f"of type {torch.long} and shape [{rows}]", value)
    if value.dim() == 1 and value.is_floating_point():
        value = value[:, None]
    if isinstance(module, nn.Linear) and (value.shape[1:] != (module.in_features,) or not fits(value, module.weight)):
        raise _error(name, f"of type {module.weight.dtype} and shape [{rows}, {module.in_features}]", value)
    return module(value)


def edge_index(batch: Batch) -> Tensor:
    """Read the edges ``[2, E]`` of a batch and check them.

    Raises:
        ValueError: If there are none, or they are something else.
    """
    value = batch.edge_index
    if value is None:
        raise ValueError(
            "The batch has no edge_index [2, E]: give graphs their edges, such as all pairs by CompleteGraph, or the "
            "network neighbors to find"
        )
    if not isinstance(value, Tensor) or value.dim() != 2 or value.shape[0] != 2 or value.dtype != torch.long:
        raise _error("edge_index", f"of type {torch.long} and shape [2, E]", value)
    return value


def fits(value: Tensor, like: Tensor) -> bool:
    """Check that a tensor has the type of a parameter, or that autocast converts it."""
    return value.dtype == like.dtype or (value.is_floating_point() and torch.is_autocast_enabled(value.device.type))


def _error(name: str, expected: str, value: Any) -> ValueError:
    got = f"{value.dtype} of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    return ValueError(f"The attribute {name!r} must be {expected} for the network, but is {got}")
