"""Cell lists: the nodes in and around the cell of each node, for searches whose cost is linear in the nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from graphscore.nn.edges.sets import ragged_range


@dataclass(frozen=True)
class Cells:
    """Nodes of ragged graphs, sorted into cells at least as wide as a radius.

    Attributes:
        key: Number of the cell of each node, shape ``[N]``.
        sorted_key: The same, rising, shape ``[N]``.
        order: Node of each entry of ``sorted_key``, shape ``[N]``.
        shifts: Differences of numbers that lead to the middle one of each three adjacent cells in a row.
    """

    key: Tensor
    sorted_key: Tensor
    order: Tensor
    shifts: tuple[int, ...]

    @classmethod
    def of(cls, pos: Tensor, batch_index: Tensor, num_graphs: int, radius: float | Tensor) -> Cells:
        """Sort nodes into cells.

        Args:
            pos: Positions, shape ``[N, D]``; what is not finite counts as 0.
            batch_index: Graph of each node, shape ``[N]``.
            num_graphs: Number of graphs B.
            radius: Least width of cells, for all graphs or for each, shape ``[B, 1]``.
        """
        # Three axes exclude most pairs of distant nodes.
        axes = pos[:, :3].nan_to_num(0.0, 0.0, 0.0)
        dim, owner = axes.shape[1], batch_index[:, None].expand_as(axes)
        low, high = (
            axes.new_zeros(num_graphs, dim).scatter_reduce(0, owner, axes, how, include_self=False)
            for how in ("amin", "amax")
        )
        # Cells are wider in very large graphs, so that their numbers fit an integer and rounding stays below 2 %.
        per_axis = min(2**16, int((2**62 / num_graphs) ** (1 / dim)))
        width = ((high - low) / (per_axis - 2)).clamp(min=1.02 * radius)
        # The last cell of each axis stays empty: a step out of the box, at either end, leads into it.
        cell = ((axes - low[batch_index]) / width[batch_index]).long().clamp(0, per_axis - 2)
        strides = [per_axis**power for power in reversed(range(dim))]
        key = batch_index * per_axis**dim + (cell * torch.tensor(strides, device=pos.device)).sum(1)
        # Along the last axis, three cells are one range.
        steps = itertools.product((-1, 0, 1), repeat=dim - 1)
        shifts = tuple(sum(step * stride for step, stride in zip(some, strides, strict=False)) for some in steps)
        sorted_key, order = key.sort()
        return cls(key, sorted_key, order, shifts)

    def around(self, targets: Tensor) -> Tensor:
        """Count the nodes in and around the cell of each target, the target among them, ``[T]``."""
        return torch.stack([stop - first for first, stop in self._ranges(targets)]).sum(0)

    def pairs(self, targets: Tensor) -> Iterator[Tensor]:
        """List pairs of nodes in and around the cells of targets with the targets, each pair of distinct nodes once.

        Args:
            targets: Nodes, shape ``[T]``.

        Yields:
            Sources and targets ``[2, *]``.
        """
        for first, stop in self._ranges(targets):
            row, place = ragged_range(stop - first)
            source, target = self.order[first[row] + place], targets[row]
            distinct = source != target
            yield torch.stack([source[distinct], target[distinct]])

    def _ranges(self, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Ranges of the sorted nodes, one for each three cells in a row."""
        for shift in self.shifts:
            center = self.key[targets] + shift
            first = torch.searchsorted(self.sorted_key, center - 1)
            yield first, torch.searchsorted(self.sorted_key, center + 1, right=True)
