"""Inputs of a score network: descriptions of the batch attributes that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal, NamedTuple, Protocol, get_args

from torch import nn

Level = Literal["node", "edge", "graph"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Input:
    """Base class of inputs: an attribute that a network reads.

    Args:
        level: What a row belongs to: ``"node"``, ``"edge"`` or ``"graph"``.
        antisymmetric: For attributes of edges: they change their sign with the direction of the edge, such as flows,
            and forces along edges.

    Raises:
        ValueError: If there is no such level, or attributes of nodes or graphs are called antisymmetric.
    """

    _: KW_ONLY
    level: Level = "node"
    antisymmetric: bool = False

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.level not in LEVELS:
            raise ValueError(f"{name}: level must be one of {LEVELS}, but is {self.level!r}")
        if self.antisymmetric and self.level != "edge":
            raise ValueError(f"{name}: antisymmetric are attributes of edges, but the level is {self.level!r}")

    def embedding(self, channels: int) -> nn.Module | None:
        """Build the module that maps the attribute to ``[rows, channels]``; ``None`` if it is read otherwise."""
        return None


@dataclass(frozen=True)
class _Filled(Input):
    """An input with a fill value for edges that a neighbor search finds."""

    _: KW_ONLY
    fill: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fill and self.level != "edge":
            raise ValueError(
                f"{type(self).__name__}: fill is the value of found edges, but the level is {self.level!r}"
            )


@dataclass(frozen=True)
class Category(_Filled):
    """Integers ``[rows]`` from 0 up to a number of categories, such as atomic numbers; read by an embedding.

    Args:
        num_categories: Number of categories.
        level: What a row belongs to: ``"node"``, ``"edge"`` or ``"graph"``.
        antisymmetric: For edges: the value is another one in the other direction.
        fill: For edges: the category of edges that a neighbor search finds.

    Raises:
        ValueError: If there is no category, or the fill value is none of them.
    """

    num_categories: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_categories < 1:
            raise ValueError(f"Category: num_categories must be at least 1, but is {self.num_categories}")
        if self.fill != int(self.fill) or not 0 <= self.fill < self.num_categories:
            raise ValueError(f"Category: fill must be one of the {self.num_categories} categories, but is {self.fill}")

    def embedding(self, channels: int) -> nn.Module:
        """Build the embedding of the categories."""
        return nn.Embedding(self.num_categories, channels)


@dataclass(frozen=True)
class Feature(_Filled):
    """Floating-point numbers ``[rows, width]`` that do not turn with the positions; read by a linear map.

    Args:
        width: Number of columns; an attribute ``[rows]`` is one column.
        level: What a row belongs to: ``"node"``, ``"edge"`` or ``"graph"``.
        antisymmetric: For edges: the values change their sign with the direction of the edge.
        fill: For edges: the value of edges that a neighbor search finds.

    Raises:
        ValueError: If there is no column.
    """

    width: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 1:
            raise ValueError(f"Feature: width must be at least 1, but is {self.width}")

    def embedding(self, channels: int) -> nn.Module:
        """Build the linear map."""
        return nn.Linear(self.width, channels)


@dataclass(frozen=True)
class Vector(Input):
    """Vectors ``[rows, D]`` that turn with the positions and do not move with them, such as velocities and forces.

    Each node reads norms and dot products of its own vectors, but not their directions relative to the positions; see
    :class:`~graphscore.nn.layers.vector_inputs.VectorInputs`. It also reads the vectors of its graph, with its position
    relative to the centroid as one more vector, and the normalised sum of the vectors of the edges into it.

    Args:
        level: What a row belongs to: ``"node"``, ``"edge"`` or ``"graph"``.
        antisymmetric: For edges: the vector is the opposite one in the other direction.
    """


@dataclass(frozen=True)
class Chirality(Input):
    """Required handedness of stereocentres: an attribute ``[4, T]`` of centres and three neighbors each.

    See :func:`~graphscore.nn.layers.signed_volumes.handedness`. The backbone reads it as an input vector.

    Raises:
        ValueError: If it is of another level than nodes.
    """

    def __post_init__(self) -> None:
        if self.level != "node":
            raise ValueError(f"Chirality: level must be 'node', but is {self.level!r}")
        super().__post_init__()


@dataclass(frozen=True)
class ModuleInput(_Filled):
    """An attribute that a custom module reads.

    Args:
        module: Maps the attribute to ``[rows, channels]``: a function that is called with ``channels`` and builds the
            module, such as ``lambda channels: nn.Linear(3, channels, bias=False)``; or the module itself. The channels
            are the backbone's: ``hidden_channels`` for nodes, ``edge_channels`` and ``cond_channels``.
        level: What a row belongs to: ``"node"``, ``"edge"`` or ``"graph"``.
        antisymmetric: For edges: the values change their sign with the direction of the edge.
        fill: For edges: the value of edges that a neighbor search finds.
    """

    module: nn.Module | Callable[[int], nn.Module]

    def embedding(self, channels: int) -> nn.Module:
        """Build the module, or return it if it is built already."""
        return self.module if isinstance(self.module, nn.Module) else self.module(channels)


class Shape(NamedTuple):
    """Level and number of columns of a diffusing field (``None`` if not known), and whether it is periodic."""

    level: str
    width: int | None
    periodic: bool = False


class _Field(Protocol):
    @property
    def level(self) -> str: ...
    @property
    def width(self) -> int | None: ...
    @property
    def periodic(self) -> bool: ...


class Process(Protocol):
    """The part of a process that a network reads: its fields by name, in order."""

    @property
    def fields(self) -> Mapping[str, _Field]: ...  # noqa: D102


def field_shapes(process: Process | Mapping[str, int], inputs: Mapping[str, Input]) -> dict[str, Shape]:
    """Read levels and widths of the diffusing fields.

    Args:
        process: A process, or the number of columns of each field by name: these are fields of nodes, unless there is
            an input of the same name with another level.
        inputs: The inputs of the network. An input with the name of a field describes that field.

    Raises:
        ValueError: If an input has the name of a field, but another level or width, or is nothing that can diffuse.
    """
    if isinstance(process, Mapping):
        levels = {name: inputs[name].level if name in inputs else "node" for name in process}
        shapes = {name: Shape(levels[name], width) for name, width in process.items()}
    else:
        shapes = {name: Shape(field.level, field.width, field.periodic) for name, field in process.fields.items()}
    for name, (level, width, periodic) in shapes.items():
        if level not in LEVELS:
            raise ValueError(
                f"ScoreNetwork: the field {name!r} is of level {level!r}, but a ScoreNetwork reads and writes those of "
                f"{LEVELS}: write a score model of your own"
            )
        given = inputs.get(name)
        if given is None:
            continue
        if not isinstance(given, Feature | Vector):
            raise ValueError(
                f"ScoreNetwork: the field {name!r} diffuses: it can be a Feature or a Vector, but is given as {given}"
            )
        if given.level != level or (isinstance(given, Feature) and given.width != (width or given.width)):
            raise ValueError(
                f"ScoreNetwork: the field {name!r} is of level {level!r} with {width} columns, but is given as {given}"
            )
        if isinstance(given, Feature):
            shapes[name] = Shape(level, given.width, periodic)
    return shapes
