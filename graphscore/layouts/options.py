"""Checked options of :func:`graphscore.layout`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphscore.layouts.inputs import NumberedGraph
from graphscore.layouts.placement import Method
from graphscore.layouts.refinement import REFINEMENTS
from graphscore.registry import close_to

Array = NDArray[np.float64]
Seed = int | np.random.Generator | np.random.RandomState | None
Positions = Mapping[Any, Any]


class Options(NamedTuple):
    """Checked options of a call.

    Attributes:
        anchors: Given positions by number of the node, in the caller's coordinates.
        held: Whether nodes with given positions stay.
        radius: Radii of the nodes ``[N]``, in lengths of an edge; ``None`` without sizes.
        method: How components are drawn.
    """

    anchors: dict[int, Array]
    held: bool
    radius: Array | None
    method: Method


def check_options(
    graph: NumberedGraph, pos: Positions | None, fixed: Iterable[Hashable] | None,
    node_size: float | Mapping[Any, float] | None, start: Positions | None, method: Method, lengths: str | None,
) -> Options:  # fmt: skip
    """Check the options of a call of :func:`graphscore.layout`, which explains them.

    Args:
        graph: The graph.
        pos: Given positions.
        fixed: Nodes that stay.
        node_size: Diameters.
        start: Old positions.
        method: How components are to be drawn.
        lengths: Name of an attribute of lengths or weights, if there is one.

    Raises:
        ValueError: If one is out of range, or two do not go together.
    """
    refine, noise, dim = method.refinement, method.noise, method.dim
    if method.num < 1 or dim < 2:
        raise ValueError(f"Expected num of at least 1 and dim of at least 2, but got {method.num} and {dim}")
    if method.tries < method.num:
        raise ValueError(f"The best {method.num} are chosen among tries, but those are only {method.tries}")
    if refine not in REFINEMENTS:
        raise ValueError(
            f"Expected refine among {REFINEMENTS}, but got {refine!r}{close_to(str(refine), filter(None, REFINEMENTS))}"
        )
    if refine is None and (lengths is not None or dim != 2):
        raise ValueError('Lengths, weights and dimensions other than 2 need refine="stress" or "crossings"')
    if method.energy is not None and dim != 2:
        raise ValueError(f"Energies are those of drawings in the plane, but dim is {dim}")
    if noise is not None and (start is None or not 0.1 <= noise <= 1):
        raise ValueError(f"noise diffuses `start`, up to a time from 0.1 to 1, but is {noise}")
    if start is not None and (pos is not None or fixed is not None):
        raise ValueError("Give either start, whose nodes stay by themselves, or pos and fixed")
    if fixed is not None and pos is None:
        raise ValueError("Give the positions of the fixed nodes by pos")
    number = {label: place for place, label in enumerate(graph.labels)}
    given = {} if pos is None and start is None else dict((pos if start is None else start) or {})
    wanted = [*given] if fixed is None else [*fixed]
    if strange := [node for node in wanted if node not in number and (fixed is not None or start is None)]:
        raise ValueError(f"Not in the graph: {strange[:5]}")
    if missing := [node for node in wanted if node not in given]:
        raise ValueError(f"Fixed nodes without a position: {missing[:5]}")
    anchors = {number[node]: np.array(given[node], dtype=np.float64) for node in wanted if node in number}
    for node, value in anchors.items():
        if value.shape != (dim,) or not np.isfinite(value).all():
            raise ValueError(f"Expected {dim} finite coordinates of {graph.labels[node]!r}, but got {value}")
    radius = None if node_size is None else _radii(graph, node_size)
    held = bool(anchors) and (fixed is not None or (start is not None and noise is None))
    return Options(anchors, held, radius, method)


def _radii(graph: NumberedGraph, node_size: float | Mapping[Any, float]) -> Array:
    sizes = [node_size.get(label, 0) if isinstance(node_size, Mapping) else node_size for label in graph.labels]
    radius = np.array(sizes, dtype=np.float64) / 2
    if not (np.isfinite(radius).all() and (radius >= 0).all()):
        raise ValueError(f"Sizes of nodes must be finite and not negative, but are {node_size}")
    return radius


def read_center(center: Any, dim: int) -> Array:
    """Read the point ``[D]`` in the middle; the origin for ``None``.

    Raises:
        ValueError: If it has another dimension.
    """
    middle = np.zeros(dim) if center is None else np.asarray(center, dtype=np.float64)
    if middle.shape != (dim,):
        raise ValueError(f"Expected center to have {dim} coordinates, but got {center}")
    return middle


def read_seed(seed: Seed) -> int:
    """Read a seed: a generator draws it, and ``None`` is another one at each call.

    Raises:
        ValueError: If it is negative.
    """
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**31))
    if isinstance(seed, np.random.RandomState):
        return int(seed.randint(2**31 - 1))
    number = int(np.random.default_rng().integers(2**31)) if seed is None else int(seed)
    if number < 0:
        raise ValueError(f"seed must not be negative, but is {seed}")
    return number
