"""Terminal tables of reports, and the formatting of their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text


def show_rows(console: Console, rows: Mapping[str, Mapping[str, str]], caption: str) -> None:
    """Print a table without lines, and its caption; nothing if there are no columns."""
    if any(rows.values()):
        show_columns(console, "", rows)
        console.print(f"[italic]{caption}\n", highlight=False)


def show_columns(
    console: Console, corner: str, rows: Mapping[str, Mapping[str, str]], justify: JustifyMethod = "right"
) -> None:
    """Print a table without lines; columns that do not fit in the terminal follow below, with the names again.

    Args:
        console: The terminal.
        corner: Heading of the names.
        rows: Cells by heading, by the name of the row; a missing one is a dash.
        justify: Alignment of the cells.
    """
    widths: dict[str, int] = {}
    for cells in rows.values():
        for heading, cell in cells.items():
            longest = max(map(cell_len, [*heading.split("\n"), cell]))
            widths[heading] = max(widths.get(heading, 1), longest)
    names = min(max(map(cell_len, [corner, *rows])), console.width // 2)
    blocks: list[list[str]] = []
    room = 0
    for heading, width in widths.items():
        if not blocks or width + 1 > room:
            blocks.append([])
            room = console.width - names - 1
        blocks[-1].append(heading)
        room -= width + 1
    for block in blocks:
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column(corner, width=names, overflow="fold")
        for heading in block:
            table.add_column(heading, justify=justify, no_wrap=True, min_width=min(widths[heading], console.width // 2))
        for name, cells in rows.items():
            table.add_row(Text(name), *(Text(cells.get(heading, "-")) for heading in block))
        console.print(table)


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
