"""Drawing of the graphs of files, as a picture, a page or an animation, in the style of their domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.readers import Failure, read
from graphscore.domains import domain_of
from graphscore.experiment.drawings.animation import MOST, Way, draw_animation
from graphscore.experiment.drawings.page import Frame, draw_page
from graphscore.experiment.drawings.picture import draw_picture
from graphscore.experiment.drawings.shapes import Block, Edges, seen, shape_of
from graphscore.experiment.evaluation.files import View
from graphscore.experiment.sampling.trajectories import LEVEL, STEP
from graphscore.registry import resolve

_NEAR = 0.05
"""Largest root mean square distance of a sample from the end of its trajectory, in halves of its width."""


def labels_of(items: Sequence[Data]) -> list[str]:
    """Label graphs by their names, or else by their numbers of nodes."""
    names = [data.get("name") for data in items]
    return [
        name if isinstance(name, str) and name else f"{data.num_nodes} nodes"
        for name, data in zip(names, items, strict=True)
    ]


@dataclass(frozen=True)
class Style:
    """Style of the pictures and pages of a domain: labels, scale and edges.

    Attributes:
        labels: Function ``(graphs) -> labels``, as many or none.
        most: Number of graphs that are drawn of a file.
        per_line: Largest number of tiles side by side in a picture.
        common_scale: Whether all graphs are drawn on the same scale.
        edges: Function that gives the drawn edges ``[2, E]`` of a graph.
        planar: Whether graphs must be in the plane.
    """

    labels: Callable[[Sequence[Data]], Sequence[str]] = labels_of
    most: int = 24
    per_line: int = 6
    common_scale: bool = False
    edges: Edges | None = None
    planar: bool = False

    @property
    def look(self) -> dict[str, Any]:
        """Arguments of :func:`draw_picture` and :func:`draw_page`."""
        return {"common_scale": self.common_scale, "edges": self.edges}

    def draw(self, blocks: Sequence[Block], path: Path, title: str = "Graphs", notes: Sequence[str] = ()) -> Path:
        """Draw blocks of graphs as a picture ``.png`` or a page ``.html``."""
        if path.suffix.lower() == ".html":
            return draw_page(blocks, path, title, notes=notes, **self.look)
        return draw_picture(blocks, path, per_line=self.per_line, **self.look)

    def fits(self, data: Data) -> bool:
        """Tell whether a graph has positions that can be drawn, finite or not."""
        pos = data.get("pos")
        sizes = (2,) if self.planar else (2, 3)
        return isinstance(pos, Tensor) and pos.dim() == 2 and len(pos) == data.num_nodes and pos.size(1) in sizes


PLAIN = Style()
"""Style of graphs without a style of their domain."""


def view(path: Path, out: Path, reference: Path | None = None, trajectories: Sequence[Path] = ()) -> View:
    """Draw the first graphs of a file, and above them those of a reference file if there is one.

    Args:
        path: Graphs with positions in the plane or in space.
        out: File ``*.png`` for a picture, ``*.html`` for a page, or ``*.svg`` for an animation of trajectories.
        reference: Reference graphs, which are in no animation.
        trajectories: Files of sampling trajectories that lead to graphs of the first file; in no ``*.png``.

    Raises:
        ValueError: If a file cannot be read or has no graphs to draw; or trajectories are given for a ``*.png``, are
            none, or lead to none of the graphs; or an animation has none, or a reference.
    """
    suffix = out.suffix.lower()
    if trajectories and suffix == ".png":
        raise ValueError(f"Trajectories are shown on pages, .html, or animated, .svg, but the output is {out}")
    if suffix == ".svg" and (not trajectories or reference is not None):
        raise ValueError(f"{out} shows trajectories to {path}, without references: give them by --trajectory")
    notes: list[str] = []
    first = _read(path, notes)
    style: Style = resolve(domain_of(first[0]).drawing)
    shown = _drawn(first, style, path, notes)
    blocks = [Block("" if reference is None else "generated", shown, style.labels(shown))]
    if reference is not None:
        above = _drawn(_read(reference, notes), style, reference, notes)
        blocks.insert(0, Block("reference", above, style.labels(above), is_reference=True))
    content = f"{len(shown)} graph(s)"
    if trajectories:
        ways = find_ways(shown, [step for file in trajectories for step in _steps(file, notes)])
        if not ways:
            raise ValueError(
                f"No trajectory of {', '.join(map(str, trajectories))} leads to one of the graphs of {path}"
            )
        if suffix == ".svg":
            drawn = [way_of(frames, blocks[-1].texts[k], style.edges) for k, frames in ways.items()][:MOST]
            return View(draw_animation(drawn, out, f"Graphs made from noise: {path.stem}"), content, notes)
        placed = {(len(blocks) - 1, k): frames for k, frames in ways.items()}
        draw_page(blocks, out, path.stem, trajectories=placed, notes=notes, **style.look)
        return View(out, f"{content}, trajectories of {len(ways)}", notes)
    return View(style.draw(blocks, out, path.stem, notes), content, notes)


def find_ways(items: Sequence[Data], steps: Sequence[Data]) -> Mapping[int, Sequence[Frame]]:
    """Find the trajectories that lead to graphs: those that end where the nodes of the graph are, up to a shift.

    Args:
        items: Graphs.
        steps: Graphs after each step, trajectory by trajectory, with the numbers ``step`` and ``level``.

    Returns:
        The frames of the trajectories, by the number of the graph.
    """
    ways: list[list[Frame]] = []
    for data in steps:
        if not ways or data[STEP] <= ways[-1][-1].step:
            ways.append([])
        ways[-1].append(Frame(float(data[STEP]), None if data.get(LEVEL) is None else float(data[LEVEL]), data))
    ends = [shape_of(way[-1].data).pos for way in ways]
    found: dict[int, Sequence[Frame]] = {}
    for number, data in enumerate(items):
        pos = shape_of(data).pos
        errors = {
            k: float(np.sqrt(((end - pos) ** 2).sum(axis=1).mean()))
            for k, end in enumerate(ends)
            if end.shape == pos.shape
        }
        nearest = min(errors, key=lambda k: errors[k], default=None)
        if nearest is not None and errors[nearest] <= _NEAR * float(np.abs(pos).max(initial=0)):
            found[number] = ways[nearest]
    return found


def way_of(frames: Sequence[Frame], label: str = "", edges: Edges | None = None) -> Way:
    """Make an animated way of the frames of a trajectory; graphs in space are turned as in pictures."""
    shapes = [seen(shape_of(frame.data, edges)) for frame in frames]
    return Way(np.stack([shape.pos for shape in shapes]), shapes[-1].edges, label)


def _read(path: Path, notes: list[str]) -> list[Data]:
    result = read(path)
    notes += [str(failure) for failure in result.failures]
    if not result.items:
        raise ValueError(f"{path} holds no graphs that can be read" + (f": {notes[-1]}" if notes else ""))
    return result.items


def _drawn(items: Sequence[Data], style: Style, path: Path, notes: list[str]) -> list[Data]:
    good = [data for data in items if style.fits(data)]
    where = "in the plane, pos [N, 2]" if style.planar else "in the plane or in space, pos [N, 2] or [N, 3]"
    if not good:
        raise ValueError(f"{path} holds nothing to draw: graphs with positions {where}")
    if missing := len(items) - len(good):
        notes.append(str(Failure(str(path), f"{missing} of {len(items)} graphs", f"no positions {where}")))
    if len(good) > style.most:
        notes.append(f"{path}: the first {style.most} of {len(good)} are drawn")
    shown = good[: style.most]
    failed = sum(not shape_of(data).is_finite for data in shown)
    if failed == len(shown):
        which = f"the {failed} graphs have" if failed > 1 else "the graph has"
        raise ValueError(f"{path} holds nothing to draw: {which} coordinates that are not finite (NaN or infinite)")
    if failed:
        notes.append(str(Failure(str(path), f"{failed} of {len(shown)} graphs", "coordinates that are not finite")))
    return shown


def _steps(path: Path, notes: list[str]) -> list[Data]:
    steps = _read(path, notes)
    if any(STEP not in data for data in steps):
        raise ValueError(f"Expected a trajectory in {path}, whose graphs have a number {STEP!r}, but one has none")
    return steps
