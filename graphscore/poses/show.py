"""Reports, pictures and tables of poses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from torch_geometric.data import Data

from graphscore.data.writers import write
from graphscore.experiment.drawings.picture import draw_picture
from graphscore.experiment.drawings.shapes import Block
from graphscore.experiment.drawings.view import Style
from graphscore.experiment.evaluation.reports import Report
from graphscore.experiment.evaluation.tables import number, percent, show_rows
from graphscore.poses.metrics import compare_poses

PER_LINE = 8
STYLE = Style(labels=lambda poses: (), most=2 * PER_LINE, per_line=PER_LINE, common_scale=True)


def report(
    groups: Sequence[Sequence[Data]], samples: Mapping[str, Sequence[Sequence[Data]]], out: Path, seed: int
) -> Report:
    """Report on sampled poses: metrics, a file of the poses and a picture of some, with references above.

    Args:
        groups: Reference poses.
        samples: By method, the poses sampled for each group.
        out: Folder.
        seed: Not used: nothing is random here.
    """
    references = [item for group in groups for item in group]
    drawn = {name: [item for of_group in one for item in of_group] for name, one in samples.items()}
    scores = {name: compare_poses(references, items) for name, items in drawn.items() if items}
    write(drawn["model"], out / "poses.pt")
    shown = [one[0] for one in samples["model"] if one][: 2 * PER_LINE]
    blocks = [Block("reference", references[:: -(-len(references) // PER_LINE)], is_reference=True)]
    picture = draw_picture([*blocks, Block("generated", shown)], out / "poses.png", per_line=PER_LINE)
    advice = [f"complete poses of your own: graphscore sample --checkpoint {out} --complete moments --input FILE ..."]
    return Report(scores, {"poses": out / "poses.pt", "picture": picture}, advice)


def show_poses(console: Console, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table of reports on poses."""
    rows = {
        name: {
            "bones off by": percent(row["bone_length_error"]),
            "1-NN accuracy": percent(row["nearest_neighbor_accuracy"]),
            "recall": number(1000 * row["recall"], 0),
            "precision": number(1000 * row["precision"], 0),
        }
        for name, row in reports.items()
    }
    compared = {row["num_compared"] for row in reports.values()}
    size = f"{compared.pop():,}" if len(compared) == 1 else "as many"
    show_rows(
        console,
        rows,
        f"{size} poses of each side; recall and precision: mean distance of joints to the nearest pose of the other "
        "set, in mm. Poses of different clips are told apart by 1-NN even if all are real.",
    )
