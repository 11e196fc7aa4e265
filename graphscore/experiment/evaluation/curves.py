"""Pictures of loss curves."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from graphscore.experiment.evaluation.pictures import INK, new_figure, save_figure

_TRAINING, _VALIDATION = "#2f5fe3", "#e8731a"


def loss_curve(metrics_csv: str | Path, path: str | Path) -> Path:
    """Draw the training and validation loss over the steps as a PNG image.

    The loss axis is logarithmic unless a loss is zero or negative. The thick training line is a Gaussian average over
    4% of the logged steps, which does not lag behind the loss.

    Args:
        metrics_csv: Log with the columns ``step``, ``loss`` and, where there was a validation, ``val_loss``; cells
            may be empty.
        path: File ``*.png``; one that exists is replaced.

    Returns:
        The path.

    Raises:
        ValueError: If the log lacks a column, has no training loss, or has a cell that is not a number.
    """
    training, validation = _read(Path(metrics_csv))
    figure = new_figure(7.0, 4.2)
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes = figure.add_subplot()
    axes.plot(*training, color=_TRAINING, alpha=0.25, linewidth=0.8)
    axes.plot(training[0], _smooth(training[1]), color=_TRAINING, linewidth=1.8, label="training")
    if validation.size:
        marker = "o" if validation.shape[1] <= 50 else ""
        axes.plot(*validation, color=_VALIDATION, linewidth=1.5, marker=marker, markersize=3.5, label="validation")
    values = np.concatenate([training[1], validation[1]])
    if (values[np.isfinite(values)] > 0).all():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("training step", color=INK)
    axes.set_ylabel("loss", color=INK)
    axes.tick_params(which="both", color="#b9bec6", labelcolor=INK, labelsize=9)
    axes.grid(color="#e3e6ea", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#b9bec6")
    axes.legend(frameon=False, labelcolor=INK)
    figure.tight_layout()
    return save_figure(figure, path)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps and losses ``[2, rows]`` of training and of validation."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {"step", "loss"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path} lacks the columns {sorted(missing)}; it has {reader.fieldnames}")
        points: dict[str, list[tuple[float, float]]] = {"loss": [], "val_loss": []}
        for row in reader:
            for name, found in points.items():
                if row.get(name):
                    try:
                        found.append((float(row["step"]), float(row[name])))
                    except ValueError as error:
                        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    if not points["loss"]:
        raise ValueError(f"{path} has no training loss")
    training, validation = (np.array(sorted(found)).reshape(-1, 2).T for found in points.values())
    return training, validation


def _smooth(values: np.ndarray) -> np.ndarray:
    """Gaussian average over the neighbors that are finite."""
    width = len(values) // 50
    if width == 0:
        return values
    kernel = np.exp(-0.5 * np.linspace(-2, 2, 4 * width + 1) ** 2)
    finite = np.isfinite(values)
    weight = np.convolve(finite.astype(float), kernel, mode="same")
    total = np.convolve(np.where(finite, values, 0.0), kernel, mode="same")
    return np.divide(total, weight, out=np.full_like(values, np.nan), where=weight > 0)
