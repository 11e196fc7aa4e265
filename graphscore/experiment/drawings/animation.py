"""Animated SVG pictures of sampling: graphs on their way from noise to samples, without a script."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphscore.experiment.evaluation.pictures import save_page

MOST = 4
"""Number of ways that are drawn of files."""
SECONDS = 9.0
"""Duration of a round: noise, the way, the sample at rest, and quickly back to noise."""
_NOISE, _ARRIVAL, _REST = 0.05, 0.6, 0.93  # ends of the first parts of a round, as shares of it
_TILE, _GAP, _LABEL = 230, 10, 30  # pixels
_FILLED = 0.84  # share of a tile that the sample fills
_LAYERS = 4  # of different distances from the viewer, in clouds of points in space
_STYLE = """
.card{fill:#fff;stroke:#d1d9e0}.edge{stroke:#8a93a0}.dot{stroke:#2f5fe3}.rim{stroke:#333840}text{fill:#333840}
.edge,.dot,.rim,.ball,.light{fill:none;stroke-linecap:round}.light{stroke:#fff;stroke-opacity:.45}.still{display:none}
text{font:15px system-ui,sans-serif;text-anchor:middle}
@media(prefers-color-scheme:dark){
.card{fill:#0d1117;stroke:#3d444d}.edge{stroke:#768390}.dot{stroke:#6f9bff}.rim{stroke:#adb5bd}text{fill:#d1d7e0}}
@media(prefers-reduced-motion:reduce){.moving{display:none}.still{display:inline}}
"""


class Way(NamedTuple):
    """Way of a graph from noise to a sample.

    Attributes:
        frames: Positions of the nodes in each frame, ``[F, N, 2]`` or ``[F, N, 3]``, x to the right, y up and z towards
            the viewer; the last ones are the sample's.
        edges: Edges ``[E, 2]``, each once.
        label: Text below.
        colors: Color of each node, ``#rrggbb``; by default all nodes are alike.
        radii: Radius of each node, in the unit of the positions, if it has a color.
    """

    frames: NDArray[np.float64]
    edges: NDArray[np.int64]
    label: str = ""
    colors: Sequence[str] = ()
    radii: Sequence[float] = ()


def draw_animation(ways: Sequence[Way], path: str | Path, title: str) -> Path:
    """Draw graphs on their way from noise to samples as an SVG picture that moves, round after round.

    Each round rests at the sample. Every frame is scaled to the width of the sample, and frames between which little
    moves follow each other faster. Where the animation is not played, or the reader prefers none, the sample is shown.
    The colors follow the color scheme of the reader.

    Args:
        ways: Graphs and their ways, side by side.
        path: File ``*.svg``; one that exists is replaced.
        title: Description for readers who do not see it.

    Returns:
        The path.

    Raises:
        ValueError: If there are no ways, or one has no frames, or coordinates that are not finite.
    """
    return save_page(picture_of(ways, title), path, ".svg")


def picture_of(ways: Sequence[Way], title: str) -> str:
    """Write the text of a picture, see :func:`draw_animation`; ways of a single frame stand still.

    Raises:
        ValueError: As for :func:`draw_animation`.
    """
    if not ways:
        raise ValueError("Expected ways from noise to samples to draw, but got none")
    for way in ways:
        if not len(way.frames) or not np.isfinite(way.frames).all():
            raise ValueError(f"The way to {way.label or 'a graph'} has no frames, or some that are not finite")
    width, height = len(ways) * (_TILE + _GAP) + _GAP, _TILE + _LABEL + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{html.escape(title)}"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
        f'<rect class="card" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="9"/>'
    ]
    for number, way in enumerate(ways):
        left = _GAP + number * (_TILE + _GAP)
        parts.append(f'<g transform="translate({left + _TILE / 2:g} {_GAP + _TILE / 2:g})">')
        frames, depth, scale = _on_paper(way)
        strokes = [*_strokes(way, depth, scale)]
        still = [stroke.element(frames[-1:]) for stroke in strokes]
        # Noise may reach beyond its tile, but not into the next one.
        parts.append(f'<svg x="{-_TILE / 2:g}" y="{-_TILE / 2:g}" width="{_TILE}" height="{_TILE}" ')
        parts.append(f'viewBox="{-_TILE / 2:g} {-_TILE / 2:g} {_TILE} {_TILE}">')
        if len(frames) == 1:
            parts += [*still, "</svg>"]
        else:
            times = _times(frames)
            parts += ['<g class="moving">', *(stroke.element(frames, times) for stroke in strokes), "</g>"]
            parts += ['<g class="still">', *still, "</g></svg>"]
        parts.append(f'<text y="{_TILE / 2 + _LABEL / 2:g}">{html.escape(way.label)}</text></g>')
    return "".join([*parts, "</svg>\n"])


class _Stroke(NamedTuple):
    """Lines or dots that are drawn alike, and move together.

    Attributes:
        style: Attributes of the element.
        ends: Numbers of the nodes at the ends of lines ``[n, 2]``, or of nodes that are dots ``[n]``.
        shift: Shift of dots, in pixels.
    """

    style: str
    ends: NDArray[np.int64]
    shift: float = 0.0

    def element(self, frames: NDArray[np.float64], times: str = "") -> str:
        """Write the element: at rest in the last frame, and moving if there are times."""
        still = f'<path {self.style} d="{self.outline(frames[-1])}"'
        if not times:
            return still + "/>"
        outlines = [self.outline(pos) for pos in frames]
        # Two of the noise and two of the sample: between them, nothing moves.
        values = ";".join([outlines[0], *outlines, outlines[-1], outlines[0]])
        return (
            f'{still}><animate attributeName="d" dur="{SECONDS:g}s" repeatCount="indefinite" keyTimes="{times}" '
            f'values="{values}"/></path>'
        )

    def outline(self, pos: NDArray[np.float64]) -> str:
        """Write the outline at positions ``[N, 2]``."""
        if self.ends.ndim == 1:
            return "".join(f"M{x} {y}h0" for x, y in _written(pos[self.ends] - self.shift))
        return "".join(f"M{a} {b}L{c} {d}" for a, b, c, d in _written(pos[self.ends].reshape(-1, 4)))


def _on_paper(way: Way) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Positions on the paper ``[F, N, 2]`` in pixels, y downwards; depth of the sample ``[N]``; pixels per unit."""
    pos = way.frames - way.frames.mean(axis=1, keepdims=True)
    flat, depth = pos[..., :2], pos[-1, :, 2] if pos.shape[2] == 3 else np.zeros(pos.shape[1])
    middle = (flat[-1].min(axis=0) + flat[-1].max(axis=0)) / 2
    half = np.abs(flat[-1] - middle).max(initial=0) + max(way.radii, default=0.0)
    scale = _FILLED * _TILE / 2 / (half or 1.0)
    widths = np.maximum(np.sqrt(np.square(flat).mean(axis=(1, 2))), 1e-30)
    return (flat * (widths[-1] / widths)[:, None, None] - middle) * scale * [1, -1], depth, scale


def _times(frames: NDArray[np.float64]) -> str:
    """Times of the frames within a round: the more moves between two frames, the longer it takes."""
    moved = np.sqrt(np.square(np.diff(frames, axis=0)).sum(axis=2).mean(axis=1)) + 1.0
    way = np.concatenate([[0.0], moved.cumsum()]) / moved.sum()
    shares = [0.0, *(_NOISE + (_ARRIVAL - _NOISE) * way), _REST, 1.0]
    return ";".join(f"{share:.3g}" for share in shares)


def _strokes(way: Way, depth: NDArray[np.float64], scale: float) -> Iterator[_Stroke]:
    """Strokes of a graph: edges below nodes, and what is near above what is far."""
    order = np.argsort(depth, kind="stable")
    if way.colors:
        if len(way.edges):
            yield _Stroke(f'class="edge" stroke-width="{0.25 * scale:.1f}"', way.edges)
        for node in order:
            radius, alone = way.radii[node] * scale, np.array([node])
            yield _Stroke(f'class="rim" stroke-width="{2 * radius + 2:.1f}"', alone)
            yield _Stroke(f'class="ball" stroke="{way.colors[node]}" stroke-width="{2 * radius:.1f}"', alone)
            yield _Stroke(f'class="light" stroke-width="{0.6 * radius:.1f}"', alone, 0.33 * radius)
        return
    if len(way.edges):
        yield _Stroke('class="edge" stroke-width="1.2"', way.edges)
    diameter = (0.14 if len(way.edges) else 0.36) * _TILE / np.sqrt(max(1, len(depth)))
    layers = np.array_split(order, _LAYERS) if np.ptp(depth) > 0 else [order]
    for number, layer in enumerate(layers):
        opacity = 1 - 0.7 * (len(layers) - 1 - number) / _LAYERS
        yield _Stroke(f'class="dot" stroke-width="{diameter:.1f}" stroke-opacity="{opacity:.2g}"', layer)


def _written(rows: NDArray[np.float64]) -> list[list[str]]:
    return [[f"{value:.1f}".removesuffix(".0") for value in row] for row in rows.tolist()]
