"""Drawings of graphs by the layout model: ``graphscore.layout(G)``, a dict for ``networkx.draw``."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.layouts.arrangement import GAP, pack, rescale, separate
from graphscore.layouts.energies import TotalEnergy
from graphscore.layouts.inputs import Component, NumberedGraph, is_graph, number_nodes
from graphscore.layouts.metrics import measure_drawings
from graphscore.layouts.options import Array, Options, Positions, Seed, check_options, read_center, read_seed
from graphscore.layouts.placement import MOST_DENSE, Anchors, Method, Task, draw_components
from graphscore.layouts.refinement import Choice
from graphscore.layouts.sampling import WEIGHTS
from graphscore.rng import mix_seed
from graphscore.runtime.workers import map_in_workers

CHUNK = 64
"""Most graphs of a list that a worker process gets at once."""
MOST_COMPONENTS = 100
"""Largest number of components of a graph that the model draws."""


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
    refine: Choice = "auto",
    node_size: float | Mapping[Any, float] | None = None,
    start: Positions | None = None,
    noise: float | None = None,
    model: str = "layout",
    tries: int | None = None,
    energies: Mapping[Any, float] | None = None,
    workers: int = 1,
) -> Any:
    """Draw a graph by a diffusion model that was trained on good drawings, then refine the drawing.

    >>> import networkx as nx, graphscore as gs
    >>> pos = gs.layout(nx.petersen_graph(), seed=0)  # doctest: +SKIP
    >>> nx.draw(nx.petersen_graph(), pos=pos)  # doctest: +SKIP

    Components are drawn one by one, and packed side by side. The drawing depends on the graph, the options and the
    seed alone.

    Args:
        G: Graph of networkx, igraph or rustworkx, a PyG ``Data``, or a list of edges; or a list of graphs, or a PyG
            ``Batch``, for a list of results: each is what the graph alone would give.
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
        refine: ``"auto"`` is ``"stress"`` with the weights of the library and ``None`` with a model of your own, whose
            style it would undo; ``"stress"`` to lessen the stress; ``"crossings"`` to then remove crossings too, of
            the best quarter of the drawings; ``None`` for drawings of the model as they are, without edge lengths.
        node_size: Diameter of nodes, one for all or by node, in lengths of an edge: nodes do not overlap.
        start: Old positions of some or all nodes, in coordinates of your own: those nodes stay, and new ones find their
            places.
        noise: Time from 0.1 to 1 up to which ``start`` is diffused first, so that old nodes move, too: the longer,
            the less is kept.
        model: Name of weights of the library, a model file, or the folder of a run.
        tries: Number of drawings, at least ``num``, of which the best ``num`` are returned; ``num`` by default. Of
            those that are refined, the model draws two, or ``num``; the others start at random positions.
        energies: Strength of each energy of :mod:`graphscore.layouts.energies`, by its name or as an object:
            ``{"crossings": 1.0, AspectRatio(2.0): 3.0}``; names are crossings, overlap, alignment, grid, aspect-ratio
            and symmetry. The drawing, each component on its own, then lessens its stress over ordered pairs plus the
            energies times their strengths: strength 1 of crossings gives up to 1 of stress for one crossing less. With
            ``refine=None``, the energies guide the model instead.
        workers: Number of processes among which a list of graphs is shared; 0 for one for each CPU core.

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
    if not isinstance(G, list | tuple) or not G or not all(is_graph(item) for item in G):
        G, several = [G], False
    else:
        several = True
    number = read_seed(seed)
    draw = partial(
        _draw_graphs, pos=pos, fixed=fixed, weight=weight, length=length, scale=scale, center=center, dim=dim,
        seed=number, num=num, refine=refine, node_size=node_size, start=start, noise=noise, model=model, tries=tries,
        energies=energies,
    )  # fmt: skip
    if workers < 0:
        raise ValueError(f"Expected workers of at least 0, but got {workers}")
    if workers == 1 or len(G) == 1:
        results = draw(G)
    else:
        size = max(1, min(CHUNK, len(G) // 8))
        chunks = [G[first : first + size] for first in range(0, len(G), size)]
        results = list(chain.from_iterable(map_in_workers(draw, chunks, workers)))
    return results if several else results[0]


def _draw_graphs(
    graphs: Sequence[Any], *, pos: Any, fixed: Any, weight: Any, length: Any, scale: Any, center: Any, dim: int,
    seed: int, num: int, refine: Choice, node_size: Any, start: Any, noise: Any, model: str, tries: int | None,
    energies: Mapping[Any, float] | None,
) -> list[Any]:  # fmt: skip
    """Draw graphs, see :func:`layout`."""
    middle = read_center(center, dim)
    energy = TotalEnergy(energies) if energies else None
    chosen = ("stress" if model == WEIGHTS else None) if refine == "auto" else refine
    method = Method(chosen, noise, model, dim, num, num if tries is None else tries, energy)
    checked, tasks = [], list[Task]()
    for G in graphs:
        graph = number_nodes(G, weight, length)
        options = check_options(graph, pos, fixed, node_size, start, method, length or weight)
        components = graph.components()
        tasks += _tasks(components, options, seed)
        checked.append((graph, options, components))
    parts, results = iter(draw_components(tasks, method)), []
    for graph, options, components in checked:
        drawings = _arranged(graph, options, components, [next(parts) for _ in components])
        if not options.anchors:
            drawings = [rescale(one, scale, middle) for one in drawings]
        edges = graph.edge_index()
        several = [Layout(dict(zip(graph.labels, one, strict=True)), edges) for one in drawings]
        for result in several if options.held else ():
            result.update({graph.labels[node]: value.copy() for node, value in options.anchors.items()})
        results.append(several if num > 1 else several[0])
    return results


def _tasks(components: Sequence[Component], options: Options, seed: int) -> list[Task]:
    """The components of a graph, to be drawn; the model draws the largest ones, if they are very many."""
    large = [len(component.nodes) for component in components if len(component.nodes) > 2]
    if large and options.radius is not None and large[0] > MOST_DENSE:
        raise ValueError(f"Sizes of nodes are for components of up to {MOST_DENSE} nodes, but one has {large[0]}")
    if len(large) > MOST_COMPONENTS:
        warnings.warn(
            f"The graph has {len(large)} components of three nodes or more: all but the {MOST_COMPONENTS} largest are "
            "drawn by stress majorisation alone",
            stacklevel=4,
        )
    return [
        Task(component, mix_seed(seed, number), _anchors(component, options), number < MOST_COMPONENTS)
        for number, component in enumerate(components)
    ]


def _arranged(
    graph: NumberedGraph, options: Options, components: Sequence[Component], parts: Sequence[Sequence[Array]]
) -> list[Array]:
    """Arrange drawings of components: positions ``[N, D]``, the best first."""
    dim = options.method.dim
    anchored = [any(node in options.anchors for node in component.nodes) for component in components]
    drawings = []
    for k in range(options.method.num):
        pos = np.zeros((len(graph.labels), dim))
        radii = [np.zeros(len(c.nodes)) if options.radius is None else options.radius[c.nodes] for c in components]
        placed = [
            separate(part[k], radius, _held(component, options)) if options.radius is not None else part[k]
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


def _anchors(component: Component, options: Options) -> Anchors | None:
    here = {place: options.anchors[node] for place, node in enumerate(component.nodes) if node in options.anchors}
    return Anchors([*here], np.array([*here.values()]), options.held) if here else None


def _held(component: Component, options: Options) -> NDArray[np.bool_] | None:
    if not options.held:
        return None
    return np.array([node in options.anchors for node in component.nodes])
