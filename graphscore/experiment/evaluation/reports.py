"""Reports of demos: scores, files and advice; with the report of graphs without a domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from torch_geometric.data import Data

from graphscore.data.writers import write
from graphscore.experiment.evaluation.graphs import compare_graphs
from graphscore.experiment.evaluation.tables import number, show_rows

METHODS = {"model": "trained model", "untrained": "untrained network"}
"""Models that a demo samples, and their names in tables."""


class Report(NamedTuple):
    """Report of a domain on the samples of a demo.

    Attributes:
        scores: Scores by method.
        files: Paths of the written files, by description.
        advice: Suggested next steps, one per line.
        names: Names of the methods in tables.
    """

    scores: Mapping[str, Any]
    files: Mapping[str, Path]
    advice: Sequence[str] = ()
    names: Mapping[str, str] = METHODS


def report_graphs(
    groups: Sequence[Sequence[Data]], samples: Mapping[str, Sequence[Sequence[Data]]], out: Path, seed: int
) -> Report:
    """Report on samples of graphs without a domain: distances of their attributes from the references', and a file.

    Args:
        groups: Reference graphs of each group.
        samples: Samples of each group by method.
        out: Folder for the file.
        seed: Not used: nothing is random here.
    """
    references, scores = [item for group in groups for item in group], {}
    for name, drawn in samples.items():
        items = [item for of_group in drawn for item in of_group]
        scores[name] = {"groups": len(groups), "references": len(references), "samples": len(items)}
        scores[name] |= compare_graphs(references, items) if items else {}
    write([item for drawn in samples["model"] for item in drawn], out / "samples.pt")
    return Report(scores, {"samples": out / "samples.pt"})


def show_scores(console: Console, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table of numeric scores, with a row for each method.

    Args:
        console: Console to print to.
        scores: Scores by name, for each method; only numbers are shown.
    """
    rows = {
        name: {
            key.replace("_", " "): str(value) if isinstance(value, int) else number(value, 3)
            for key, value in row.items()
            if isinstance(value, int | float | None)
        }
        for name, row in scores.items()
    }
    show_rows(console, rows, "scores of the samples by method")
