"""Rows of measurements, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from cases import CASES
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One variant of one backbone on one case; ratios above 1 to the dense version mean faster than it.

    Attributes:
        case: One of ``CASES``.
        backbone: One of ``SETUPS``.
        variant: One of ``VARIANTS``.
        forward_s: Seconds per forward pass.
        train_s: Seconds per training step.
        graphs_per_s: Graphs per second of training.
        peak_mib: Peak memory of a training step over that before it.
        equivariance: Relative error of equivariance under rotation.
        forward_vs_dense: Time of the dense version's forward pass over this one's.
        train_vs_dense: The same for training steps.
        train_vs_gemm: Time of a training step over that of its matrix products alone.
    """

    case: str
    backbone: str
    variant: str
    forward_s: float
    train_s: float
    graphs_per_s: float
    peak_mib: float | None
    equivariance: float
    forward_vs_dense: float | None
    train_vs_dense: float | None
    train_vs_gemm: float | None


def write(rows: Iterable[Row], path: Path) -> None:
    """Write the rows as a list of objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def show(console: Console, rows: Iterable[Row]) -> None:
    """Print the rows."""
    table = Table(caption="Graphs and atoms per second of training; ratios of times.", caption_justify="left")
    for name in ("case", "backbone", "variant"):
        table.add_column(name, no_wrap=True)
    for name in (
        "forward ms", "training ms", "graphs/s", "atoms/s", "peak MiB", "equivariance",
        "dense/forward", "dense/training", "training/products",
    ):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        atoms = sum(CASES[row.case]) / len(CASES[row.case])
        table.add_row(
            row.case, row.backbone, row.variant,
            f"{1e3 * row.forward_s:,.1f}", f"{1e3 * row.train_s:,.1f}",
            f"{row.graphs_per_s:,.1f}", f"{atoms * row.graphs_per_s:,.0f}",
            "" if row.peak_mib is None else f"{row.peak_mib:,.0f}", f"{row.equivariance:.1e}",
            _ratio(row.forward_vs_dense), _ratio(row.train_vs_dense), _ratio(row.train_vs_gemm),
        )  # fmt: skip
    console.print(table)
