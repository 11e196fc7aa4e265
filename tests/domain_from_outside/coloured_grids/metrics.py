"""Metric of coloured grids: the alternation of neighboring colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore.data.readers import read


def alternation(item: Data) -> float:
    """Share of the edges whose two cells have different colours."""
    source, target = item["colour"][item.edge_index]
    return float((source * target < 0).float().mean())


def has_both_colours(sample: Data) -> bool:
    """Tell whether a grid has black and white cells."""
    return bool(sample["colour"].min() < 0 < sample["colour"].max())


def measure(grids: Sequence[Data]) -> dict[str, Any]:
    """Mean alternation of grids, and their number."""
    values = [alternation(item) for item in grids]
    return {"grids": len(values), "alternation": sum(values) / len(values) if values else None}


def evaluate(generated: Path, reference: Path, *, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """The alternation of the grids of a file, beside that of references."""
    return {**measure(read(generated).items), "reference_alternation": measure(read(reference).items)["alternation"]}
