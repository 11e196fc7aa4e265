"""Pictures, reports and tables of point clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from torch_geometric.data import Data

from graphscore.clouds.distances import CONVENTIONS
from graphscore.clouds.metrics import evaluate_clouds
from graphscore.data.writers import write
from graphscore.experiment.drawings.shapes import Block
from graphscore.experiment.drawings.view import Style
from graphscore.experiment.evaluation.reports import Report
from graphscore.experiment.evaluation.tables import number, show_rows

_COLUMNS = {
    "recall": "recall",
    "precision": "precision",
    "coverage": "coverage",
    "nearest_neighbor_accuracy": "1-NN accuracy",
    "occupancy_divergence": "JSD",
}
NUM_PICTURES = 12
STYLE = Style(labels=lambda clouds: (), most=48, per_line=12, common_scale=True)


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
    pairs = [[*zip(drawn, group, strict=False)] for group, drawn in zip(groups, samples["model"], strict=True)]
    # The first of each group come first.
    turns = [pair for turn in zip_longest(*pairs) for pair in turn if pair is not None]
    generated, reference = zip(*turns[:NUM_PICTURES], strict=True)
    blocks = [Block("reference", reference, is_reference=True), Block("generated", generated)]
    picture = STYLE.draw(blocks, out / "clouds.png")
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
