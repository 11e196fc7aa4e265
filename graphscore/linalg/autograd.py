"""Gradients inside ``torch.inference_mode()``, and a memo of results computed from tensors.

Inside ``torch.inference_mode()`` nothing can be differentiated, and tensors that are made there cannot be used in a
derivative later on. Code that needs derivatives leaves that mode while it runs, and copies such tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.data import Batch

Value = TypeVar("Value")
TensorOrBatch = TypeVar("TensorOrBatch", Tensor, Batch)


@contextmanager
def outside_inference_mode() -> Iterator[None]:
    """Leave ``torch.inference_mode()`` inside the ``with`` block or decorated function.

    Whether gradients are recorded stays as it was.
    """
    recording = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(recording):
        yield


def differentiable(value: TensorOrBatch) -> TensorOrBatch:
    """Copy tensors that were made inside ``torch.inference_mode()``, so that they can be used in derivatives.

    Call it outside that mode. Other tensors are returned unchanged.

    Args:
        value: A tensor, or a batch, which is copied shallowly if an attribute must be.
    """
    if isinstance(value, Tensor):
        return _copied(value)
    made_there = {
        key: _copied(item) for key, item in value.to_dict().items() if isinstance(item, Tensor) and item.is_inference()
    }
    if not made_there:
        return value
    copied = value.__copy__()
    for key, item in made_there.items():
        copied[key] = item
    return copied


def check_differentiable(module: nn.Module) -> None:
    """Check that a module was not made inside ``torch.inference_mode()``.

    Raises:
        ValueError: If its parameters were made there.
    """
    parameter = next(module.parameters(), None)
    if parameter is not None and parameter.is_inference():
        raise ValueError(
            f"{type(module).__name__} was made inside torch.inference_mode(), so that nothing can be differentiated "
            "through it; make or load the model before entering that mode"
        )


class TensorMemo(Generic[Value]):
    """Memo of results computed from tensors, valid while these are the same objects and unchanged.

    Entries live as long as the first tensor. Tensors made inside ``torch.inference_mode()`` have no version counter to
    detect changes, so their results are not kept. Copies and pickles of a memo are empty.
    """

    def __init__(self) -> None:
        self._known: Any = WeakTensorKeyDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()

    def get(self, tensors: Sequence[Tensor], rest: Hashable, make: Callable[[], Value]) -> Value:
        """Look up a value, or compute and store it.

        Args:
            tensors: All tensors from which the value is computed.
            rest: Everything else that it depends on.
            make: Computes the value; called without gradients, and outside ``torch.inference_mode()``.
        """
        if any(tensor.is_inference() for tensor in tensors):
            return _made(make)
        first, *others = tensors
        if first not in self._known:
            self._known[first] = {}
        entries = self._known[first]
        versions = [tensor._version for tensor in tensors]
        known = entries.get(rest)
        if known is None or known[0] != versions or any(a is not b for a, b in zip(known[1], others, strict=True)):
            known = entries[rest] = (versions, others, _made(make))
        return known[2]


def _made(make: Callable[[], Value]) -> Value:
    with outside_inference_mode(), torch.no_grad():
        return make()


def _copied(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.is_inference() else tensor
