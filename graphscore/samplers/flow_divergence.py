r"""Divergence of the probability flow of a batch, along many directions at once.

A backward pass gives one product with the Jacobian for each graph. To get many products from one pass, graphs are
copied, one copy for each direction. For small graphs, which do not use a processor fully, that costs little more than
one evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.linalg.runge_kutta import State
from graphscore.rng import places
from graphscore.samplers.adaptive import StraightFlow

KEPT = 16
"""Largest size of copies to keep between evaluations, in multiples of ``max_pairs``; more are made each time."""


@dataclass
class _Pass:
    """One evaluation of the flow on some copies of graphs.

    Attributes:
        flow: The flow of a batch of the copies.
        graph: Original graph of each copy, ``[C]``.
        rows: Row in the state of each row of the copies, for each field.
        first: Indices of the rows in the first copy of their graph, for each field.
        directions: Direction ``[rows, width]`` of some fields, and column of each copy's sum ``[C]``, for each backward
            pass.
    """

    flow: StraightFlow
    graph: Tensor
    rows: dict[str, Tensor]
    first: dict[str, Tensor]
    directions: list[tuple[dict[str, Tensor], Tensor]]


class FlowDivergence:
    """Slopes of the probability flow of a batch, and their divergence in each graph, exact or along directions.

    Args:
        model: The score model; graphs of a batch must not influence each other.
        batch: Clean graphs, with fields that PyG can split by graph.
        directions: Directions of each field, ``[M, rows, width]``, within its space; ``None`` for all unit vectors.
        max_pairs: Largest sum of the squared numbers of nodes over the copies in one evaluation; a single copy may
            exceed it.
    """

    def __init__(
        self, model: ScoreModel, batch: Batch, directions: Mapping[str, Tensor] | None, max_pairs: int
    ) -> None:
        self.num_columns = 1 if directions is None else len(next(iter(directions.values())))
        self._model, self._batch, self._directions, self._max_pairs = model, batch, directions, max_pairs
        self._num_graphs = batch.num_graphs
        self._fields = model.process.fields
        self._flow = StraightFlow(model, batch)
        self._place = {name: places(index, self._num_graphs) for name, index in self._flow.index.items()}
        self._kept: list[_Pass] | None = None
        if not _can_be_copied(batch):
            self._kept = list(self._in_place())
            return
        self._graphs, self._sizes = batch.to_data_list(), ops.count(batch.batch, self._num_graphs).tolist()
        self._copies = list(self._needed())
        if sum(self._sizes[graph] ** 2 for graph, _, _ in self._copies) <= KEPT * max_pairs:
            self._kept = list(self._copied())

    def __call__(self, tau: Tensor, state: State) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the slope of each field, ``[rows, width]``, and the sums of ``v^T J v`` of each graph, ``[B, M]``.

        Args:
            tau: One ``tau`` per graph, ``[B]``.
            state: The fields in straight coordinates, ``[rows, width]``.
        """
        slopes = {name: torch.zeros_like(state[name]) for name in self._fields}
        total = torch.zeros(self._num_graphs * self.num_columns, dtype=torch.float64, device=tau.device)
        for each in self._copied() if self._kept is None else self._kept:
            copies = len(each.graph)
            with torch.enable_grad():
                y = {name: state[name].detach()[rows].requires_grad_() for name, rows in each.rows.items()}
                inside = {
                    name: field.project(y[name], each.flow.index[name], copies) for name, field in self._fields.items()
                }
                values = each.flow.slopes(tau[each.graph], inside)
            for name, value in values.items():
                first = each.first[name]
                slopes[name].index_copy_(0, each.rows[name][first], value.detach()[first])
            for number, (direction, column) in enumerate(each.directions):
                place = each.graph * self.num_columns + column
                pulled = _pull_back(values, y, direction, keep=number + 1 < len(each.directions))
                for name, back in pulled.items():
                    product = (direction[name] * back).double().sum(-1)
                    total = total + ops.sum(product, place[each.flow.index[name]], len(total))
        return slopes, total.view(self._num_graphs, self.num_columns)

    def _needed(self) -> Iterator[tuple[int, str, int]]:
        """Iterate over the copies as (graph, field, number of the direction)."""
        for name, index in self._flow.index.items():
            width = self._batch[name].shape[1]
            for graph, count in enumerate(ops.count(index, self._num_graphs).tolist()):
                number = count * width if self._directions is None else self.num_columns * (count > 0)
                yield from ((graph, name, direction) for direction in range(number))

    def _direction(self, name: str, rows: Tensor, number: Tensor) -> Tensor:
        """Entries in given rows of the directions with the given numbers, one for each row: ``[rows, width]``."""
        if self._directions is not None:
            return self._directions[name][number, rows]
        x = self._batch[name]
        entry = self._place[name][rows, None] * x.shape[1] + torch.arange(x.shape[1], device=x.device)
        return (entry == number[:, None]).to(x)

    def _in_place(self) -> Iterator[_Pass]:
        """Evaluate the batch without copies, with a backward pass for each direction."""
        device, directions = self._batch.batch.device, []
        rows = {name: torch.arange(len(index), device=device) for name, index in self._flow.index.items()}
        graphs = torch.arange(self._num_graphs, device=device)
        for name, number in dict.fromkeys((name, number) for _, name, number in self._needed()):
            vector = self._direction(name, rows[name], torch.full_like(rows[name], number))
            column = torch.full_like(graphs, 0 if self._directions is None else number)
            directions.append(({name: vector}, column))
        if directions:
            yield _Pass(self._flow, graphs, rows, rows, directions)

    def _copied(self) -> Iterator[_Pass]:
        """Evaluate a copy of each graph for each of its directions, as many at once as the bound allows."""
        device, seen, start = self._batch.batch.device, set(), 0
        while start < len(self._copies):
            pairs, end = 0, start
            while end < len(self._copies):
                pairs += self._sizes[self._copies[end][0]] ** 2
                if pairs > self._max_pairs and end > start:
                    break
                end += 1
            copies, start = self._copies[start:end], end
            graph, number = (torch.tensor([copy[part] for copy in copies], device=device) for part in (0, 2))
            new = torch.tensor([copy[0] not in seen and not seen.add(copy[0]) for copy in copies], device=device)
            flow = StraightFlow(self._model, Batch.from_data_list([self._graphs[copy[0]] for copy in copies]))
            rows = {name: _rows_of(graph, index, self._num_graphs) for name, index in self._flow.index.items()}
            first = {name: new[index].nonzero()[:, 0] for name, index in flow.index.items()}
            directions = {}
            for name, index in flow.index.items():
                moved = torch.tensor([copy[1] == name for copy in copies], device=device)
                vector = self._direction(name, rows[name], torch.where(moved, number, 0)[index])
                directions[name] = torch.where(moved[index][:, None], vector, 0)
            column = torch.zeros_like(number) if self._directions is None else number
            yield _Pass(flow, graph, rows, first, [(directions, column)])


