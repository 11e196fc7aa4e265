"""Terminal tables of reports, and the formatting of their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show_rows(console: Console, rows: Mapping[str, Mapping[str, str]], caption: str) -> None:
    """Print a table without lines, and its caption; nothing if there are no columns."""
    headings = list(dict.fromkeys(heading for cells in rows.values() for heading in cells))
    if not headings:
        return
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("", *headings):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(name, *(cells.get(heading, "-") for heading in headings))
    console.print(table)
    console.print(f"[italic]{caption}\n", highlight=False)


def number(value: float | None, digits: int) -> str:
    """Format a number with a number of decimals; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value: float | None, unit: str = " %") -> str:
    """Format a share in percent; a dash for None."""
    return "-" if value is None else f"{100 * value:.1f}{unit}"


def with_interval(summary: Mapping[str, Any]) -> str:
    """Format a mean with its interval."""
    interval = summary["mean_ci"]
    return number(summary["mean"], 3) + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
