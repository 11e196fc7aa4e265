"""Drawings of graphs by the layout model: ``graphscore.layout(G)``, a dict for ``networkx.draw``."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.layouts.arrangement import GAP, pack, rescale, separate
from graphscore.layouts.inputs import Component, NumberedGraph, number_nodes
from graphscore.layouts.metrics import measure_drawings
from graphscore.layouts.placement import MOST_DENSE, Anchors, Method, draw_component
from graphscore.layouts.refinement import REFINEMENTS, Refinement
from graphscore.rng import mix_seed

Array = NDArray[np.float64]
Seed = int | np.random.Generator | np.random.RandomState | None
Positions = Mapping[Any, Any]


class Layout(dict[Hashable, Array]):
    """Positions of nodes, an array ``[D]`` for each, as the layouts of networkx return them.

    Args:
        positions: Positions by node.
        edge_index: Edges ``[2, E]`` by the number of the node.
    """

    def __init__(self, positions: Mapping[Hashable, Array], edge_index: Tensor) -> None:
        super().__init__(positions)
        self._edge_index = edge_index

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Metrics of the drawing, see :mod:`graphscore.layouts.metrics`.

        Raises:
            ValueError: If the drawing is not in the plane.
        """
        pos = torch.from_numpy(np.array([*self.values()]).reshape(len(self), -1))
        data = Data(edge_index=self._edge_index, pos=pos, num_nodes=len(self))
        return {name: value.item() for name, value in measure_drawings([data]).items()}


class _Wish(NamedTuple):
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


def layout(
    G: Any,
    pos: Positions | None = None,
    fixed: Iterable[Hashable] | None = None,
    weight: str | None = None,
    length: str | None = None,
    scale: float | None = 1,
    center: Any = None,
    dim: int = 2,
    seed: Seed = None,
    num: int = 1,
    refine: Refinement = "stress",
    node_size: float | Mapping[Any, float] | None = None,
    start: Positions | None = None,
    noise: float | None = None,
    model: str = "layout",
) -> Any:
    """Draw a graph by a diffusion model that was trained on good drawings, then refine the drawing.

    >>> import networkx as nx, graphscore as gs
    >>> pos = gs.layout(nx.petersen_graph(), seed=0)  # doctest: +SKIP
    >>> nx.draw(nx.petersen_graph(), pos=pos)  # doctest: +SKIP

    Components are drawn one by one, and packed side by side. The drawing depends on the graph, the options and the
    seed alone.

    Args:
        G: Graph of networkx, igraph or rustworkx, a PyG ``Data``, or a list of edges; or a list of ``Data``, or a PyG
            ``Batch``, for a list of results.
        pos: Positions of the fixed nodes, in coordinates of your own. Without ``fixed``, where the refinement starts.
        fixed: Nodes that stay at their positions, to the bit.
        weight: Name of an edge attribute, the attraction of the ends: the wanted length of an edge is multiplied by
            its power of -1/3, as in ``networkx.spring_layout``.
        length: Name of an edge attribute, the wanted length of an edge; 1 by default.
        scale: Largest coordinate; ``None`` for lengths of an edge. Drawings with given positions are in their unit and
            place instead.
        center: Point ``[D]`` in the middle.
        dim: Dimension; the model draws in the plane, other dimensions are left to the refinement.
        seed: Number, or generator of numpy; ``None`` for another drawing at each call.
        num: Number of drawings; several are drawn together, and returned as a list, the best first, by stress and
            crossings.
        refine: ``"stress"`` to lessen the stress; ``"crossings"`` to then remove crossings too, of the best quarter
            of the drawings; ``None`` for drawings of the model as they are, without edge lengths.
        node_size: Diameter of nodes, one for all or by node, in lengths of an edge: nodes do not overlap.
        start: Old positions of some or all nodes, in coordinates of your own: those nodes stay, and new ones find their
            places.
        noise: Time from 0.1 to 1 up to which ``start`` is diffused first, so that old nodes move, too: the longer,
            the less is kept.
        model: Name of weights of the library, a model file, or the folder of a run.

    Returns:
        Dict of positions ``[D]`` by node, with the attribute ``metrics``; a list of ``num`` if that is above 1.

    Raises:
        TypeError: If ``G`` is no graph.
        ValueError: If an option or an edge attribute is out of range, or a node is not in the graph.

    References:
        Gansner, Koren and North (2005), Graph drawing by stress majorization (refinement).
    """
    if isinstance(G, Data) and hasattr(G, "to_data_list"):
        G = G.to_data_list()
    options = (pos, fixed, weight, length, scale, center, dim, seed, num, refine, node_size, start, noise, model)
    if isinstance(G, list | tuple) and G and all(isinstance(item, Data) for item in G):
        number = _seed(seed)
        return [layout(item, *options[:7], number, *options[8:]) for item in G]
    graph = number_nodes(G, weight, length)
    middle = _center(center, dim)
    wish = _wish(graph, pos, fixed, num, refine, node_size, start, noise, model, dim, length or weight)
    drawings = _drawn(graph, wish, _seed(seed), num, dim)
    if not wish.anchors:
        drawings = [rescale(one, scale, middle) for one in drawings]
    edges = graph.edge_index()
    results = [Layout(dict(zip(graph.labels, one, strict=True)), edges) for one in drawings]
    for result in results if wish.held else ():
        result.update({graph.labels[node]: value.copy() for node, value in wish.anchors.items()})
    return results if num > 1 else results[0]


