"""Terminal output of labelled facts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console


def show_facts(console: Console, facts: Sequence[tuple[str, str]]) -> None:
    """Print labels and texts in two columns; a label that repeats is printed once."""
    width, before = max(len(label) for label, _ in facts), ""
    for label, text in facts:
        line = f"{'' if label == before else label:<{width}}  {text}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
        before = label or before
