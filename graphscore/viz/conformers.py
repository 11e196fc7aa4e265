"""Generated conformers beside their references: an interactive page and a still picture."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch_geometric.data import Data

from graphscore.viz.output import INK, new_figure, save_figure, save_page
from graphscore.viz.raycast import raycast
from graphscore.viz.structures import Chem, Panel, Shape, color_of, superpose

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PER_LINE = 6  # molecules in a line of the picture
_WIDTH, _DPI = 2.0, 200  # of a molecule in the picture: inches, pixels per inch
_NOTHING = "nothing was generated"
_MIN_EXTENT = 3.0  # Angstrom; else methane would be drawn as large as a drug


class PageRow(NamedTuple):
    """One molecule to show.

    Attributes:
        name: What people call it, or its SMILES.
        smiles: Its SMILES.
        reference: Reference conformer, laid out as :mod:`graphscore.data.molecules` says.
        generated: Conformers of the same molecule. None, or one whose coordinates are not finite, is a failed
            attempt, and shown as such.
        note: Anything else to say about it.
    """

    name: str
    smiles: str
    reference: Data
    generated: Sequence[Data | None]
    note: str = ""


def conformer_page(rows: Sequence[PageRow], path: str | Path, title: str, summary: Mapping[str, str]) -> Path:
    """Write one HTML file that shows each molecule's reference and generated conformers, turned by mouse.

    Generated conformers are superposed onto the reference (heavy atoms, equivalent atoms matched), closest first.
    The file holds all it needs and loads nothing. It draws on 2-D canvases: browsers stop at about 16 WebGL
    contexts, one per 3-D plot of the usual libraries, and a page with any number of molecules shall open.

    Args:
        rows: Molecules to show.
        path: File ``*.html``; one that exists is replaced.
        title: Heading of the page.
        summary: What to say above the molecules: text by label.

    Returns:
        The path.

    Raises:
        ValueError: If there are no rows, a reference is no molecule with coordinates, or a generated conformer is
            one of another molecule.
    """
    shown = _superposed(rows)
    numbers = {int(number) for _, shape, _ in shown for number in shape.elements}
    content = {
        "title": title,
        "summary": [[str(label), str(text)] for label, text in summary.items()],
        "elements": {number: _element(number) for number in sorted(numbers)},
        "rows": [_row_content(*entry) for entry in shown],
    }
    template = resources.files("graphscore.viz").joinpath("page.html").read_text(encoding="utf-8")
    # No "<" in the data: it could end the script element that holds them.
    data = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    data = data.replace("<", "\\u003c")
    return save_page(Template(template).substitute(title=html.escape(title), data=data), path)


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
    shown = _superposed(rows)
    columns = min(len(shown), _PER_LINE)
    lines = -(-len(shown) // columns)
    half = np.max([_frame(reference, panels[:1]) for _, reference, panels in shown], axis=0) + 0.15
    margin, caption, width = 1.0, 0.55, _WIDTH  # inches
    height = width * half[1] / half[0]
    total = np.array([margin + width * columns, lines * (2 * height + caption)])
    figure = new_figure(*total)
    for k, (row, reference, panels) in enumerate(shown):
        x, y = margin + width * (k % columns), total[1] - (k // columns + 1) * (2 * height + caption)
        best = panels[0] if panels else Panel(None, np.inf, _NOTHING)
        for panel, bottom in ((Panel(reference, 0.0), y + caption + height), (best, y + caption)):
            axes = figure.add_axes((x / total[0], bottom / total[1], width / total[0], height / total[1]))
            _draw(axes, panel, half)
        center = (x + width / 2) / total[0], (y + caption - 0.05) / total[1]
        figure.text(*center, _caption(row, best), ha="center", va="top", size=8, color=INK, parse_math=False)
    for line in range(lines):
        bottom = total[1] - (line + 1) * (2 * height + caption) + caption
        for label, middle in (("reference", 1.5), (_generated_label(rows), 0.5)):
            place = (margin - 0.1) / total[0], (bottom + middle * height) / total[1]
            figure.text(*place, label, ha="right", va="center", size=9, color=INK, linespacing=1.5)
    return save_figure(figure, path, dpi=_DPI)


def _superposed(rows: Sequence[PageRow]) -> list[tuple[PageRow, Shape, list[Panel]]]:
    if not rows:
        raise ValueError("Expected molecules to show, but there are none")
    out = []
    for row in rows:
        try:
            out.append((row, *superpose(row.reference, row.generated)))
        except ValueError as error:
            raise ValueError(f"Cannot show {row.name!r}: {error}") from error
    return out


def _frame(reference: Shape, panels: Sequence[Panel]) -> np.ndarray:
    """Half width and half height ``[2]`` that hold all shapes, or half as much again as the reference."""
    halves = [
        (np.abs(shape.centers[:, :2]) + shape.radii[:, None]).max(axis=0)
        for shape in (reference, *(panel.shape for panel in panels))
        if shape is not None
    ]
    # A conformer that fell apart is cut off rather than shrink all the others.
    return np.minimum(np.max(halves, axis=0), 1.5 * halves[0].max())


def _draw(axes: Axes, panel: Panel, half: np.ndarray) -> None:
    axes.set_axis_off()
    if panel.shape is None:
        text = textwrap.fill(f"failed: {panel.failure}", 22)
        axes.text(0.5, 0.5, text, ha="center", va="center", size=8, color=INK, parse_math=False)
    else:
        image = raycast(panel.shape, half[0], half[1], width=round(_WIDTH * _DPI))
        axes.imshow(image, extent=(-half[0], half[0], -half[1], half[1]), interpolation="antialiased")


def _caption(row: PageRow, best: Panel) -> str:
    names = dict.fromkeys(filter(None, (row.name, row.smiles)))
    lines = [line for name in names for line in textwrap.wrap(name, 28, max_lines=2, placeholder="…")]
    return "\n".join([*lines, _distance(best)] if best.shape else lines)


def _distance(panel: Panel) -> str:
    return f"RMSD {panel.rmsd:.2f} Å"


def _generated_label(rows: Sequence[PageRow]) -> str:
    """Says how many the closest was chosen from: without that, the picture promises too much."""
    most, least = max(len(row.generated) for row in rows), min(len(row.generated) for row in rows)
    if most <= 1:
        return "generated"
    return f"generated\n(closest of\n{'' if most == least else 'up to '}{most})"


def _element(number: int) -> list[str]:
    table = Chem.GetPeriodicTable()
    return [table.GetElementSymbol(number), table.GetElementName(number).lower(), color_of(number)]


def _row_content(row: PageRow, reference: Shape, panels: Sequence[Panel]) -> dict[str, Any]:
    extents = [panel.shape.extent for panel in panels if panel.shape is not None]
    extent = max(reference.extent, min(max(extents, default=0.0), 1.5 * reference.extent), _MIN_EXTENT)
    generated = [
        {"label": "generated", "text": _distance(panel), **_shape_content(panel.shape)}
        if panel.shape is not None
        else {"label": "generated", "text": f"failed: {panel.failure}"}
        for panel in panels or [Panel(None, np.inf, _NOTHING)]
    ]
    return {
        "name": row.name or row.smiles,
        "smiles": row.smiles,
        "note": row.note,
        "extent": round(extent, 2),
        "panels": [{"label": "reference", "text": "", **_shape_content(reference)}, *generated],
    }


def _shape_content(shape: Shape) -> dict[str, Any]:
    """Balls as (element, x, y, z, radius); sticks as (element, to a hydrogen or not, x, y, z, x, y, z, radius)."""
    hydrogen = (shape.elements[shape.stick_bonds] == 1).any(axis=1)
    columns = {
        "balls": [shape.elements, *shape.centers.T, shape.radii],
        "sticks": [shape.stick_elements, hydrogen, *shape.sticks.reshape(-1, 6).T, shape.stick_radii],
    }
    return {name: [list(map(_plain, row)) for row in zip(*parts, strict=True)] for name, parts in columns.items()}


def _plain(number: np.generic) -> int | float:
    return round(float(number), 3) if isinstance(number, np.floating) else int(number)