def _rows_of(graphs: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    """Numbers of the rows of some graphs, one graph after the other, where ``index`` is the graph of each row."""
    counts = ops.count(index, num_graphs)
    order, starts = index.argsort(stable=True), counts.cumsum(0) - counts
    copy = torch.repeat_interleave(counts[graphs])
    begin = counts[graphs].cumsum(0) - counts[graphs]
    local = torch.arange(len(copy), device=index.device) - begin[copy]
    return order[starts[graphs][copy] + local]


def _pull_back(values: State, y: State, direction: State, keep: bool) -> dict[str, Tensor]:
    """Products of a direction with the transposed Jacobian, for the fields of the direction."""
    names = [name for name in direction if values[name].requires_grad]
    if not names:
        return {}
    gradients = torch.autograd.grad(
        [values[name] for name in names],
        [y[name] for name in names],
        [direction[name] for name in names],
        retain_graph=keep,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(names, gradients, strict=True))


def _can_be_copied(batch: Batch) -> bool:
    """Tell whether PyG can split each attribute of a batch by graph."""
    known = getattr(batch, "_slice_dict", None)
    if known is None:
        return False
    return all(key in known or key in ("batch", "ptr", "num_nodes") for key in batch.keys())  # noqa: SIM118 (a batch is no mapping)
