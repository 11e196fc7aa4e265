"""Figures of a data set, gathered graph by graph: sizes of the parts, scales of the fields, equal graphs."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphscore.experiment.data_check.graph_faults import NOTES, SPOILS, STOPS, Fault

FAR = 10.0
"""Factor between scales beyond which they are said to differ."""
_QUANTILES = {"smallest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}


class Sizes:
    """Numbers of nodes and edges of the graphs of a part."""

    def __init__(self) -> None:
        self.nodes, self.edges = array("q"), array("q")

    def add(self, nodes: int, edges: int) -> None:
        """Add a graph."""
        self.nodes.append(nodes)
        self.edges.append(edges)

    def report(self) -> dict[str, Any]:
        """Report the number of graphs, and sums and quantiles of nodes and edges."""
        counts = {"nodes": np.asarray(self.nodes), "edges": np.asarray(self.edges)}
        return {
            "graphs": len(self.nodes),
            **{
                name: {"sum": int(values.sum())} | {
                    key: float(np.quantile(values, share)) for key, share in _QUANTILES.items() if len(values)
                }
                for name, values in counts.items()
            },
        }  # fmt: skip


class FieldFigures:
    """Mean, standard deviation and range of a field, and its scale in each graph.

    Args:
        zero_mean: Whether rows are taken relative to their graph's mean for the scale.
    """

    def __init__(self, zero_mean: bool = False) -> None:
        self.zero_mean = zero_mean
        self.columns = Counter[int]()
        self.scales = array("d")
        self._num, self._squares, self._entries = 0, 0.0, 0
        self._sum = self._square_sum = torch.zeros(0, dtype=torch.double)
        self.low, self.high = math.inf, -math.inf

    def add(self, value: Tensor) -> None:
        """Add the field ``[rows, columns]`` of a graph."""
        self.columns[value.shape[1]] += 1
        if not value.numel():
            return
        values = value.double()
        if not self._num:
            self._sum, self._square_sum = (torch.zeros(value.shape[1], dtype=torch.double) for _ in range(2))
        if len(self._sum) == value.shape[1]:
            self._num += len(values)
            self._sum, self._square_sum = self._sum + values.sum(0), self._square_sum + values.square().sum(0)
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        squares = float(((values - values.mean(0)) if self.zero_mean else values).square().sum())
        self._squares, self._entries = self._squares + squares, self._entries + values.numel()
        self.scales.append(math.sqrt(squares / values.numel()))

    @property
    def scale(self) -> float:
        """Root mean square, as :func:`graphscore.fields.measure_scale` measures it."""
        return math.sqrt(self._squares / max(self._entries, 1))

    def report(self) -> dict[str, Any]:
        """Report the figures."""
        mean = self._sum / max(self._num, 1)
        std = (self._square_sum / max(self._num, 1) - mean.square()).clamp(min=0).sqrt()
        known = self._num > 0
        return {
            "columns": {str(number): count for number, count in self.columns.items()},
            "mean": mean.tolist(),
            "std": std.tolist(),
            "scale": self.scale,
            "range": [self.low, self.high] if known else None,
        }

    def faults(self, name: str, given: float | None) -> Iterator[Fault]:
        """List what is wrong with the field as a whole.

        Args:
            name: Its name.
            given: Its scale in the configuration, if that is a number.
        """
        if len(self.columns) > 1:
            counts = ", ".join(f"{number} in {count:,} graphs" for number, count in self.columns.most_common())
            yield STOPS, f"{name} has different numbers of columns: {counts}"
        if not self._entries:
            return
        std, scale = self.report()["std"], self.scale
        if max(std) <= 1e-6 * max(abs(self.low), abs(self.high)) or scale == 0:
            yield (STOPS if scale == 0 else SPOILS), f"{name} is constant, {self.low:g} in all graphs"
            return
        constant = [number for number, value in enumerate(std) if value <= 1e-6 * max(std)]
        if constant:
            yield NOTES, f"{name} is constant in the columns {constant}"
        varying = [value for number, value in enumerate(std) if number not in constant]
        if max(varying) > FAR * min(varying):
            yield (
                NOTES,
                f"{name} varies by {min(varying):.3g} to {max(varying):.3g} in its columns, which share a scale",
            )
        if given is not None and not scale / FAR < given < scale * FAR:
            yield SPOILS, f"{name} has the scale {given:g} in the configuration, but {scale:.3g} in the data"
        low, high = np.quantile(np.asarray(self.scales), [0.01, 0.99])
        if high > FAR * low:
            yield NOTES, f"{name} has scales from {low:.3g} to {high:.3g} in single graphs (1 % and 99 %)"
        if max(abs(self.low), abs(self.high)) > 2 * FAR * max(scale, max(std)):
            yield NOTES, f"{name} goes from {self.low:.4g} to {self.high:.4g}, far beyond its scale of {scale:.3g}"


def part_faults(sizes: Mapping[str, Sizes], expected: Sequence[str] = ("val", "test")) -> Iterator[Fault]:
    """List parts without graphs."""
    if not sizes["train"].nodes:
        yield STOPS, "the part train is empty"
    for part in expected:
        if not sizes[part].nodes:
            yield NOTES, f"the part {part} is empty"
