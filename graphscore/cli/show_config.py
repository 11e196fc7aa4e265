"""Terminal output of the commands on configurations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from graphscore.experiment.config.shown import list_configs

if TYPE_CHECKING:  # they need PyTorch
    from graphscore.experiment.config.keys import Key
    from graphscore.experiment.proposal.configuration import Proposal


def show_configs(console: Console) -> None:
    """Print a table of the configurations that come with the library."""
    table = Table("name", "what it is", title="Configurations")
    for name, text in list_configs().items():
        table.add_row(name, text)
    console.print(table)


def show_proposal(console: Console, proposal: Proposal, out: Path) -> None:
    """Print what was found in data, what was chosen for them, and the next command."""
    found = proposal.survey
    files = f"{found.num_files:,} file{'s' if found.num_files > 1 else ''}"
    lines = [
        f"Found {found.described()} ({files}; {found.domain.name})",
        *(f"  {name}: {column}" for name, column in found.columns.items()),
        *(
            [f"  {len(found.failures)} records cannot be used; the first: {found.failures[0]}"]
            if found.failures
            else []
        ),
        "Chose",
        *(f"  {line}" for line in proposal.chosen),
        f"Wrote {out}; read it, then train by: graphscore train --config {out} --out RUN",
    ]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def show_keys(console: Console, keys: Iterable[Key]) -> None:
    """Print keys with their types and defaults, and their meanings below."""
    for key in keys:
        values = (
            [f"({key.type}; {'required' if key.default is None else f'default {key.default}'})"] if key.type else []
        )
        console.print(" ".join([key.name, *values]), highlight=False, markup=False, soft_wrap=True)
        if key.meaning:
            indent = "    "
            text = fill(key.meaning.strip(), console.width, initial_indent=indent, subsequent_indent=indent)
            console.print(text, highlight=False, markup=False)
