"""Checks of the outputs of functions and networks: a tensor of the right shape for each field."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.fields import Field
from graphscore.runtime.precision import double_device

BatchFunction = Callable[[Batch, Tensor], "Tensor | Mapping[str, Tensor]"]
"""A function of a noisy batch and one time per graph, ``[B]``: one tensor, or one for each field by name."""


def beside(batch: Batch, t: Tensor) -> Tensor:
    """Move times to the device of a batch for a custom function: in float32 if the device has no float64."""
    device = batch.batch.device
    return t if double_device(device) == device else t.to(device, torch.float32)


def by_field(output: Tensor | Mapping[str, Tensor], batch: Batch, fields: Mapping[str, Field]) -> dict[str, Tensor]:
    """Return the outputs of a function by field, projected onto the fields' spaces."""
    named = named_outputs(output, batch, fields)
    return {name: field.project(named[name], field.index(batch), batch.num_graphs) for name, field in fields.items()}


def named_outputs(
    output: Tensor | Mapping[str, Tensor], batch: Batch, fields: Mapping[str, Field]
) -> dict[str, Tensor]:
    """Return the outputs of a function by field, and check their shapes."""
    if isinstance(output, Tensor):
        if len(fields) > 1:
            raise ValueError(
                f"The function gave one tensor, but there are the fields {sorted(fields)}; return {{field: tensor}}"
            )
        output = dict.fromkeys(fields, output)
    if not isinstance(output, Mapping) or not output.keys() >= fields.keys():
        got = f"only {sorted(output)}" if isinstance(output, Mapping) else type(output).__name__
        raise ValueError(f"Expected a tensor for each of the fields {sorted(fields)}, but the function gave {got}")
    for name in fields:
        shape, value = batch[name].shape, output[name]
        # A wrong shape could be broadcast silently.
        if not isinstance(value, Tensor) or value.shape != shape:
            got = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"Expected {list(shape)}, the shape of the field {name!r}, but the function gave {got}")
    return {name: output[name] for name in fields}
