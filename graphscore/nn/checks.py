"""Checks of the arguments and parts of networks, with one-sentence error messages.

Checks read only shapes and types, which are on the host, so that no device has to be synchronised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphscore.nn.attributes import fits
from graphscore.nn.inputs import Chirality

if TYPE_CHECKING:
    from graphscore.nn.backbones.base import CheckedBackbone
    from graphscore.nn.score_network import ScoreNetwork

Argument = tuple[str, Tensor | None, tuple[int | None, ...], bool]
"""Name and value of an argument, its shape with ``None`` for any size, and whether it holds real numbers or indices."""


def check_arguments(
    backbone: CheckedBackbone,
    h: Tensor,
    pos: Tensor,
    edge_index: Tensor,
    batch: Tensor | None,
    cond: Tensor | None,
    edge_attr: Tensor | None,
    vectors: Tensor | None,
) -> None:
    """Check the arguments of a backbone.

    Raises:
        ValueError: If one is missing, superfluous, or of the wrong shape or type.
    """
    num_nodes = batch.shape[0] if isinstance(batch, Tensor) else None
    num_edges = edge_index.shape[-1] if isinstance(edge_index, Tensor) else None
    arguments: list[Argument] = [
        ("h", h, (num_nodes, backbone.hidden_channels), True),
        ("pos", pos, (num_nodes, None), True),
        ("edge_index", edge_index, (2, None), False),
        ("batch", batch, (None,), False),
        ("cond", cond, (None, backbone.cond_channels), True),
    ]
    if edge_attr is not None and not backbone.edge_channels:
        raise ValueError(
            f"{type(backbone).__name__}: edge_attr would not be read: build it with edge_channels="
            f"{edge_attr.shape[-1] if edge_attr.dim() > 1 else 1}, or give none"
        )
    num_vectors = 0 if vectors is None else vectors.shape[1]
    if num_vectors != backbone.input_vectors:
        raise ValueError(
            f"{type(backbone).__name__}: expected {backbone.input_vectors} input vectors per node, but got "
            f"{num_vectors}"
        )
    if vectors is not None:
        arguments.append(("vectors", vectors, (num_nodes, num_vectors, None), True))
    if backbone.edge_channels:
        arguments.append(("edge_attr", edge_attr, (num_edges, backbone.edge_channels), True))
    check_tensors(type(backbone).__name__, arguments, next(backbone.parameters(), h))


def check_tensors(owner: str, arguments: Iterable[Argument], like: Tensor) -> None:
    """Check the shapes and types of arguments.

    Args:
        owner: Name of the class that takes them, for messages.
        arguments: The arguments.
        like: A parameter, whose type real numbers must have.

    Raises:
        ValueError: If one is no tensor, or of the wrong shape or type.
    """
    for name, value, shape, real in arguments:
        if not isinstance(value, Tensor):
            kind, names = ("nothing" if value is None else type(value).__name__), _shape(shape)
            raise ValueError(f"{owner}: {name} must be a tensor {names}, but is {kind}")
        if len(shape) != value.dim() or any(a is not None and a != b for a, b in zip(shape, value.shape, strict=True)):
            raise ValueError(f"{owner}: {name} must have shape {_shape(shape)}, but has {list(value.shape)}")
        if value.dtype != torch.long if not real else not fits(value, like):
            wanted = like.dtype if real else torch.long
            raise ValueError(f"{owner}: {name} must be {wanted}, but is {value.dtype}")


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('*' if size is None else str(size) for size in shape)}]"


def check_carried(layer: nn.Module, carries: bool, vectors: Tensor | None) -> None:
    """Check that a layer gets vectors if and only if it was built to carry some.

    Raises:
        ValueError: If it is not.
    """
    if carries != (vectors is not None):
        raise ValueError(
            f"{type(layer).__name__} was built with carries={carries}, but it is given "
            f"{'no vectors' if vectors is None else 'vectors, which it would not read'}"
        )


def check_width(layer: nn.Module, name: str, value: Tensor, channels: int) -> None:
    """Check the number of columns of an argument of a layer.

    Raises:
        ValueError: If it has others than the layer was built for.
    """
    if value.shape[-1] != channels:
        raise ValueError(
            f"{type(layer).__name__}: {name} must have {channels} columns, as the layer was built for, but has shape "
            f"{list(value.shape)}"
        )


def check_network(network: ScoreNetwork) -> None:
    """Check that the parts of a score network fit together.

    Raises:
        ValueError: If they do not, with one sentence that says why.
    """
    backbone, levels = network.backbone, network.levels
    edge_inputs = sorted(name for name, given in network.inputs.items() if given.level == "edge" and name not in levels)
    widths = {name: network.fields[name] for name in network.vector_fields if network.fields[name] is not None}
    of_edges = sorted(name for name, level in levels.items() if level == "edge")
    embedded = network.fields if network.oriented else set(network.fields) - set(network.vector_fields)
    unsized = sorted(name for name in embedded if network.fields[name] is None)
    chiral = [name for name, given in network.inputs.items() if isinstance(given, Chirality)]
    problems = (
        (
            levels.get(network.positions or "") not in (None, "node"),
            f"{network.positions!r} are the positions of nodes",
        ),
        (
            bool(set(network.angles) & set(network.vector_fields)),
            f"positions and vectors have no period, but the periodic fields are {network.angles}",
        ),
        (
            any(levels[name] == "edge" for name in network.angles),
            f"of periodic fields, those of nodes and graphs can be read, but {network.angles} belong to edges",
        ),
        (
            network.positions in network.inputs,
            f"{network.positions!r} are the positions: name other attributes as inputs",
        ),
        (
            bool(unsized),
            f"the fields {unsized} need their number of columns, such as Field({next(iter(unsized), '')!r}, width=3)",
        ),
        (
            bool(of_edges and network.neighbors),
            f"edges that neighbors find at each call have no values of {of_edges}: give graphs all their edges, "
            "such as by CompleteGraph, and no neighbors",
        ),
        (
            bool(edge_inputs or of_edges) != bool(backbone.edge_channels),
            f"the backbone has edge_channels={backbone.edge_channels}, but the inputs of edges are {edge_inputs}"
            + (f", and fields or vectors of edges {of_edges}" if of_edges else ""),
        ),
        (not backbone.cond_channels, "the backbone needs cond_channels > 0 to read the noise level"),
        (
            len(network.vector_fields) > backbone.vector_channels,
            f"the backbone has vector_channels={backbone.vector_channels}, but the vector fields are "
            f"{network.vector_fields}",
        ),
        (len(set(widths.values())) > 1, f"vector fields need the same number of columns, but have {widths}"),
        (
            network.positions is None and bool(network.vectors or network.neighbors),
            "vectors and neighbors need positions, but positions=None",
        ),
        (len(chiral) > 1, f"one input can be the chirality, but {chiral} are"),
        (
            bool(chiral) and getattr(backbone, "input_vectors", 0) != 1,
            f"chirality is read by an input vector, but the backbone has {getattr(backbone, 'input_vectors', 0)}: "
            "take one that has them, with input_vectors=1",
        ),
        (network.positions is None and bool(chiral), "chirality needs positions, but positions=None"),
    )
    for found, problem in problems:
        if found:
            raise ValueError(f"ScoreNetwork: {problem}")


def check_fields(network: ScoreNetwork, fields: Mapping[str, tuple[str, int | None]]) -> None:
    """Check that the fields of a process are those of a network, see :meth:`ScoreNetwork.check_fields`.

    Raises:
        ValueError: If they are not.
    """
    own = {name: (network.levels[name], width) for name, width in network.fields.items()}
    # A number of columns that only one side gives holds for both.
    own = {name: (level, width or fields.get(name, (level, None))[1]) for name, (level, width) in own.items()}
    given = {name: (level, width or network.fields.get(name)) for name, (level, width) in fields.items()}
    if [*own.items()] != [*given.items()]:
        raise ValueError(
            f"The network has the fields {_listed(own)}, but the process has {_listed(given)}: both need the same, "
            "in the same order"
        )


def _listed(fields: Mapping[str, tuple[str, int | None]]) -> str:
    return ", ".join(f"{name!r} ({level}, {width} columns)" for name, (level, width) in fields.items())
