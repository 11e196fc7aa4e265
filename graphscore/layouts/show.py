"""Pictures, pages, reports and tables of graph drawings."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.readers import Failure
from graphscore.data.sources import read_files
from graphscore.data.writers import write
from graphscore.experiment.evaluation.files import View
from graphscore.experiment.evaluation.pictures import INK, new_figure, save_figure, save_page
from graphscore.experiment.evaluation.reports import Report
from graphscore.experiment.evaluation.tables import number, show_rows
from graphscore.layouts.metrics import METRICS, drawn_edges, measure_drawings

MOST_SHOWN, PER_LINE = 24, 6
_TILE, _LABEL = 2.0, 0.25  # inches
_HEADS = dict(zip(METRICS, ("stress", "crossings", "lengths", "neighbors", "angles"), strict=True))
_LINE, _NODE = "#8a93a0", "#2f5fe3"


def drawing_picture(drawings: Sequence[Data], path: str | Path, labels: Sequence[str] | None = None) -> Path:
    """Draw graphs with their nodes and edges as a PNG image, each on its own scale.

    Args:
        drawings: Graphs with ``pos`` ``[N, 2]``.
        path: File ``*.png``; one that exists is replaced.
        labels: A heading for each; by default its numbers of nodes and crossings.

    Returns:
        The path.

    Raises:
        ValueError: If there is nothing to draw, or a drawing has no finite positions in the plane.
    """
    if not drawings:
        raise ValueError("Expected drawings of graphs, but got none")
    labels = _labels(drawings) if labels is None else labels
    columns = min(len(drawings), PER_LINE)
    lines = -(-len(drawings) // columns)
    width, height = columns * _TILE, lines * (_TILE + _LABEL)
    figure = new_figure(width, height)
    for place, (data, label) in enumerate(zip(drawings, labels, strict=True)):
        left, top = place % columns * _TILE, height - place // columns * (_TILE + _LABEL)
        axes = figure.add_axes(
            (
                (left + 0.08) / width,
                (top - _LABEL - _TILE + 0.08) / height,
                (_TILE - 0.16) / width,
                (_TILE - 0.16) / height,
            )
        )
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
        pos, edges = _shape(data)
        axes.plot(*pos[edges].transpose(2, 0, 1), color=_LINE, linewidth=0.8, zorder=1)
        axes.scatter(*pos.T, s=max(3.0, 300 / max(len(pos), 1)), color=_NODE, linewidths=0, zorder=2)
        axes.margins(0.06)
        figure.text(
            (left + _TILE / 2) / width, (top - _LABEL / 2) / height, label, ha="center", va="center", size=8, color=INK,
            parse_math=False,
        )  # fmt: skip
    return save_figure(figure, path)


def drawing_page(drawings: Sequence[Data], path: str | Path, labels: Sequence[str] | None = None) -> Path:
    """Draw graphs on an HTML page that works offline; see :func:`drawing_picture`."""
    if not drawings:
        raise ValueError("Expected drawings of graphs, but got none")
    labels = _labels(drawings) if labels is None else labels
    tiles = "\n".join(
        f"<figure>{_svg(data)}<figcaption>{html.escape(label)}</figcaption></figure>"
        for data, label in zip(drawings, labels, strict=True)
    )
    style = (
        f"body{{font:14px sans-serif;color:{INK};display:flex;flex-wrap:wrap;gap:16px}}"
        f"figure{{margin:0;text-align:center}}svg{{width:320px;height:320px}}line{{stroke:{_LINE};stroke-width:1.2;vector-effect:non-scaling-stroke}}"
        f"circle{{fill:{_NODE}}}"
    )
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Drawings</title><style>{style}</style>'
    return save_page(f"{head}\n{tiles}\n</html>\n", path)


def view(path: Path, out: Path, reference: Path | None = None, trajectories: Sequence[Path] = ()) -> View:
    """Draw the first 24 graphs of a file, as ``.png`` or ``.html``, and after them those of a reference file.

    Args:
        path: Drawings in the plane.
        out: File ``*.png`` or ``*.html``.
        reference: Reference drawings.
        trajectories: Must be empty: trajectories of drawings cannot be shown.

    Raises:
        ValueError: If a file cannot be read or has no drawings, or trajectories are given.
    """
    if trajectories:
        raise ValueError(f"Drawings are shown without trajectories, but got {trajectories[0]}")
    shown, labels, notes = [], [], []
    for file in (path, *([] if reference is None else [reference])):
        items, skipped = _read(file)
        notes += [str(failure) for failure in skipped]
        if len(items) > MOST_SHOWN:
            notes.append(f"{file}: the first {MOST_SHOWN} of {len(items)} are drawn")
        shown += items[:MOST_SHOWN]
        labels += [f"reference: {label}" if file is reference else label for label in _labels(items[:MOST_SHOWN])]
    draw: Callable[..., Path] = drawing_page if out.suffix.lower() == ".html" else drawing_picture
    return View(draw(shown, out, labels), f"{len(shown)} drawing(s)", notes)


def evaluate(generated: Path, reference: Path, *, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Measure the drawings of a file, and those of a reference file, by :func:`measure_drawings`.

    Args:
        generated: Drawings.
        reference: Reference drawings, of the same or other graphs.
        progress: Called with (files done, files in all).

    Returns:
        The mean of each metric for both files, ``files``, and ``skipped``: the records that could not be measured.

    Raises:
        ValueError: If a file cannot be read, or has no drawings.
    """
    report: dict[str, Any] = {"files": {"generated": str(generated), "reference": str(reference)}}
    failures: list[Failure] = []
    for done, (name, path) in enumerate((("generated", generated), ("reference", reference)), start=1):
        items, skipped = _read(path)
        failures += skipped
        report[name] = mean_metrics(items)
        if progress is not None:
            progress(done, 2)
    return report | {"skipped": [asdict(failure) for failure in failures]}


