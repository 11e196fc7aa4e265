"""Generated conformers with their references, as an interactive page or a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch_geometric.data import Data

from graphscore.experiment.evaluation.pictures import INK, new_figure, save_figure
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
    """One molecule to show, with its reference and generated conformers.

    Attributes:
        name: Name of the molecule, or its SMILES.
        smiles: Its SMILES.
        reference: Reference conformer, in the layout of :mod:`graphscore.molecules.graph`.
        generated: Conformers of the same molecule. None, coordinates that are not finite, or another molecule are
            shown as failed attempts.
        note: Further text.
    """

    name: str
    smiles: str
    reference: Data
    generated: Sequence[Data | None]
    note: str = ""


def conformer_page(rows: Sequence[PageRow], path: str | Path, title: str, summary: Mapping[str, str]) -> Path:
    """Write an HTML page that shows generated conformers superposed on their references, the closest first.

    See :func:`graphscore.molecules.show.viewer.viewer_page`.

    Args:
        rows: Molecules to show.
        path: File ``*.html``; one that exists is replaced.
        title: Heading of the page.
        summary: Text above the molecules, by label.

    Returns:
        The path.

    Raises:
        ValueError: If there are no rows, or a reference is not a molecule with coordinates.
    """
    entries = [Entry(row.name, row.generated, [row.reference], row.smiles, row.note) for row in rows]
    return viewer_page(entries, path, title, summary, sort=RMSD)


def conformer_picture(rows: Sequence[PageRow], path: str | Path) -> Path:
    """Draw the reference of each molecule above the closest generated conformer, as a PNG image.

    All molecules have the same scale; there are six in a row.

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
    """A reference and the closest generated conformer, or the reason why there is none."""

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
    """Half width and half height ``[2]`` of both shapes, at most 1.5 times those of the reference."""
    halves = [
        (np.abs(shape.centers[:, :2]) + shape.radii[:, None]).max(axis=0)
        for shape in (pair.reference, pair.closest)
        if shape is not None
    ]
    # A conformer that fell apart is cut off: it must not shrink all others.
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
    """Label with the number of conformers from which the closest was chosen, so that the picture does not mislead."""
    most, least = max(len(row.generated) for row in rows), min(len(row.generated) for row in rows)
    if most <= 1:
        return "generated"
    return f"generated\n(closest of\n{'' if most == least else 'up to '}{most})"
