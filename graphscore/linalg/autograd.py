"""Gradients where a caller has turned them off, and results that are kept for as long as their tensors stay the same.

Inside ``torch.inference_mode()`` nothing can be differentiated, and the tensors that are made there cannot be used in
a derivative later on. What needs derivatives leaves that mode for as long as it runs, and copies such tensors.
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
    """Leave ``torch.inference_mode()``; whether gradients are recorded stays as it is. Also a decorator."""
    recording = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(recording):
        yield


def differentiable(value: TensorOrBatch) -> TensorOrBatch:
    """Copy what was made inside ``torch.inference_mode()``, such that it may take part in a derivative.

    To be called outside that mode. All else is given back as it is.

    Args:
        value: A tensor, or a batch, whose attributes are then replaced in a shallow copy.
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
    """Memo of results computed from tensors: the same again while they are the same objects and nobody changed them.

    Entries live as long as the first tensor. Tensors made inside ``torch.inference_mode()`` do not tell whether they
    were changed: of those nothing is kept. Copies and pickles of a memo are empty.
    """

    def __init__(self) -> None:
        self._known: Any = WeakTensorKeyDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()

    def get(self, tensors: Sequence[Tensor], rest: Hashable, make: Callable[[], Value]) -> Value:
        """Look up a value, or make it.

        Args:
            tensors: All tensors that the value is made of.
            rest: Everything else that it depends on.
            make: Makes it; called without gradients, and outside ``torch.inference_mode()``.
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
