"""Drawing style, reports and tables of graph drawings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.readers import Failure
from graphscore.data.sources import read_files
from graphscore.data.writers import write
from graphscore.experiment.drawings.shapes import Block
from graphscore.experiment.drawings.view import Style
from graphscore.experiment.evaluation.reports import Report
from graphscore.experiment.evaluation.tables import number, show_rows
from graphscore.layouts.metrics import METRICS, drawn_edges, measure_drawings

NUM_PICTURES = 12
_HEADS = dict(zip(METRICS, ("stress", "crossings", "lengths", "neighbors", "angles"), strict=True))


def _labels(drawings: Sequence[Data]) -> list[str]:
    counts = measure_drawings(drawings)["crossings"].long().tolist()
    return [f"{data.num_nodes} nodes, {count} crossings" for data, count in zip(drawings, counts, strict=True)]


STYLE = Style(labels=_labels, edges=drawn_edges, planar=True)


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
    firsts = [one[0] for one in samples["model"] if one][:NUM_PICTURES]
    picture = STYLE.draw([Block("", firsts, _labels(firsts))], out / "drawings.png")
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
