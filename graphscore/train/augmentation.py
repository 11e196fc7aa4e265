"""Data augmentation: random rotations, mirror images and sign flips, drawn anew each time a training graph is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.fields import Field, Level, replace
from graphscore.linalg.encodings import flip_signs
from graphscore.linalg.rotations import random_rotations
from graphscore.rng import Generator
from graphscore.runtime.precision import double, double_device


class RandomRotation:
    """Rotate each training graph about the origin at random, all its vectors together.

    Args:
        attributes: Level of each attribute to rotate (``"node"``, ``"edge"`` or ``"graph"``), by name. The last
            dimension of an attribute holds the coordinates, ``[rows, *, D]``.
        reflections: Whether to mirror half of the graphs as well; wrong where mirror images differ, as in chiral
            molecules whose handedness is an input of the network.

    Raises:
        ValueError: If there are no attributes, or a level is unknown.
    """

    def __init__(
        self, attributes: Mapping[str, Level] = MappingProxyType({"pos": "node"}), reflections: bool = False
    ) -> None:
        if not attributes:
            raise ValueError("RandomRotation needs the names of the attributes that turn, such as {'pos': 'node'}")
        self.attributes = [Field(name, level) for name, level in attributes.items()]
        self.reflections = reflections

    def __call__(self, batch: Batch, generator: Generator = None) -> Batch:
        """Rotate the graphs of a batch.

        Args:
            batch: Clean data.
            generator: Source of the rotations, one for each graph.

        Returns:
            A shallow copy with the attributes replaced.

        Raises:
            ValueError: If an attribute is missing, or they have different dimensions or a wrong number of rows.
        """
        rows = {field.name: field.index(batch) for field in self.attributes}
        values = {name: _read(batch, name, len(index)) for name, index in rows.items()}
        dims = {name: value.shape[-1] for name, value in values.items()}
        if len(set(dims.values())) > 1:
            raise ValueError(f"Attributes that turn together must have one dimension, but have {dims}")
        rotations = random_rotations(
            batch.num_graphs,
            next(iter(dims.values())),
            reflections=self.reflections,
            device=double_device(batch.batch.device),
            generator=generator,
        )
        # In float64, which autocast to a lower precision does not touch.
        turned = {
            name: torch.einsum(
                "nij,n...j->n...i", ops.broadcast(rotations, rows[name].to(rotations.device)), double(value)
            )
            for name, value in values.items()
        }
        return replace(batch, {name: value.to(values[name]) for name, value in turned.items()})


class SignFlips:
    """Flip the signs of eigenvectors at random, independently for each graph and column.

    The sign of an eigenvector is arbitrary, so a network should not depend on it.

    Args:
        attributes: Node attributes ``[N, k]``, such as that of :class:`graphscore.data.LaplacianEncoding`.

    Raises:
        ValueError: If there are no attributes.
    """

    def __init__(self, attributes: Sequence[str] = ("laplacian",)) -> None:
        if not attributes or isinstance(attributes, str):
            raise ValueError(f"SignFlips needs a list of attributes, such as ['laplacian'], but got {attributes!r}")
        self.attributes = tuple(attributes)

    def __call__(self, batch: Batch, generator: Generator = None) -> Batch:
        """Flip the signs of the attributes of a batch.

        Args:
            batch: Clean data.
            generator: Source of the signs.

        Returns:
            A shallow copy with the attributes replaced.

        Raises:
            ValueError: If an attribute is missing.
        """
        for name in self.attributes:
            if not isinstance(batch.get(name), Tensor):
                raise ValueError(f"SignFlips: the batch has no attribute {name!r}")
        return replace(
            batch,
            {name: flip_signs(batch[name], batch.batch, batch.num_graphs, generator) for name in self.attributes},
        )


class AxisFlips:
    """Mirror each training graph along coordinate axes at random, for data that are as often one way as the other.

    Args:
        axes: Numbers of the axes; each is mirrored in half of the graphs, independently of the others.
        exchange: Numbers of two axes that change places in half of the graphs; ``None`` for none.
        attribute: Node attribute ``[N, D]`` of the coordinates.

    Raises:
        ValueError: If there is nothing to do, or the axes are no list of different numbers from 0.
    """

    def __init__(self, axes: Sequence[int] = (), exchange: Sequence[int] | None = None, attribute: str = "pos") -> None:
        self.axes, self.exchange, self.attribute = tuple(axes), tuple(exchange or ()), attribute
        if not self.axes and not self.exchange:
            raise ValueError("AxisFlips needs axes to mirror, such as [0, 1], or two axes to exchange")
        wrong = len(set(self.axes)) < len(self.axes) or min(self.axes + self.exchange) < 0
        if wrong or len(set(self.exchange)) not in (0, 2) or len(self.exchange) > 2:
            raise ValueError(
                f"AxisFlips needs different axes, numbers from 0, and two to exchange, but got axes={list(self.axes)}, "
                f"exchange={list(self.exchange)}"
            )

    def __call__(self, batch: Batch, generator: Generator = None) -> Batch:
        """Mirror the graphs of a batch.

        Args:
            batch: Clean data.
            generator: Source of the choices.

        Returns:
            A shallow copy with the attribute replaced.

        Raises:
            ValueError: If the attribute is missing, or has fewer axes.
        """
        value = _read(batch, self.attribute, len(batch.batch))
        if max(self.axes + self.exchange) >= value.shape[-1]:
            raise ValueError(
                f"AxisFlips: {self.attribute!r} has {value.shape[-1]} axes, but they should be {self.axes} and "
                f"{self.exchange}"
            )
        graphs = torch.arange(batch.num_graphs, device=batch.batch.device)
        dtype = torch.float32
        chosen = ops.randn(graphs, batch.num_graphs, len(self.axes) + 1, dtype=dtype, generator=generator) < 0
        signs = value.new_ones(batch.num_graphs, value.shape[-1])
        signs[:, self.axes] = torch.where(chosen[:, 1:], -1.0, 1.0).to(value)
        if self.exchange:
            order = torch.arange(value.shape[-1], device=value.device)
            order[[*self.exchange]] = order[[*self.exchange[::-1]]]
            value = torch.where(ops.broadcast(chosen[:, :1], batch.batch), value[:, order], value)
        return replace(batch, {self.attribute: value * ops.broadcast(signs, batch.batch)})


def _read(batch: Batch, name: str, num_rows: int) -> Tensor:
    value: Any = batch.get(name)
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() < 2 or len(value) != num_rows:
        got = f"{value.dtype} of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{name!r} must be a floating-point tensor [{num_rows}, *, D], but is {got}")
    return value


AUGMENTATIONS: dict[str, Callable[..., Callable[[Batch, Generator], Batch]]] = {
    "rotation": RandomRotation,
    "sign-flips": SignFlips,
    "axis-flips": AxisFlips,
}
