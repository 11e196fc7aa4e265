"""Where float64 is to be had: times and schedules need it, and some devices lack it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def double_device(device: torch.device) -> torch.device:
    """Find where the float64 numbers that go with tensors on a device are: on it, or on the CPU if it has none.

    Times, and the coefficients that follow from them, are one number per graph. They stay there until they are cast to
    the type of a field and its device in one. So nothing has to come back from a device without float64, such as
    Apple's (``mps``), except where rows are computed with in float64: for springs, superpositions and error control.
    """
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except TypeError:
        return torch.device("cpu")
    return device


def double(values: Tensor) -> Tensor:
    """Bring values to float64, where it is to be had: see :func:`double_device`."""
    return values.to(double_device(values.device), torch.float64)


def unrounded(device: torch.device) -> AbstractContextManager[object]:
    """Give a context in which ``torch.autocast`` lowers no precision, whatever holds around it."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
