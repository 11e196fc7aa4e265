"""Base classes of backbones: the common interface, argument checks and common sizes."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from graphscore.nn.checks import check_arguments


class Backbone(Protocol):
    """Interface of a backbone: maps tensors to node scalars and vectors; any module with these attributes is one."""

    hidden_channels: int
    edge_channels: int
    cond_channels: int
    vector_channels: int

    def __call__(
        self,
        h: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        batch: Tensor,
        cond: Tensor,
        edge_attr: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Map scalars and positions of nodes to scalars and vectors, see :meth:`CheckedBackbone.__call__`."""
        ...


class Graph(NamedTuple):
    """The arguments of a backbone other than node scalars and positions, with defaults filled in.

    Attributes:
        edge_index: Source and target of each edge, shape ``[2, E]``.
        batch: Graph of each node, shape ``[N]``.
        cond: Condition of each graph, shape ``[B, C]``.
        edge_attr: Edge attributes, shape ``[E, edge_channels]``; ``None`` if the backbone takes none.
        vectors: Input vectors, shape ``[N, input_vectors, D]``; ``None`` if the backbone takes none.
    """

    edge_index: Tensor
    batch: Tensor
    cond: Tensor
    edge_attr: Tensor | None
    vectors: Tensor | None


class CheckedBackbone(nn.Module):
    """A backbone that checks its arguments at each call.

    Each argument of a constructor is also an attribute of the same name, from which a backbone can be built again.
    Subclasses implement ``forward(h, pos, graph)``, with the other arguments in a :class:`Graph`.
    """

    hidden_channels: int
    edge_channels: int
    cond_channels: int
    vector_channels: int
    input_vectors: int = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Exporters of PyTorch call the module, and read the names of its arguments off `forward`.
        if (forward := vars(cls).get("forward")) is not None:
            forward.__signature__ = inspect.signature(CheckedBackbone.__call__)

    def set_channels(self, **channels: int | None) -> None:
        """Set numbers of channels; ``None`` leaves one open, see :meth:`with_channels`.

        Raises:
            ValueError: If one is out of range.
        """
        self.open_channels = frozenset(name for name, number in channels.items() if number is None)
        for name, number in channels.items():
            least = 1 if name == "vector_channels" else 0
            number = least if number is None else number
            if number < least:
                raise ValueError(f"{type(self).__name__}: {name} must be at least {least}, but is {number}")
            setattr(self, name, number)

    def with_channels(self, **channels: int) -> CheckedBackbone:
        """Build the same backbone with numbers for the channels that were left open.

        Args:
            **channels: Numbers of channels by name. Those that the constructor was given do not change.

        Returns:
            A backbone with fresh weights, on the same device and of the same type; this one if it fits already.
        """
        wanted = {name: channels[name] for name in channels.keys() & self.open_channels}
        if all(getattr(self, name) == number for name, number in wanted.items()):
            return self
        options = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        return type(self)(**options | wanted).to(next(self.parameters()))

    def __call__(
        self,
        h: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        cond: Tensor | None = None,
        edge_attr: Tensor | None = None,
        vectors: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Map scalars and positions of nodes to scalars and vectors.

        Args:
            h: Node scalars, shape ``[N, F]``.
            pos: Positions, shape ``[N, D]``.
            edge_index: Source and target of each edge, both directions listed, shape ``[2, E]``.
            batch: Graph of each node, shape ``[N]``; ``None`` for one graph.
            cond: Condition of each graph, shape ``[B, C]``; optional if C = 0. Without it the number of graphs is read
                off ``batch``, which synchronises the device: pass ``[B, 0]`` to avoid that.
            edge_attr: Edge attributes, shape ``[E, edge_channels]``.
            vectors: Input vectors ``[N, input_vectors, D]``, for backbones that have some.

        Returns:
            Scalars ``[N, F]`` and vectors ``[N, V, D]``.

        Raises:
            ValueError: If an argument is missing, superfluous, or of the wrong shape or type.
        """
        if batch is None and isinstance(h, Tensor):
            batch = torch.zeros(h.shape[0], dtype=torch.long, device=h.device)
            num_graphs = 1
        else:
            num_graphs = None
        if cond is None and not self.cond_channels and isinstance(batch, Tensor):
            num_graphs = num_graphs or (int(batch.max()) + 1 if batch.numel() else 0)
            cond = h.new_zeros(num_graphs, 0)
        if not torch.compiler.is_compiling():
            check_arguments(self, h, pos, edge_index, batch, cond, edge_attr, vectors)
        return super().__call__(h, pos, Graph(edge_index, batch, cond, edge_attr, vectors))  # pyright: ignore[reportArgumentType]


class SizedBackbone(CheckedBackbone):
    """Base class of the backbones of this library, with their common sizes.

    Args:
        hidden_channels: Width F of node scalars.
        num_layers: Number of layers.
        edge_channels: Width of edge attributes, 0 for none. This and the next two are numbers, or ``None``: then a
            :class:`~graphscore.nn.score_network.ScoreNetwork` gives the backbone as many as it needs, and a backbone
            alone has 0, 0 and 1.
        cond_channels: Width C of the per-graph condition, 0 for none.
        vector_channels: Number V of output vectors per node.
        num_heads: Number of attention heads, a divisor of the width; 1 for networks without.

    Raises:
        ValueError: If a size is out of range, or heads do not divide the width.
    """

    symmetry: ClassVar[Literal["E", "SE", "none"]]
    """Symmetry of the vectors beside translations: rotations and reflections, rotations alone, or none."""

    def __init__(
        self,
        hidden_channels: int,
        num_layers: int,
        edge_channels: int | None,
        cond_channels: int | None,
        vector_channels: int | None,
        num_heads: int = 1,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if min(hidden_channels, num_layers, num_heads) < 1:
            raise ValueError(
                f"{name}: hidden_channels, num_layers and num_heads must be at least 1, but are "
                f"{hidden_channels}, {num_layers}, {num_heads}"
            )
        if hidden_channels % num_heads:
            raise ValueError(
                f"{name}: hidden_channels must be a multiple of num_heads, but is {hidden_channels} with "
                f"{num_heads} heads"
            )
        self.hidden_channels = hidden_channels
        self.num_layers = num_layers
        self.set_channels(edge_channels=edge_channels, cond_channels=cond_channels, vector_channels=vector_channels)
        self.num_heads = num_heads

    def extra_repr(self) -> str:
        """Format the sizes for ``repr``."""
        return f"{self.hidden_channels}, num_layers={self.num_layers}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"
