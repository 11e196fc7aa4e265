"""Drawings of one connected component: by the model, by stress alone, or at positions that are given."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphscore.layouts.descent import descend
from graphscore.layouts.distances import shortest_paths
from graphscore.layouts.energies import DrawingEnergy
from graphscore.layouts.inputs import Component
from graphscore.layouts.large import draw_large
from graphscore.layouts.refinement import STEPS, Refinement, refine
from graphscore.layouts.sampling import MOST_NODES, load_layout_model, sample_drawings
from graphscore.layouts.scaling import scale_classically
from graphscore.linalg.kabsch import align
from graphscore.rng import SAMPLING, GraphGenerator, mix_seed

Array = NDArray[np.float64]
MOST_DENSE = 1000
"""Largest graphs whose distances of all pairs are computed; larger ones are drawn by sparse stress."""


SPREAD = 4.0
"""Standard deviation of random places, in lengths of an edge."""
BY_MODEL = 2
"""Drawings to be refined that the model draws if more are tried than returned; the others start at random places: on
validation graphs that is nearly as good, and faster."""


ENTRIES = 2**20
"""Entries of the tables of components that are refined together."""
LEVEL = 6
"""Calls between the one for the start of a drawing and the user's."""


class Method(NamedTuple):
    """Options of the drawing of components.

    Attributes:
        refinement: See :func:`~graphscore.layouts.refinement.refine`.
        noise: Time up to which given positions are diffused, ``None`` for not at all.
        model: Source of the model.
        dim: Dimension D.
        num: Number of drawings to return.
        tries: Number of drawings to choose them from.
        energy: Lessened together with the stress, or by guidance of the model if nothing is refined.
    """

    refinement: Refinement
    noise: float | None
    model: str
    dim: int
    num: int
    tries: int
    energy: DrawingEnergy | None = None


class Anchors(NamedTuple):
    """Given positions of nodes.

    Attributes:
        nodes: Places of the nodes in their component.
        pos: Their positions ``[F, D]``, in the caller's coordinates.
        held: Whether they stay; otherwise they are where the drawing begins.
    """

    nodes: list[int]
    pos: Array
    held: bool


class _Frame(NamedTuple):
    """Coordinates of the caller: ``unit`` is the length of an edge in them."""

    unit: float
    origin: Array

    def inside(self, pos: Array) -> Tensor:
        return torch.from_numpy((pos - self.origin) / self.unit)

    def outside(self, pos: Tensor) -> Array:
        return pos.double().numpy() * self.unit + self.origin


class Task(NamedTuple):
    """A component to draw.

    Attributes:
        component: The component.
        seed: Seed.
        anchors: Given positions; the drawings are then in their coordinates.
        by_model: Whether the model is to draw it, if it can.
    """

    component: Component
    seed: int
    anchors: Anchors | None = None
    by_model: bool = True

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.component.nodes)