def mean_metrics(drawings: Sequence[Data]) -> dict[str, Any]:
    """Compute the number of drawings and the mean of each metric, ``None`` for no drawings."""
    if not drawings:
        return {"drawings": 0} | dict.fromkeys(METRICS)
    return {"drawings": len(drawings)} | {
        name: float(values.nanmean()) for name, values in measure_drawings(drawings).items()
    }


def report(
    groups: Sequence[Sequence[Data]], samples: Mapping[str, Sequence[Sequence[Data]]], out: Path, seed: int
) -> Report:
    """Report on sampled drawings: metrics beside those of the references, a file of the drawings and a picture.

    Args:
        groups: Reference drawings of each graph.
        samples: By method, the drawings of each graph.
        out: Folder.
        seed: Not used: nothing is random here.
    """
    drawn = {name: [item for of_group in one for item in of_group] for name, one in samples.items()}
    scores = {name: mean_metrics(items) for name, items in drawn.items()}
    scores["reference"] = mean_metrics([item for group in groups for item in group])
    write(drawn["model"], out / "drawings.pt")
    firsts = [one[0] for one in samples["model"] if one][: 2 * PER_LINE]
    picture = drawing_picture(firsts, out / "drawings.png")
    advice = [f"look at {picture}, and draw graphs of your own: graphscore.layout(G, model={str(out)!r})"]
    names = {"model": "trained model", "untrained": "untrained network", "reference": "references"}
    return Report(scores, {"drawings": out / "drawings.pt", "picture": picture}, advice, names)


def show_drawings(console: Console, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table of reports on drawings: of a demo, by method, or of two files."""
    rows = {name: row for name, row in reports.items() if isinstance(row, Mapping) and METRICS[0] in row}
    if not rows:  # the report of two files
        rows = {
            side: row for report_ in reports.values() for side, row in report_.items()
            if isinstance(row, Mapping) and METRICS[0] in row
        }  # fmt: skip
    shown = {name: {head: number(row[key], 3) for key, head in _HEADS.items()} for name, row in rows.items()}
    show_rows(console, shown, "metrics of drawings, mean over graphs; stress over ordered pairs, after optimal scaling")


def _read(path: Path) -> tuple[list[Data], list[Failure]]:
    result = read_files(path)
    good = [item for item in result.items if _is_drawing(item)]
    skipped = [Failure(str(path), "graphs", "no finite positions [N, 2]")] * (len(result.items) - len(good))
    if not good:
        raise ValueError(f"{path} holds no drawings: graphs with finite positions, pos [N, 2]")
    return good, [*result.failures, *skipped]


def _is_drawing(item: Data) -> bool:
    pos = item.get("pos")
    return isinstance(pos, Tensor) and pos.shape == (item.num_nodes, 2) and bool(pos.isfinite().all())


def _labels(drawings: Sequence[Data]) -> list[str]:
    counts = measure_drawings(drawings)["crossings"].long().tolist()
    return [f"{data.num_nodes} nodes, {count} crossings" for data, count in zip(drawings, counts, strict=True)]


def _shape(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Positions ``[N, 2]`` and edges ``[2, E]`` of a drawing."""
    edges, pos = drawn_edges(data), data.pos
    assert pos is not None
    return pos.detach().cpu().double().numpy(), edges[:, edges[0] < edges[1]].cpu().numpy()


def _svg(data: Data) -> str:
    pos, edges = _shape(data)
    low, size = pos.min(0, initial=np.inf), max(float(np.ptp(pos, axis=0).max()) if len(pos) else 0.0, 1e-9)
    places = (pos - low) / size * [100, -100] + [0, 100]
    ends = places[edges.T].reshape(-1, 4)
    lines = "".join(f'<line x1="{a:.2f}" y1="{b:.2f}" x2="{c:.2f}" y2="{d:.2f}"/>' for a, b, c, d in ends)
    dots = "".join(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="1.2"/>' for x, y in places)
    return f'<svg viewBox="-4 -4 108 108">{lines}{dots}</svg>'
