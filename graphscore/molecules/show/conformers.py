"""Generated conformers beside their references: an interactive page and a still picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch_geometric.data import Data

from graphscore.experiment.pictures import INK, new_figure, save_figure
from graphscore.molecules.show.raycast import raycast
from graphscore.molecules.show.structures import Shape, ball_and_stick
from graphscore.molecules.show.superposition import superpose
from graphscore.molecules.show.viewer import RMSD, Entry, viewer_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PER_LINE = 6  # molecules in a line of the picture
_WIDTH, _DPI = 2.0, 200  # of a molecule in the picture: inches, pixels per inch
_LINE = 1.2 * 8 / 72  # inches of a line of text


class PageRow(NamedTuple):
    """One molecule to show.

    Attributes:
        name: What people call it, or its SMILES.
        smiles: Its SMILES.
        reference: Reference conformer, laid out as :mod:`graphscore.molecules.graph` says.
        generated: Conformers of the same molecule. None, one whose coordinates are not finite, or another molecule is
            a failed attempt, and shown as such.
        note: Anything else to say about it.
    """

    name: str
    smiles: str
    reference: Data
    generated: Sequence[Data | None]
    note: str = ""


def conformer_page(rows: Sequence[PageRow], path: str | Path, title: str, summary: Mapping[str, str]) -> Path:
    """Write one HTML file that shows each molecule's generated conformers on top of its reference, closest first.

    See :func:`graphscore.molecules.show.viewer.viewer_page`.

    Args:
        rows: Molecules to show.
        path: File ``*.html``; one that exists is replaced.
        title: Heading of the page.
        summary: What to say above the molecules: text by label.

    Returns:
        The path.

    Raises:
        ValueError: If there are no rows, or a reference is no molecule with coordinates.
    """
    entries = [Entry(row.name, row.generated, [row.reference], row.smiles, row.note) for row in rows]
    return viewer_page(entries, path, title, summary, sort=RMSD)


def conformer_picture(rows: Sequence[PageRow], path: str | Path) -> Path:
    """Draw, for each molecule, the reference above the generated conformer that is closest to it, as PNG.

    All molecules have one scale; there are six in a line.

    Args:
        rows: Molecules to show.
        path: File ``*.png``; one that exists is replaced.

    Returns:
        The path.

    Raises:
        ValueError: As :func:`conformer_page` does.
    """
    pairs = _closest_pairs(rows)
    columns = min(len(pairs), _PER_LINE)
    lines = -(-len(pairs) // columns)
    half = np.max([_frame(pair) for pair in pairs], axis=0) + 0.15
    captions = [_caption(row, pair) for row, pair in zip(rows, pairs, strict=True)]
    margin, width = 1.0, _WIDTH  # inches
    caption = 0.15 + _LINE * max(3, *(1 + text.count("\n") for text in captions))
    height = width * half[1] / half[0]
    total = np.array([margin + width * columns, lines * (2 * height + caption)])
    figure = new_figure(*total)
    for k, (text, pair) in enumerate(zip(captions, pairs, strict=True)):
        x, y = margin + width * (k % columns), total[1] - (k // columns + 1) * (2 * height + caption)
        for shape, bottom in ((pair.reference, y + caption + height), (pair.closest, y + caption)):
            axes = figure.add_axes((x / total[0], bottom / total[1], width / total[0], height / total[1]))
            _draw(axes, shape, pair.failure, half)
        center = (x + width / 2) / total[0], (y + caption - 0.05) / total[1]
        figure.text(*center, text, ha="center", va="top", size=8, color=INK, parse_math=False)
    for line in range(lines):
        bottom = total[1] - (line + 1) * (2 * height + caption) + caption
        for label, middle in (("reference", 1.5), (_generated_label(rows), 0.5)):
            place = (margin - 0.1) / total[0], (bottom + middle * height) / total[1]
            figure.text(*place, label, ha="right", va="center", size=9, color=INK, linespacing=1.5)
    return save_figure(figure, path, dpi=_DPI)


class _Pair(NamedTuple):
    """A reference and the generated conformer that is closest to it, or why there is none."""

    reference: Shape
    closest: Shape | None
    rmsd: float
    failure: str


def _closest_pairs(rows: Sequence[PageRow]) -> list[_Pair]:
    if not rows:
        raise ValueError("Expected molecules to show, but there are none")
    pairs = []
    for row in rows:
        try:
            found, _, rmsd = superpose([row.reference], row.generated)
        except ValueError as error:
            raise ValueError(f"Cannot show {row.name!r}: {error}") from error
        reference = ball_and_stick(found.mol, found.references[0])
        if len(rmsd):
            best = int(rmsd.argmin())
            pairs.append(_Pair(reference, ball_and_stick(found.mol, found.generated[best]), float(rmsd[best]), ""))
        else:
            pairs.append(_Pair(reference, None, np.inf, next(iter(found.failures), None) or "nothing was generated"))
    return pairs


def _frame(pair: _Pair) -> np.ndarray:
    """Half width and half height ``[2]`` that hold both shapes, or half as much again as the reference."""
    halves = [
        (np.abs(shape.centers[:, :2]) + shape.radii[:, None]).max(axis=0)
        for shape in (pair.reference, pair.closest)
        if shape is not None
    ]
    # A conformer that fell apart is cut off rather than shrink all the others.
    return np.minimum(np.max(halves, axis=0), 1.5 * halves[0].max())


def _draw(axes: Axes, shape: Shape | None, failure: str, half: np.ndarray) -> None:
    axes.set_axis_off()
    if shape is None:
        text = textwrap.fill(f"failed: {failure}", 22)
        axes.text(0.5, 0.5, text, ha="center", va="center", size=8, color=INK, parse_math=False)
    else:
        image = raycast(shape, half[0], half[1], width=round(_WIDTH * _DPI))
        axes.imshow(image, extent=(-half[0], half[0], -half[1], half[1]), interpolation="antialiased")


def _caption(row: PageRow, pair: _Pair) -> str:
    names = dict.fromkeys(filter(None, (row.name, row.smiles)))
    lines = [line for name in names for line in textwrap.wrap(name, 28, max_lines=2, placeholder="…")]
    return "\n".join([*lines, f"RMSD {pair.rmsd:.2f} Å"] if pair.closest else lines)


def _generated_label(rows: Sequence[PageRow]) -> str:
    """Says how many the closest was chosen from: without that, the picture promises too much."""
    most, least = max(len(row.generated) for row in rows), min(len(row.generated) for row in rows)
    if most <= 1:
        return "generated"
    return f"generated\n(closest of\n{'' if most == least else 'up to '}{most})"
