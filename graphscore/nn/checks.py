"""What networks check before they compute: arguments and parts that do not fit, named in one sentence.

Only shapes and types are looked at, which the host knows: no device is waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphscore.nn.attributes import fits

if TYPE_CHECKING:
    from graphscore.nn.score_network import ScoreNetwork

LEVELS = ("node", "edge", "graph")


class CheckedBackbone(nn.Module):
    """A backbone that checks its arguments, see :class:`~graphscore.nn.backbones.base.Backbone`, at each call."""

    hidden_channels: int
    edge_channels: int
    cond_channels: int

    def __call__(
        self,
        h: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        batch: Tensor,
        cond: Tensor,
        edge_attr: Tensor | None = None,
        *more: Any,
        **options: Any,
    ) -> tuple[Tensor, Tensor]:
        """Compute, see :meth:`~graphscore.nn.backbones.base.Backbone.__call__`.

        Raises:
            ValueError: If an argument is missing, too much, or of the wrong shape or type.
        """
        if not torch.compiler.is_compiling():
            _check_arguments(self, h, pos, edge_index, batch, cond, edge_attr)
        return super().__call__(h, pos, edge_index, batch, cond, edge_attr, *more, **options)


def _check_arguments(
    backbone: CheckedBackbone,
    h: Tensor,
    pos: Tensor,
    edge_index: Tensor,
    batch: Tensor,
    cond: Tensor,
    edge_attr: Tensor | None,
) -> None:
    num_nodes, num_edges = batch.shape[0], edge_index.shape[-1] if isinstance(edge_index, Tensor) else None
    arguments: list[tuple[str, Tensor | None, tuple[int | None, ...], bool]] = [
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
    if backbone.edge_channels:
        arguments.append(("edge_attr", edge_attr, (num_edges, backbone.edge_channels), True))
    like = next(backbone.parameters(), h)
    for name, value, shape, real in arguments:
        if not isinstance(value, Tensor):
            kind, names = ("nothing" if value is None else type(value).__name__), _shape(shape)
            raise ValueError(f"{type(backbone).__name__}: {name} must be a tensor {names}, but is {kind}")
        if len(shape) != value.dim() or any(a is not None and a != b for a, b in zip(shape, value.shape, strict=True)):
            raise ValueError(
                f"{type(backbone).__name__}: {name} must have shape {_shape(shape)}, but has {list(value.shape)}"
            )
        if value.dtype != torch.long if not real else not fits(value, like):
            wanted = like.dtype if real else torch.long
            raise ValueError(f"{type(backbone).__name__}: {name} must be {wanted}, but is {value.dtype}")


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('*' if size is None else str(size) for size in shape)}]"


def check_carried(layer: nn.Module, carries: bool, vectors: Tensor | None) -> None:
    """Check that a layer is given vectors if it was built to carry some, and else none.

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
    backbone, edge_inputs, levels = network.backbone, sorted(network.edge_inputs), network.levels
    widths = {name: network.fields[name] for name in network.vector_fields}
    unfilled = sorted(set(network.neighbors.fill if network.neighbors else ()) - set(edge_inputs))
    of_edges = sorted(name for name, level in levels.items() if level == "edge")
    unknown = sorted(set(levels) - set(network.fields) - set(network.vectors))
    signed = sorted(network.antisymmetric - set(of_edges) - set(edge_inputs))
    problems = (
        (bool(unknown), f"levels are those of fields and vectors, but {unknown} are neither"),
        (not set(levels.values()) <= set(LEVELS), f"a level is one of {LEVELS}, but levels are {levels}"),
        (
            levels.get(network.positions or "") not in (None, "node"),
            f"{network.positions!r} are the positions of nodes",
        ),
        (bool(signed), f"antisymmetric are attributes of edges, but {signed} are none; those are {of_edges}"),
        (
            bool(of_edges and network.neighbors),
            f"edges that neighbors find at each call have no values of {of_edges}: give graphs all their edges, "
            "such as by CompleteGraph, and no neighbors",
        ),
        (
            bool(edge_inputs or of_edges) != bool(backbone.edge_channels),
            f"the backbone has edge_channels={backbone.edge_channels}, but edge_inputs are {edge_inputs}"
            + (f", and fields or vectors of edges {of_edges}" if of_edges else ""),
        ),
        (not backbone.cond_channels, "the backbone needs cond_channels > 0 to be told the noise level"),
        (
            len(widths) > backbone.vector_channels,
            f"the backbone has vector_channels={backbone.vector_channels}, but the vector fields are {[*widths]}",
        ),
        (len(set(widths.values())) > 1, f"vector fields need the same number of columns, but have {widths}"),
        (
            network.positions in network.vectors,
            f"{network.positions!r} are the positions: name other attributes as vectors",
        ),
        (
            network.positions is None and bool(network.vectors or network.neighbors),
            "vectors and neighbors need positions, but positions=None",
        ),
        (
            network.chirality is not None and getattr(backbone, "input_vectors", 0) != 1,
            f"chirality is told by an input vector, but the backbone has {getattr(backbone, 'input_vectors', 0)}: "
            "take one that has them, with input_vectors=1",
        ),
        (
            network.positions is None and network.chirality is not None,
            "chirality needs positions, but positions=None",
        ),
        (bool(unfilled), f"neighbors have fill values for {unfilled}, but edge_inputs are {edge_inputs}"),
    )
    for found, problem in problems:
        if found:
            raise ValueError(f"ScoreNetwork: {problem}")
