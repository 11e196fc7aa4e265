"""Drawings of one connected component: by the model, by stress alone, or at positions that are given."""

from __future__ import annotations

import warnings
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


def draw_component(component: Component, method: Method, seed: int, anchors: Anchors | None) -> list[Array]:
    """Draw a connected component several times.

    Args:
        component: The component.
        method: Options.
        seed: Seed.
        anchors: Given positions; the drawings are then in their coordinates.

    Returns:
        Positions ``[n, D]``, in lengths of an edge, the best drawing first.

    Raises:
        ValueError: If the component is too large for an option.
    """
    size, num, dim, generator = len(component.nodes), method.num, method.dim, torch.Generator().manual_seed(seed)
    if size <= 2 and anchors is None:
        reach = 0.0 if size == 1 else 1.0 if component.length is None else float(component.length[0])
        line = np.zeros((size, dim))
        line[:, 0] = np.linspace(0, reach, size)
        return [line] * num
    if method.energy is not None and size > MOST_NODES:
        raise ValueError(f"Energies are for components of up to {MOST_NODES} nodes, but one has {size}")
    if size > MOST_DENSE:
        return _draw_large(component, method, generator, anchors)
    batch = torch.zeros(size, dtype=torch.long)
    distances = shortest_paths(component.edges, batch, 1, component.length)
    adjacent = torch.zeros(1, size, size, dtype=torch.bool)
    adjacent[0, component.edges[0], component.edges[1]] = adjacent[0, component.edges[1], component.edges[0]] = True
    frame = None if anchors is None else _frame(anchors, distances[0])
    start = _start(component, method, seed, distances[0], anchors, frame, generator)
    held = None
    if anchors is not None and anchors.held:
        held = torch.zeros(1, size, dtype=torch.bool)
        held[0, anchors.nodes] = True
    finalists = max(1, num // 4)
    found = refine(
        start[None].float(), distances, adjacent, method.refinement,
        held=held, keep=num, finalists=finalists, steps=STEPS + 1000 // size,
        generator=GraphGenerator([mix_seed(seed, k, 1) for k in range(finalists)], SAMPLING),
    ).pos[0]  # fmt: skip
    guided = method.energy is not None and method.refinement is None
    if anchors is None and not guided:  # guidance may have chosen the direction
        found = torch.stack([_upright(pos) for pos in found])
    if anchors is not None and frame is not None and not anchors.held:
        found = torch.stack([_onto(pos, frame.inside(anchors.pos).float(), anchors.nodes) for pos in found])
    if method.energy is not None and not guided:
        lower = descend(found, distances[0], adjacent[0], method.energy, None if held is None else held[0])
        found = lower.pos[lower.cost.argsort(stable=True)]
    return [pos.double().numpy() if frame is None else frame.outside(pos) for pos in found]


def _start(
    component: Component, method: Method, seed: int, distances: Tensor, anchors: Anchors | None, frame: _Frame | None,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Drawings ``[K, n, D]`` to refine."""
    size, num, dim = len(component.nodes), method.tries, method.dim
    placed = None
    if anchors is not None and frame is not None:
        given = frame.inside(anchors.pos).float()
        if method.noise is not None or not anchors.held:
            placed = _completed(given, anchors.nodes, distances, generator)
            if method.noise is None:
                return placed.expand(num, -1, -1)
    if size > MOST_NODES or dim != 2 or size <= 2:
        if size > 2:
            reason = f"has {size} nodes" if size > MOST_NODES else f"is to be drawn in {dim} dimensions"
            warnings.warn(
                f"A component {reason}, and the model draws up to {MOST_NODES} nodes in the plane: it is drawn by "
                "stress majorisation alone",
                stacklevel=6,
            )
        pos = _scaling(distances, num, dim, generator)
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


def _scaling(distances: Tensor, num: int, dim: int, generator: torch.Generator) -> Tensor:
    """Drawings by classical multidimensional scaling, the second and further with random deviations."""
    square = distances.double().square()
    centred = -(square - square.mean(0) - square.mean(1, keepdim=True) + square.mean()) / 2
    values, vectors = torch.linalg.eigh(centred)
    pos = (vectors[:, -dim:] * values[-dim:].clamp(min=0).sqrt()).float()
    pos = torch.cat([pos, pos.new_zeros(len(pos), dim - pos.shape[1])], dim=1)
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


def _draw_large(
    component: Component, method: Method, generator: torch.Generator, anchors: Anchors | None
) -> list[Array]:
    size = len(component.nodes)
    if anchors is not None:
        raise ValueError(
            f"Positions can be given for components of up to {MOST_DENSE} nodes, but one of {size} nodes has some"
        )
    warnings.warn(
        f"A component has {size} nodes, and the model draws up to {MOST_NODES}: it is drawn by sparse stress",
        stacklevel=6,
    )
    return [
        draw_large(component.edges, component.length, size, method.dim, generator).double().numpy()
        for _ in range(method.num)
    ]
