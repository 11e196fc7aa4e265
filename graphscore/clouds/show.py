"""Pictures and tables of point clouds in the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from torch_geometric.data import Data

from graphscore.clouds.distances import CONVENTIONS
from graphscore.clouds.metrics import evaluate_clouds
from graphscore.data.readers import read
from graphscore.data.writers import write
from graphscore.experiment.evaluation.files import View
from graphscore.experiment.evaluation.pictures import INK, new_figure, save_figure
from graphscore.experiment.evaluation.reports import Report
from graphscore.experiment.evaluation.tables import number, show_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PER_LINE = 12
_COLUMNS = {
    "recall": "recall",
    "precision": "precision",
    "coverage": "coverage",
    "nearest_neighbor_accuracy": "1-NN accuracy",
    "occupancy_divergence": "JSD",
}
NUM_PICTURES = 12
_TILE, _GAP, _MARGIN, _HEADING = 0.9, 0.08, 0.95, 0.28  # inches
_COLORS = ("#50555c", "#2f5fe3")  # reference, generated


def cloud_picture(
    generated: Sequence[Data], reference: Sequence[Data], path: str | Path, labels: Sequence[str] | None = None
) -> Path:
    """Draw reference clouds above generated ones as a PNG image, centred and on a common scale.

    Points far outside the extent of the references are cut off.

    Args:
        generated: Graphs with ``pos`` ``[N, 2]``. One whose coordinates are not finite is shown as failed.
        reference: Graphs with ``pos`` ``[N, 2]``; may be empty.
        path: File ``*.png``; one that exists is replaced.
        labels: Headings of the columns.

    Returns:
        The path.

    Raises:
        ValueError: If there is nothing to draw, a graph is not in the plane, a reference is not finite, or the labels
            are not as many as the columns.
    """
    if not generated:
        raise ValueError(f"Expected clouds to draw, but got {len(reference)} reference, {len(generated)} generated")
    parts = [(reference, _COLORS[0], "reference"), (generated, _COLORS[1], "generated")][0 if reference else 1 :]
    blocks = [[_points(data) for data in clouds] for clouds, _, _ in parts]
    columns = _columns(max(map(len, blocks)))
    if labels is not None and len(labels) != columns:
        raise ValueError(f"Expected a label for each of {columns} columns, but got {len(labels)}")
    lines = [-(-len(block) // columns) for block in blocks]
    step, heading = _TILE + _GAP, _HEADING if labels is not None else 0.0
    width, height = _MARGIN + columns * step, heading + sum(lines) * step + 2 * _GAP
    size = np.array([width, height])
    figure = new_figure(*size)
    # Dots cover about the same share of a tile, whether clouds have ten points or a thousand.
    dot = 0.36 / np.sqrt(np.median([max(1, len(points)) for block in blocks for points in block]))
    drawn = blocks[-1]
    usual = blocks[0] if reference else [points for points in drawn if np.isfinite(points).all()]
    half = 1.08 * _spread(usual, drawn) / (1 - dot)  # whole dots are inside
    top = height - heading
    for block, count, (_, color, name) in zip(blocks, lines, parts, strict=True):
        for k, points in enumerate(block):
            corner = np.array([_MARGIN + (k % columns) * step, top - (k // columns) * step - _TILE])
            axes = figure.add_axes((*(corner / size), *(_TILE / size)))
            _draw(axes, points, half, dot * 72 * _TILE, color)
        middle = (top - (count * step - _GAP) / 2) / height
        figure.text((_MARGIN - 0.12) / width, middle, name, ha="right", va="center", size=9, color=INK)
        top -= count * step + _GAP
    for k, label in enumerate(labels or ()):
        place = (_MARGIN + k * step + _TILE / 2) / width, 1 - 0.5 * _HEADING / height
        figure.text(*place, label, ha="center", va="center", size=9, color=INK, parse_math=False)
    return save_figure(figure, path)


def view(path: Path, out: Path, reference: Path | None = None, trajectories: Sequence[Path] = ()) -> View:
    """Draw the first 48 clouds of a file, and above them those of a reference file if there is one.

    Args:
        path: Clouds in the plane.
        out: File ``*.png``.
        reference: Reference clouds.
        trajectories: Must be empty: trajectories of clouds cannot be drawn.

    Raises:
        ValueError: If a file cannot be read or has no clouds, or trajectories are given.
    """
    if trajectories:
        raise ValueError(f"Clouds are drawn without trajectories, but got {trajectories[0]}")
    read_files = [read(file) for file in (path, *([] if reference is None else [reference]))]
    notes = [str(failure) for result in read_files for failure in result.failures]
    shown = [result.items[: 4 * _PER_LINE] for result in read_files]
    notes += [
        f"{file}: the first {len(few)} of {len(result.items)} are drawn"
        for file, result, few in zip((path, reference), read_files, shown, strict=False)
        if len(few) < len(result.items)
    ]
    written = cloud_picture(shown[0], shown[1] if reference is not None else [], out)
    return View(written, f"{len(shown[0])} cloud(s)", notes)


def report(
    groups: Sequence[Sequence[Data]], samples: Mapping[str, Sequence[Sequence[Data]]], out: Path, seed: int
) -> Report:
    """Report on sampled clouds: Chamfer distances to references, a file of the samples and a picture.

    Args:
        groups: Reference clouds of each group.
        samples: By method, the samples of each group.
        out: Folder.
        seed: Not used: nothing is random here.
    """
    scores = {name: evaluate_clouds(groups, drawn) for name, drawn in samples.items()}
    write([item for drawn in samples["model"] for item in drawn], out / "clouds.pt")
    pairs = [(drawn[0], group[0]) for group, drawn in zip(groups, samples["model"], strict=True) if drawn]
    generated, reference = zip(*pairs[:NUM_PICTURES], strict=True)
    picture = cloud_picture(generated, reference, out / "clouds.png")
    advice = [f"look at {picture}, and train on data of your own: graphscore train --help"]
    return Report(scores, {"clouds": out / "clouds.pt", "picture": picture}, advice)


def show_clouds(console: Console, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table of reports on point clouds."""
    known = {name: [key for key in _COLUMNS if key in row] for name, row in reports.items()}
    rows = {name: {_COLUMNS[key]: number(reports[name][key], 3) for key in keys} for name, keys in known.items()}
    convention = next((row["convention"] for row in reports.values() if "convention" in row), CONVENTIONS["chamfer"])
    show_rows(console, rows, f"Recall, precision: to the nearest cloud of the other set, in data units. {convention}")
    for name, row in reports.items():
        for note in row.get("notes", ()):
            console.print(f"[yellow]{name}: {note}", highlight=False, soft_wrap=True)


