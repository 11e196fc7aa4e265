"""A device that is not there: a stub of tensors that compute on the CPU and claim to be elsewhere."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# PyTorch itself gives nothing on this one: what is there comes from the stub.
DEVICE = torch.device("meta")
aten = torch.ops.aten
# What makes the host wait for the device: a value is read, the size of the result depends on values, or a solver looks
# whether it has succeeded.
WAITS = {
    aten._local_scalar_dense.default, aten.is_nonzero.default, aten.equal.default, aten.nonzero.default,
    aten.masked_select.default, aten.bincount.default, aten._unique2.default, aten.unique_dim.default,
    aten.unique_consecutive.default, aten._linalg_eigh.default, aten._linalg_svd.default,
    aten._linalg_solve_ex.default,
}  # fmt: skip
BY_INDEX = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._unsafe_index.Tensor}


class Elsewhere(torch.Tensor):
    """A tensor on the device: numbers on the CPU that claim to be elsewhere."""

    @staticmethod
    def __new__(cls, numbers: torch.Tensor):
        made = torch.Tensor._make_wrapper_subclass(
            cls, numbers.shape, strides=numbers.stride(), storage_offset=numbers.storage_offset(), dtype=numbers.dtype,
            device=DEVICE,
        )  # fmt: skip
        made.numbers = numbers
        return made

    def __repr__(self) -> str:
        return f"Elsewhere({self.numbers})"

    def tolist(self) -> Any:  # PyTorch has it for its own tensors alone
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{function} outside of StubDevice")


class StubDevice(TorchDispatchMode):
    """Computes there: refuses arguments from elsewhere, and counts how often the host waits.

    Args:
        float64: Whether the device has float64, as CUDA's have and Apple's have not. If so, times are on the device,
            too, and nothing may be sent to it in a way that waits.
    """

    device = DEVICE

    def __init__(self, float64: bool) -> None:
        super().__init__()
        self.float64 = float64
        self.waits: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is aten.to.dtype_layout:  # forward-mode derivatives look at shapes on PyTorch's own such device
            return function(*args, **kwargs)
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        here = [value for value in tensors if isinstance(value, Elsewhere)]
        target = kwargs.get("device")
        stays = bool(here) if target is None else torch.device(target) == DEVICE
        if here and any(value.dim() for value in tensors if not isinstance(value, Elsewhere)):
            raise RuntimeError(f"{function}: tensors on two devices")
        if self._waits(function, args, kwargs, here, stays) or (
            self.float64 and tensors and not here and stays and not kwargs.get("non_blocking")
        ):
            self.waits.append(str(function))
        if target is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        args, kwargs = tree_map(lambda value: value.numbers if isinstance(value, Elsewhere) else value, (args, kwargs))
        result = function(*args, **kwargs)
        return tree_map(lambda value: self._there(value, here), result) if stays else result

    def _waits(self, function: Any, args: Any, kwargs: Any, here: list[Elsewhere], stays: bool) -> bool:
        """Tell whether the host reads something that is on the device."""
        if not here:
            return False
        by_mask = function in BY_INDEX and any(
            place is not None and place.dtype in (torch.bool, torch.uint8) for place in args[1]
        )
        unsized = function is aten.repeat_interleave.Tensor and kwargs.get("output_size") is None
        return not stays or function in WAITS or by_mask or unsized

    def _there(self, value: Any, here: list[Elsewhere]) -> Any:
        """A result as a tensor on the device; functions that work in place give back what they were given."""
        if not isinstance(value, torch.Tensor):
            return value
        if value.dtype == torch.float64 and not self.float64:
            raise TypeError(f"{DEVICE} has no float64")
        given = [tensor for tensor in here if tensor.numbers is value]
        return given[0] if given else Elsewhere(value)

    def tensor(self, numbers: torch.Tensor) -> Elsewhere:
        """A tensor on the device, which is not waited for."""
        return Elsewhere(numbers)

    def copy(self, module: nn.Module) -> nn.Module:
        """A copy of a module on the device."""
        module = copy.deepcopy(module)
        for part in module.modules():
            for name, value in part._parameters.items():
                part._parameters[name] = value if value is None else nn.Parameter(Elsewhere(value.detach()))
            for name, value in part._buffers.items():
                part._buffers[name] = value if value is None else Elsewhere(value)
        return module


@pytest.fixture
def stub_device() -> type[StubDevice]:
    return StubDevice
