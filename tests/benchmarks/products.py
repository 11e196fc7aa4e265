"""The matrix products of a training step, recorded and run again by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

PRODUCTS = frozenset({
    "mm", "addmm", "addmm_", "_addmm_activation", "bmm", "baddbmm", "baddbmm_", "addbmm", "addbmm_", "mv", "addmv",
    "addmv_", "dot", "matmul", "linear", "_linear_pointwise",
})  # fmt: skip


class Layout(NamedTuple):
    """All of a tensor that the time of a product depends on."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Layout:
        return cls(tuple(tensor.shape), tensor.stride(), tensor.dtype)

    def tensor(self) -> Tensor:
        """Random numbers in this layout."""
        extent = 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        return torch.randn(max(extent, 0)).to(self.dtype).as_strided(self.shape, self.stride)


class Product(NamedTuple):
    """A call of a product, with layouts in place of tensors."""

    function: Any
    args: Any
    kwargs: Any
    result: Layout


class Recorder(TorchDispatchMode):
    """Keeps every matrix product that runs while it is active, those of backward passes and of custom ones included."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[Product] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._schema.name.split("::")[1] in PRODUCTS:
            args, kwargs = tree_map_only(Tensor, Layout.of, (args, kwargs or {}))
            self.products.append(Product(func, args, kwargs, Layout.of(result)))
        return result


def recorded(step: Callable[[], object]) -> list[Product]:
    """The matrix products of a call, in order."""
    with Recorder() as recorder:
        step()
    return recorder.products


def replay(products: list[Product]) -> Callable[[], None]:
    """A function that runs the products again, in order, on tensors that are there and into tensors that are there.

    Tensors of one layout in one place of the arguments are one tensor: the caches are at least as warm as in the step.
    """
    pool: dict[tuple[Any, Layout], Tensor] = {}

    def tensor(place: Any, layout: Layout) -> Tensor:
        if (place, layout) not in pool:
            pool[place, layout] = layout.tensor()
        return pool[place, layout]

    calls = []
    for product in products:
        args = [tensor(place, a) if isinstance(a, Layout) else a for place, a in enumerate(product.args)]
        kwargs = {name: tensor(name, a) if isinstance(a, Layout) else a for name, a in product.kwargs.items()}
        function = product.function
        packet = function.overloadpacket
        if function._overloadname == "default" and "out" in packet.overloads():
            function, kwargs = packet.out, {**kwargs, "out": tensor("out", product.result)}
        calls.append((function, args, kwargs))

    def run() -> None:
        with torch.no_grad():
            for function, args, kwargs in calls:
                function(*args, **kwargs)

    return run
