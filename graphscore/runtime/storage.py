"""Weights in fewer bits: half precision, or 8 bits with a scale for each row of a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # a wrong file is reported before PyTorch is loaded
    from torch import Tensor

Storage = Literal["int8", "float16"]
"""Storage of weights: matrices in 8 bits, and all else in half precision; or all in half precision."""
STORAGES: tuple[Storage, ...] = get_args(Storage)

_SCALE = ":scale"  # names of parts of a module have no colon
_STEPS = 127  # of 8 bits, on both sides of zero
_LARGEST = 65504  # in half precision
# Bytes that 8 bits must save: the scales have an entry in the header of the file.
_WORTHWHILE = 1024


def in_few_bits(state: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Round the tensors of a model to fewer bits.

    A matrix is rounded to 8 bits by rows, along its first dimension: the largest value of a row is 127 steps, so that
    no value is off by more than half a step. Integers stay as they are.

    Args:
        state: Tensors by name, on the CPU.
        storage: ``"int8"`` for matrices of more than about a thousand values in 8 bits, and other floating-point
            tensors in half precision; ``"float16"`` for all of these in half precision.

    Returns:
        The tensors as they are stored. Beside one in 8 bits are the steps of its rows, ``[rows]`` float32; rows of
        zeros have steps of 0.

    Raises:
        ValueError: If there is no such storage, a number is not finite or beyond half precision, or the names or types
            of tensors are such as those of tensors in 8 bits.
    """
    import torch

    check_storage(storage)
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith(_SCALE) or tensor.dtype == torch.int8:
            raise ValueError(f"{name} cannot be stored beside tensors in 8 bits: it would be taken for a part of one")
        if not tensor.is_floating_point():
            stored[name] = tensor
        elif not bool((tensor.abs() <= _LARGEST).all()):
            raise ValueError(f"{name} has numbers that are not finite, or beyond those of half precision, ±{_LARGEST}")
        elif storage == "int8" and tensor.ndim > 1 and tensor.numel() - 4 * len(tensor) > _WORTHWHILE:
            stored[name], stored[name + _SCALE] = _rounded(tensor.float())
        else:
            stored[name] = tensor.half()
    return stored


def check_storage(name: str) -> Storage:
    """Check the name of a storage.

    Raises:
        ValueError: If there is none of this name.
    """
    known: dict[str, Storage] = {storage: storage for storage in STORAGES}
    if name not in known:
        raise ValueError(f"Expected the storage {' or '.join(STORAGES)}, but got {name!r}")
    return known[name]


def _rounded(tensor: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    rows = tensor.flatten(1)
    step = rows.abs().amax(1) / _STEPS
    step[step < torch.finfo(torch.float32).tiny] = 0.0  # smaller ones have few digits
    whole = (rows / step.where(step > 0, 1.0)[:, None]).round_()
    return whole.to(torch.int8).view(tensor.shape), step


def find_in_8_bits(kinds: Mapping[str, tuple[str, tuple[int, ...]]], path: Path) -> dict[str, str]:
    """Find the tensors in 8 bits of a file, and check that all have the steps of their rows.

    Args:
        kinds: Type, such as ``"I8"``, and shape of each tensor in the file, by name.
        path: The file, for errors.

    Returns:
        Names of the steps by those of the tensors.

    Raises:
        ValueError: If steps are missing, of another shape or type, or those of no tensor.
    """
    found = {name: name + _SCALE for name, (kind, _) in kinds.items() if kind == "I8" and not name.endswith(_SCALE)}
    for name, scale in found.items():
        shape = kinds[name][1]
        if scale not in kinds:
            raise ValueError(f"{path} is damaged: {name!r} is in 8 bits, but {scale!r} is missing")
        if len(shape) < 2 or kinds[scale] != ("F32", shape[:1]):
            kind, given = kinds[scale]
            raise ValueError(
                f"{path} is damaged: expected {scale!r} to hold a number in F32 for each row of {name!r}, of shape "
                f"{list(shape)}, but it is {kind} of shape {list(given)}"
            )
    others = {name for name in kinds if name.endswith(_SCALE)} - set(found.values())
    if others:
        raise ValueError(f"{path} is damaged: {min(others)!r} belongs to no tensor in 8 bits")
    return found


def restore(state: dict[str, Tensor], in_8_bits: Mapping[str, str], path: Path) -> None:
    """Convert tensors in 8 bits back to float32, in place and one by one.

    Args:
        state: All tensors by name, which :func:`find_in_8_bits` found to fit.
        in_8_bits: Names of the steps by those of the tensors in 8 bits.
        path: The file that they are from, for errors.

    Raises:
        ValueError: If steps are negative, not finite, or so large that the weights are not.
    """
    for name, scale in in_8_bits.items():
        step = state.pop(scale)
        if not bool(((step >= 0) & (step * (_STEPS + 1)).isfinite()).all()):
            raise ValueError(f"{path} is damaged: the numbers of {scale!r} must be finite and not negative")
        whole = state[name]
        state[name] = whole.float().mul_(step.view(-1, *(1 for _ in whole.shape[1:])))