def _points(data: Data) -> np.ndarray:
    """Coordinates ``[N, 2]``, centered."""
    if data.pos is None or data.pos.dim() != 2 or data.pos.size(1) != 2:
        shape = None if data.pos is None else list(data.pos.shape)
        raise ValueError(f"Expected points in the plane, pos of shape [N, 2], but got {shape}")
    points = data.pos.detach().cpu().double().numpy()
    return points - points.mean(axis=0) if len(points) and np.isfinite(points).all() else points


def _columns(count: int) -> int:
    """Number of columns that fills the lines evenly."""
    lines = -(-count // _PER_LINE)
    return -(-count // lines)


def _spread(reference: Sequence[np.ndarray], generated: Sequence[np.ndarray]) -> float:
    """Half the width of the visible square: all of the references, and the generated clouds but for outliers."""
    if not all(np.isfinite(points).all() for points in reference):
        raise ValueError("A reference cloud has coordinates that are not finite")
    usual = max((float(np.abs(points).max(initial=0)) for points in reference), default=0.0)
    drawn = [np.abs(points).ravel() for points in generated if np.isfinite(points).all()]
    values = np.concatenate([*drawn, [0.0]])
    # Clouds that fell apart are cut off: they must not shrink all others. If all clouds are single points, the width is
    # 0.
    return max(usual, min(float(np.quantile(values, 0.99)), 1.5 * usual)) or 1.0


def _draw(axes: Axes, points: np.ndarray, half: float, diameter: float, color: str) -> None:
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[], facecolor="#f4f5f7", aspect="equal")
    axes.spines[:].set_visible(False)
    if np.isfinite(points).all():
        axes.scatter(*points.T, s=diameter**2, color=color, alpha=0.85, linewidths=0)
    else:
        axes.text(0, 0, "failed:\nnot finite", ha="center", va="center", size=8, color=INK)
