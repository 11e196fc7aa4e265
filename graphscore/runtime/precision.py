"""Float64 on devices that lack it, for times and noise schedules."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def double_device(device: torch.device) -> torch.device:
    """Return the device for float64 numbers: the given device, or the CPU if that device has no float64.

    Times, and the coefficients computed from them, are one number per graph. They stay on this device until they are
    cast to a field's type and moved to its device in one step. A device without float64, such as Apple's (``mps``),
    sends nothing back to the CPU except rows that need float64: for springs, superpositions and error control.
    """
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except TypeError:
        return torch.device("cpu")
    return device


def double(values: Tensor) -> Tensor:
    """Cast values to float64, on the device that :func:`double_device` gives."""
    return values.to(double_device(values.device), torch.float64)


def unrounded(device: torch.device) -> AbstractContextManager[object]:
    """Return a context that turns ``torch.autocast`` off."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
