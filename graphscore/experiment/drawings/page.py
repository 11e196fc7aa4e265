"""Interactive HTML pages of graphs with positions, which work offline, and play trajectories of sampling."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.experiment.drawings.shapes import Block, Edges, Shape, half_width, shape_of
from graphscore.experiment.evaluation.pictures import fill_page, save_page

_LARGEST = 1.0
"""Largest extent of a frame, but for outliers, in extents of the graph that it leads to: noise may be far wider."""


class Frame(NamedTuple):
    """A frame of a sampling trajectory.

    Attributes:
        step: Number of the step.
        level: Noise level ``std / alpha``; None if unknown.
        data: The graph after the step, with ``pos``.
    """

    step: float
    level: float | None
    data: Data


Trajectories = Mapping[tuple[int, int], Sequence[Frame]]
"""Frames in their order, by the numbers of the block and of the graph in it."""


def draw_page(
    blocks: Sequence[Block],
    path: str | Path,
    title: str,
    *,
    trajectories: Trajectories | None = None,
    common_scale: bool = True,
    edges: Edges | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Draw graphs with their nodes and edges on an HTML page: they can be turned, and played from noise to sample.

    Coordinates are stored as 16-bit integers. Frames that are wider than the graph which they lead to are shrunk. The
    page draws on 2-D canvases, since browsers may refuse WebGL on machines without a GPU.

    Args:
        blocks: Graphs, such as references and samples.
        path: File ``*.html``; one that exists is replaced.
        title: Heading.
        trajectories: The ways of sampling that led to some of the graphs.
        common_scale: Whether all graphs are drawn on the same scale, and not each as large as its tile.
        edges: Function that gives the drawn edges ``[2, E]`` of a graph; by default ``edge_index``.
        notes: Notes on what is not shown.

    Returns:
        The path.

    Raises:
        ValueError: As for :func:`page_of`.
    """
    look: dict[str, Any] = {"common_scale": common_scale, "edges": edges}
    return save_page(page_of(blocks, title, trajectories=trajectories, notes=notes, **look), path)


def page_of(
    blocks: Sequence[Block],
    title: str = "",
    *,
    trajectories: Trajectories | None = None,
    common_scale: bool = True,
    edges: Edges | None = None,
    notes: Sequence[str] = (),
    is_embedded: bool = False,
) -> str:
    """Write the text of a page, see :func:`draw_page`; an embedded one, for a frame in another page, has small tiles.

    Raises:
        ValueError: If there is nothing to draw, a graph or frame has no positions in the plane or in space, or a
            reference has coordinates that are not finite.
    """
    shapes = [[shape_of(data, edges) for data in block.items] for block in blocks]
    if not any(shapes):
        raise ValueError("Expected graphs to draw, but got none")
    reference = [shape for block, some in zip(blocks, shapes, strict=True) if block.is_reference for shape in some]
    others = [shape for block, some in zip(blocks, shapes, strict=True) if not block.is_reference for shape in some]
    common = _radius(half_width(reference, others), [*reference, *others])
    content: dict[str, Any] = {"notes": list(notes), "blocks": []}
    for row, (block, some) in enumerate(zip(blocks, shapes, strict=True)):
        tiles = [
            _tile(shape, label, (trajectories or {}).get((row, k), ()), common if common_scale else None)
            for k, (shape, label) in enumerate(zip(some, block.texts, strict=True))
        ]
        content["blocks"].append({"name": block.name, "reference": block.is_reference, "tiles": tiles})
    kind = "embedded" if is_embedded else "whole"
    return fill_page("graphscore.experiment.drawings", content, title, kind=kind)


def _tile(shape: Shape, label: str, frames: Sequence[Frame], common: float | None) -> dict[str, Any]:
    tile: dict[str, Any] = {"label": label, "dim": shape.pos.shape[1], "failed": not shape.is_finite}
    if not shape.is_finite:
        return tile
    own = _radius(half_width([], [shape]), [shape])
    ways = [(frame, shape_of(frame.data)) for frame in frames]
    if wrong := [frame.step for frame, way in ways if way.pos.shape != shape.pos.shape]:
        raise ValueError(f"Step {wrong[0]:g} of the trajectory to {label or 'a graph'} has other nodes than the graph")
    shown = [(frame, _shrunk(way.pos, own)) for frame, way in ways if way.is_finite]
    if shown and not np.array_equal(shown[-1][1], shape.pos):
        shown.append((Frame(shown[-1][0].step + 1, 0.0, frames[-1].data), shape.pos))
    return tile | {
        "extent": round(common or own, 6),
        "edges": shape.edges.ravel().tolist(),
        "pos": _packed(shape.pos),
        "frames": [{"step": frame.step, "level": frame.level, "pos": _packed(pos)} for frame, pos in shown],
    }


def _radius(half: float, shapes: Sequence[Shape]) -> float:
    """Radius that a shape needs when it is turned: in space, that of a ball."""
    if not any(shape.pos.shape[1] == 3 for shape in shapes):
        return half
    radii = [np.linalg.norm(shape.pos, axis=1) for shape in shapes if shape.is_finite and len(shape.pos)]
    return max(half, min(float(np.quantile(np.concatenate([*radii, [0.0]]), 0.995)), 1.74 * half))


def _shrunk(pos: NDArray[np.float64], extent: float) -> NDArray[np.float64]:
    width = float(np.quantile(np.abs(pos), 0.98)) if len(pos) else 0.0
    return pos * min(1.0, _LARGEST * extent / max(width, 1e-30))


def _packed(pos: NDArray[np.float64]) -> dict[str, Any]:
    """Coordinates as int16 (little-endian) in base64, in units of ``unit``."""
    unit = float(f"{np.abs(pos).max(initial=0) / 32767:.7g}") or 1e-9
    whole = np.rint(pos / unit).clip(-32767, 32767).astype("<i2")
    return {
        "unit": unit,
        "xyz": base64.b64encode(whole.tobytes()).decode(),
    }