def draw_components(tasks: Sequence[Task], method: Method) -> list[list[Array]]:
    """Draw connected components, each several times and as if it were alone; those of one size are refined together.

    Args:
        tasks: The components.
        method: Options.

    Returns:
        For each component, positions ``[n, D]``, in lengths of an edge, the best drawing first.

    Raises:
        ValueError: If a component is too large for an option.
    """
    done: dict[int, list[Array]] = {}
    alike: dict[int, list[int]] = {}
    for number, task in enumerate(tasks):
        if method.energy is not None and task.size > MOST_NODES:
            raise ValueError(f"Energies are for components of up to {MOST_NODES} nodes, but one has {task.size}")
        if task.size <= 2 and task.anchors is None:
            done[number] = [_line(task.component, method.dim)] * method.num
        elif task.size > MOST_DENSE:
            done[number] = _draw_large(task, method)
        elif task.anchors is not None:
            done[number] = _draw([task], method)[0]
        else:
            alike.setdefault(task.size, []).append(number)
    for size, numbers in alike.items():
        pairs = 32 * size**2, *(tasks[number].component.edges.shape[1] ** 2 for number in numbers)
        count = max(1, 32 * ENTRIES // (max(method.tries, 12) * max(pairs)))
        for start in range(0, len(numbers), count):
            some = numbers[start : start + count]
            done |= zip(some, _draw([tasks[number] for number in some], method), strict=True)
    return [done[number] for number in range(len(tasks))]


def _line(component: Component, dim: int) -> Array:
    """Draw one or two nodes ``[n, D]``."""
    size = len(component.nodes)
    line = np.zeros((size, dim))
    line[:, 0] = np.linspace(0, float(1 if component.length is None else component.length[0]) * (size - 1), size)
    return line


def _draw(tasks: Sequence[Task], method: Method) -> list[list[Array]]:
    """Draw components of one size, or a single one with given positions."""
    size, num, count = tasks[0].size, method.num, len(tasks)
    distances, adjacent = _tables([task.component for task in tasks])
    anchors, held, frame = tasks[0].anchors, None, None
    if anchors is not None:
        frame = _frame(anchors, distances[0])
        if anchors.held:
            held = torch.zeros(1, size, dtype=torch.bool)
            held[0, anchors.nodes] = True
    starts = [_start(task, method, table, frame).float() for task, table in zip(tasks, distances, strict=True)]
    finalists = max(1, num // 4)
    seeds = [mix_seed(task.seed, k, 1) for task in tasks for k in range(finalists)]
    found = refine(
        torch.stack(starts), distances, adjacent, method.refinement, held=held, keep=num, finalists=finalists,
        steps=STEPS + 1000 // size, generator=GraphGenerator(seeds, SAMPLING),
    ).pos  # fmt: skip
    guided = method.energy is not None and method.refinement is None
    if anchors is None and not guided:  # guidance may have chosen the direction
        found = torch.stack([torch.stack([_upright(pos) for pos in several]) for several in found])
    if anchors is not None and frame is not None and not anchors.held:
        given = frame.inside(anchors.pos).float()
        found = torch.stack([_onto(pos, given, anchors.nodes) for pos in found[0]])[None]
    for k in range(count if method.energy is not None and not guided else 0):
        assert method.energy is not None
        lower = descend(found[k], distances[k], adjacent[k], method.energy, None if held is None else held[0])
        found[k] = lower.pos[lower.cost.argsort(stable=True)]
    return [[pos.double().numpy() if frame is None else frame.outside(pos) for pos in several] for several in found]


def _tables(components: Sequence[Component]) -> tuple[Tensor, Tensor]:
    """Distances and adjacency ``[B, n, n]`` of components of n nodes."""
    size, count = len(components[0].nodes), len(components)
    index = torch.arange(count).repeat_interleave(size)
    edges = torch.cat([component.edges + size * k for k, component in enumerate(components)], 1)
    lengths = [
        torch.ones(component.edges.shape[1]) if component.length is None else component.length
        for component in components
    ]
    adjacent = torch.zeros(count, size, size, dtype=torch.bool)
    graph, (i, j) = edges[0] // size, edges % size
    adjacent[graph, i, j] = adjacent[graph, j, i] = True
    return shortest_paths(edges, index, count, torch.cat(lengths)), adjacent


def _start(task: Task, method: Method, distances: Tensor, frame: _Frame | None) -> Tensor:
    """Drawings ``[K, n, D]`` to refine."""
    component, seed, anchors, _ = task
    size, num, dim, generator = task.size, method.tries, method.dim, torch.Generator().manual_seed(seed)
    placed = None
    if anchors is not None and frame is not None:
        given = frame.inside(anchors.pos).float()
        if method.noise is not None or not anchors.held:
            placed = _completed(given, anchors.nodes, distances, generator)
            if method.noise is None:
                return placed.expand(num, -1, -1)
    if size > MOST_NODES or dim != 2 or size <= 2 or not task.by_model:
        if size > 2 and task.by_model:
            reason = f"has {size} nodes" if size > MOST_NODES else f"is to be drawn in {dim} dimensions"
            warnings.warn(
                f"A component {reason}, and the model draws up to {MOST_NODES} nodes in the plane: it is drawn by "
                "stress majorisation alone",
                stacklevel=LEVEL,
            )
        pos = _scaled(distances, num, dim, generator)
    else:
        fixed = None
        if anchors is not None and frame is not None and anchors.held:
            fixed = anchors.nodes, frame.inside(anchors.pos)
        noisy = None if placed is None or method.noise is None else (placed, method.noise)
        model = load_layout_model(method.model)
        quick = method.refinement is not None and anchors is None
        drawn = max(method.num, min(num, BY_MODEL)) if quick else num
        energy = method.energy if method.refinement is None else None
        pos = sample_drawings(
            model, component.edges, size, drawn, seed, fixed=fixed, start=noisy, quick=quick, energy=energy
        )
        pos = torch.cat([pos, SPREAD * torch.randn(num - drawn, size, 2, generator=generator)])
        if component.length is not None:  # the model counts edges
            pos = pos * component.length.mean()
    if anchors is not None and frame is not None and anchors.held:
        given = frame.inside(anchors.pos).float()
        pos = torch.stack([_onto(one, given, anchors.nodes) for one in pos])
        pos[:, anchors.nodes] = given
    return pos


def _scaled(distances: Tensor, num: int, dim: int, generator: torch.Generator) -> Tensor:
    """Drawings by multidimensional scaling, the second and further with random deviations."""
    pos = scale_classically(distances, dim)
    deviations = torch.randn(num, *pos.shape, generator=generator)
    deviations[0] *= 0.1  # nodes with equal distances lie on top of each other
    return pos + deviations


def _completed(given: Tensor, nodes: list[int], distances: Tensor, generator: torch.Generator) -> Tensor:
    """Positions of all nodes: each new one near the mean of the known ones that are nearest in the graph."""
    pos = torch.zeros(len(distances), given.shape[1])
    near = distances[:, nodes]
    share = (near == near.amin(1, keepdim=True)).float()
    pos = share @ given / share.sum(1, keepdim=True) + 0.1 * torch.randn(pos.shape, generator=generator)
    pos[nodes] = given
    return pos


def _frame(anchors: Anchors, distances: Tensor) -> _Frame:
    """Estimate the caller's unit of length from the given positions of two or more nodes; else it is 1."""
    wanted = distances[anchors.nodes][:, anchors.nodes].double().numpy()
    drawn = np.linalg.norm(anchors.pos[:, None] - anchors.pos, axis=-1)
    ratio = drawn[wanted > 0] / wanted[wanted > 0]
    unit = float(np.square(ratio).sum() / ratio.sum()) if ratio.sum() > 0 else 1.0
    return _Frame(unit, anchors.pos.mean(0))


def _onto(pos: Tensor, given: Tensor, nodes: list[int]) -> Tensor:
    """Move a drawing ``[n, D]`` by rotation, reflection and translation so that nodes come closest to given places."""
    target, weight = pos.clone(), torch.zeros(len(pos))
    target[nodes], weight[nodes] = given, 1.0
    index = torch.zeros(len(pos), dtype=torch.long)
    mirrored = pos * torch.tensor([-1.0] + [1.0] * (pos.shape[1] - 1))
    moved = [align(one, target, index, 1, weight) for one in (pos, mirrored)]
    return min(moved, key=lambda one: float((one[nodes] - given).square().sum()))


def _upright(pos: Tensor) -> Tensor:
    """Turn a drawing so that its longest direction is horizontal."""
    centred = pos - pos.mean(0)
    axes = torch.linalg.eigh((centred.t() @ centred).double()).eigenvectors.flip(1)
    return centred @ axes.to(pos)


def _draw_large(task: Task, method: Method) -> list[Array]:
    if task.anchors is not None:
        raise ValueError(
            f"Positions can be given for components of up to {MOST_DENSE} nodes, but one of {task.size} nodes has some"
        )
    warnings.warn(
        f"A component has {task.size} nodes, and the model draws up to {MOST_NODES}: it is drawn by sparse stress",
        stacklevel=LEVEL - 2,
    )
    (edges, length), generator = task.component[1:], torch.Generator().manual_seed(task.seed)
    drawings = [draw_large(edges, length, task.size, method.dim, generator) for _ in range(method.num)]
    return [pos.double().numpy() for pos in drawings]
