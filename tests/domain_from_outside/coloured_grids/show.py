"""Grids as text and as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch_geometric.data import Data

from coloured_grids.data import SIDE
from coloured_grids.metrics import measure
from graphscore.data.readers import read
from graphscore.data.writers import write
from graphscore.experiment.evaluation.files import View
from graphscore.experiment.evaluation.pictures import new_figure, save_figure
from graphscore.experiment.evaluation.reports import Report


def record(item: Data) -> str:
    """A grid in four lines of four letters, b or w, and an empty line."""
    letters = ["b" if colour > 0 else "w" for colour in item["colour"][:, 0].tolist()]
    return "".join("".join(letters[SIDE * row :][:SIDE]) + "\n" for row in range(SIDE)) + "\n"


def picture(grids: Sequence[Data], path: Path) -> Path:
    """Draw grids side by side, as PNG."""
    figure = new_figure(len(grids), 1)
    for number, item in enumerate(grids):
        axes = figure.add_axes((number / len(grids), 0, 0.9 / len(grids), 1))
        axes.imshow(item["colour"].view(SIDE, SIDE), cmap="gray_r", vmin=-1, vmax=1)
    return save_figure(figure, path)


def view(path: Path, out: Path, reference: Path | None = None, trajectories: Sequence[Path] = ()) -> View:
    """Draw the grids of a file."""
    items = read(path).items
    return View(picture(items, out), f"{len(items)} grid(s)")


def report(
    groups: Sequence[Sequence[Data]], samples: Mapping[str, Sequence[Sequence[Data]]], out: Path, seed: int
) -> Report:
    """Measure how well sampled grids alternate, write and draw them."""
    drawn = {name: [item for group in some for item in group] for name, some in samples.items()}
    write(drawn["model"], out / "grids.txt")
    files = {"grids": out / "grids.txt", "picture": picture(drawn["model"][:8], out / "grids.png")}
    return Report({name: measure(grids) for name, grids in drawn.items()}, files, [f"look at {files['picture']}"])
