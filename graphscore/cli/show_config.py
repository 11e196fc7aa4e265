"""Terminal output of the commands on configurations."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from graphscore.experiment.shown import list_configs

if TYPE_CHECKING:  # the components of keys need PyTorch
    from graphscore.experiment.keys import Key


def show_configs(console: Console) -> None:
    """Print a table of the configurations that come with the library."""
    table = Table("name", "what it is", title="Configurations")
    for name, text in list_configs().items():
        table.add_row(name, text)
    console.print(table)


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