def _drawn(graph: NumberedGraph, wish: _Wish, seed: int, num: int, dim: int) -> list[Array]:
    """Draw all components, and arrange them: positions ``[N, D]``, the best first."""
    components = graph.components()
    largest = max((len(component.nodes) for component in components), default=0)
    if wish.radius is not None and largest > MOST_DENSE:
        raise ValueError(f"Sizes of nodes are for components of up to {MOST_DENSE} nodes, but one has {largest}")
    parts = [
        draw_component(component, wish.method, mix_seed(seed, number), num, dim, _anchors(component, wish))
        for number, component in enumerate(components)
    ]
    anchored = [any(node in wish.anchors for node in component.nodes) for component in components]
    drawings = []
    for k in range(num):
        pos = np.zeros((len(graph.labels), dim))
        radii = [np.zeros(len(c.nodes)) if wish.radius is None else wish.radius[c.nodes] for c in components]
        placed = [
            separate(part[k], radius, _held(component, wish)) if wish.radius is not None else part[k]
            for component, part, radius in zip(components, parts, radii, strict=True)
        ]
        free = [number for number, is_anchored in enumerate(anchored) if not is_anchored]
        moved = pack([placed[number] for number in free], GAP, [radii[number] for number in free])
        there = [placed[number] for number, is_anchored in enumerate(anchored) if is_anchored]
        if there:  # new components come below what has a place already
            low, left = np.concatenate(there).min(0), np.concatenate(moved or [np.zeros((1, dim))]).max(0)
            shift = np.zeros(dim)
            shift[:2] = low[0], low[1] - GAP - left[1]
            moved = [part + shift for part in moved]
        for number, part in zip(free, moved, strict=True):
            placed[number] = part
        for component, part in zip(components, placed, strict=True):
            pos[component.nodes] = part
        drawings.append(pos)
    return drawings


def _anchors(component: Component, wish: _Wish) -> Anchors | None:
    here = {place: wish.anchors[node] for place, node in enumerate(component.nodes) if node in wish.anchors}
    return Anchors([*here], np.array([*here.values()]), wish.held) if here else None


def _held(component: Component, wish: _Wish) -> NDArray[np.bool_] | None:
    if not wish.held:
        return None
    return np.array([node in wish.anchors for node in component.nodes])


def _wish(
    graph: NumberedGraph, pos: Positions | None, fixed: Iterable[Hashable] | None, num: int, refine: Refinement,
    node_size: float | Mapping[Any, float] | None, start: Positions | None, noise: float | None, model: str, dim: int,
    lengths: str | None,
) -> _Wish:  # fmt: skip
    """Check the options of a call.

    Raises:
        ValueError: If one is out of range, or two do not go together.
    """
    if num < 1 or dim < 2:
        raise ValueError(f"Expected num of at least 1 and dim of at least 2, but got {num} and {dim}")
    if refine not in REFINEMENTS:
        raise ValueError(f"Expected refine among {REFINEMENTS}, but got {refine!r}")
    if refine is None and (lengths is not None or dim != 2):
        raise ValueError('Lengths, weights and dimensions other than 2 need refine="stress" or "crossings"')
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
    return _Wish(anchors, held, radius, Method(refine, noise, model))


def _radii(graph: NumberedGraph, node_size: float | Mapping[Any, float]) -> Array:
    sizes = [node_size.get(label, 0) if isinstance(node_size, Mapping) else node_size for label in graph.labels]
    radius = np.array(sizes, dtype=np.float64) / 2
    if not (np.isfinite(radius).all() and (radius >= 0).all()):
        raise ValueError(f"Sizes of nodes must be finite and not negative, but are {node_size}")
    return radius


def _center(center: Any, dim: int) -> Array:
    middle = np.zeros(dim) if center is None else np.asarray(center, dtype=np.float64)
    if middle.shape != (dim,):
        raise ValueError(f"Expected center to have {dim} coordinates, but got {center}")
    return middle


def _seed(seed: Seed) -> int:
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**31))
    if isinstance(seed, np.random.RandomState):
        return int(seed.randint(2**31 - 1))
    number = int(np.random.default_rng().integers(2**31)) if seed is None else int(seed)
    if number < 0:
        raise ValueError(f"seed must not be negative, but is {seed}")
    return number
