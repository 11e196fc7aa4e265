"""PNG pictures of graphs with positions, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from graphscore.experiment.drawings.shapes import Block, Edges, Shape, half_width, seen, shape_of
from graphscore.experiment.evaluation.pictures import INK, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REFERENCE, GENERATED = "#50555c", "#2f5fe3"
_LINE = "#8a93a0"
_WIDTH, _GAP, _MARGIN, _HEADING = 11.7, 0.08, 0.95, 0.26  # inches
_HAZE = 0.72  # of the farthest points, from their color to white


def draw_picture(
    blocks: Sequence[Block],
    path: str | Path,
    *,
    per_line: int = 12,
    common_scale: bool = True,
    edges: Edges | None = None,
) -> Path:
    """Draw graphs with their nodes and edges as a PNG image, block by block, each graph in a tile.

    Graphs in space are seen from the front, a little from the right and from above, y upwards; what is far is paler.
    Points far outside the extent of the references are cut off. A graph whose coordinates are not finite is shown as
    failed.

    Args:
        blocks: Graphs, such as references and samples.
        path: File ``*.png``; one that exists is replaced.
        per_line: Largest number of tiles side by side.
        common_scale: Whether all graphs are drawn on the same scale, and not each as large as its tile.
        edges: Function that gives the drawn edges ``[2, E]`` of a graph; by default ``edge_index``.

    Returns:
        The path.

    Raises:
        ValueError: If there is nothing to draw, a graph has no positions in the plane or in space, or a reference has
            coordinates that are not finite.
    """
    shapes = [[seen(shape_of(data, edges)) for data in block.items] for block in blocks]
    if not any(shapes):
        raise ValueError("Expected graphs to draw, but got none")
    columns = _columns(max(map(len, shapes)), per_line)
    tile = min((_WIDTH + _GAP) / min(per_line, max(columns, 4)) - _GAP, 2.4)
    lines = [-(-len(block) // columns) for block in shapes]
    heads = [_HEADING if any(block.labels) else 0.0 for block in blocks]
    named = any(block.name for block in blocks)
    margin = _MARGIN if named else _GAP
    width = margin + columns * (tile + _GAP)
    height = sum(n * (tile + _GAP + head) for n, head in zip(lines, heads, strict=True)) + 2 * _GAP
    size = np.array([width, height])
    figure = new_figure(*size)
    dot = _dot([shape for block in shapes for shape in block])
    common = _common(blocks, shapes) if common_scale else None
    top = height - _GAP
    for block, drawn, count, head in zip(blocks, shapes, lines, heads, strict=True):
        step = tile + _GAP + head
        for k, (shape, label) in enumerate(zip(drawn, block.texts, strict=True)):
            left, upper = margin + (k % columns) * (tile + _GAP), top - (k // columns) * step
            axes = figure.add_axes((*(np.array([left, upper - head - tile]) / size), *(tile / size)))
            half = 1.08 * (half_width([], [shape]) if common is None else common) / (1 - dot)  # whole dots are inside
            _draw(axes, shape, half, dot * 72 * tile, REFERENCE if block.is_reference else GENERATED)
            if label:
                place = (left + tile / 2) / width, (upper - head / 2) / height
                figure.text(*place, label, ha="center", va="center", size=8, color=INK, parse_math=False)
        middle = (top - (count * step - _GAP) / 2) / height
        if drawn and block.name:
            figure.text((margin - 0.12) / width, middle, block.name, ha="right", va="center", size=9, color=INK)
        top -= count * step
    return save_figure(figure, path)


def _common(blocks: Sequence[Block], shapes: Sequence[Sequence[Shape]]) -> float:
    flat = [[Shape(shape.pos[:, :2], shape.edges) for shape in block] for block in shapes]
    pairs = [*zip(blocks, flat, strict=True)]
    reference = [shape for block, some in pairs if block.is_reference for shape in some]
    return half_width(reference, [shape for block, some in pairs if not block.is_reference for shape in some])


def _columns(count: int, per_line: int) -> int:
    """Number of columns that fills the lines evenly."""
    lines = -(-count // per_line)
    return -(-count // lines)


def _dot(shapes: Sequence[Shape]) -> float:
    """Diameter of dots in tiles, so that they cover about the same share, whether there are ten or a thousand."""
    share = 0.16 if any(len(shape.edges) for shape in shapes) else 0.36
    return share / np.sqrt(np.median([max(1, len(shape.pos)) for shape in shapes]))


def _draw(axes: Axes, shape: Shape, half: float, diameter: float, color: str) -> None:
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[], facecolor="#f4f5f7", aspect="equal")
    axes.spines[:].set_visible(False)
    if not shape.is_finite:
        axes.text(0, 0, "failed:\nnot finite", ha="center", va="center", size=8, color=INK)
        return
    places, depth = shape.pos[:, :2], shape.pos[:, 2]
    if len(shape.edges):
        from matplotlib.collections import LineCollection

        ends = depth[shape.edges].mean(axis=1)
        order = np.argsort(ends, kind="stable")
        tones = _tones(_LINE, ends[order], depth)
        axes.add_collection(LineCollection([*places[shape.edges[order]]], colors=tones, linewidths=0.8, zorder=1))
    order = np.argsort(depth, kind="stable")
    tones = _tones(color, depth[order], depth)
    axes.scatter(*places[order].T, s=diameter**2, c=tones, alpha=0.85, linewidths=0, zorder=2)


def _tones(color: str, depth: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colors ``[n, 3]`` that get paler from the nearest to the farthest."""
    from matplotlib.colors import to_rgb

    span = float(np.ptp(whole)) if len(whole) else 0.0
    far = (whole.max() - depth) / span if span > 0 else np.zeros(len(depth))
    return 1 - (1 - np.array(to_rgb(color))) * (1 - _HAZE * far[:, None])
