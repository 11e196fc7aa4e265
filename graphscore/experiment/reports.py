"""Reports of demos: what a domain measures, writes and draws of samples; here for graphs without a domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from torch_geometric.data import Data

from graphscore.data.writers import write
from graphscore.experiment.tables import number, show_rows

METHODS = {"model": "trained model", "untrained": "untrained network"}
"""What a demo samples by, and its name in tables."""


class Report(NamedTuple):
    """What a domain makes of the samples of a demo.

    Attributes:
        scores: What was measured, by method.
        files: What was written, by what it is.
        advice: What to do next, a line each.
        names: Names of the methods in tables.
    """

    scores: Mapping[str, Any]
    files: Mapping[str, Path]
    advice: Sequence[str] = ()
    names: Mapping[str, str] = METHODS


def report_graphs(
    groups: Sequence[Sequence[Data]], samples: Mapping[str, Sequence[Sequence[Data]]], out: Path, seed: int
) -> Report:
    """Count samples of graphs without a domain, and write them: nothing is known of what would be a good one.

    Args:
        groups: Reference graphs of each group.
        samples: By method, the samples of each group.
        out: Folder.
        seed: Seed of what is drawn; nothing is.
    """
    scores = {
        name: {"groups": len(groups), "references": sum(map(len, groups)), "samples": sum(map(len, drawn))}
        for name, drawn in samples.items()
    }
    write([item for drawn in samples["model"] for item in drawn], out / "samples.pt")
    return Report(scores, {"samples": out / "samples.pt"})


def show_scores(console: Console, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the numbers of scores, a row for each method.

    Args:
        console: Where to.
        scores: Numbers by name, for each method; what is no number is left out.
    """
    rows = {
        name: {
            key.replace("_", " "): str(value) if isinstance(value, int) else number(value, 3)
            for key, value in row.items()
            if isinstance(value, int | float | None)
        }
        for name, row in scores.items()
    }
    show_rows(console, rows, "what was sampled, and what it was compared with")
