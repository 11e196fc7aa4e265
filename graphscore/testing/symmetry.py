"""Checks of equivariance, and of the independence of graphs in a batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore.fields import replace

TRANSFORMS = ("rotation", "reflection", "translation", "permutation")
"""Transforms that a network may be equivariant under."""


def assert_equivariant(
    function: Callable[[Batch], Mapping[str, Tensor]],
    batch: Batch,
    *,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    transforms: Sequence[str] = TRANSFORMS,
    tolerance: float = 1e-10,
    seed: int = 0,
) -> None:
    """Check in float64 that a function of a batch is equivariant to rotation, reflection, translation or permutation.

    Rotation, reflection and translation act on each graph by itself; permutation reorders the nodes within each graph,
    and the edges.

    Args:
        function: Maps a batch to tensors by name; modules are copied and computed in float64.
        batch: Batch to check on.
        inputs: Kind of each attribute that is not a scalar: ``"position"`` (rotates and translates) or ``"vector"``
            (rotates).
        outputs: Kind of each output: ``"position"``, ``"vector"`` or ``"scalar"``. Outputs have a row for each node,
            edge or graph.
        transforms: Symmetries to check.
        tolerance: Largest absolute error.
        seed: Seed of the random transforms.

    Raises:
        AssertionError: If an error is larger or not finite; the message has a table of all errors.
        ValueError: If the batch has as many nodes as edges or graphs, so that rows cannot be told apart.
    """
    if len({batch.num_nodes, batch.num_edges, batch.num_graphs}) < 3:
        raise ValueError(
            "Rows cannot be told apart: the batch needs different numbers of nodes, edges and graphs, but has "
            f"{batch.num_nodes}, {batch.num_edges} and {batch.num_graphs}"
        )
    if isinstance(function, nn.Module):
        function = copy.deepcopy(function).double()
    values = {name: value for name, value in batch.to_dict().items() if isinstance(value, Tensor)}
    batch = replace(batch, {name: value.double() for name, value in values.items() if value.is_floating_point()})
    generator, table, failed = torch.Generator().manual_seed(seed), [], False
    before = function(batch)
    for transform in transforms:
        symmetry = _Symmetry(transform, batch, generator)
        after = function(symmetry.batch(batch, inputs))
        for name, kind in outputs.items():
            difference = (after[name] - symmetry.rows(before[name], kind)).detach()
            error = float(difference.abs().max()) if difference.numel() else 0.0
            ok = math.isfinite(error) and error <= tolerance
            failed = failed or not ok
            table.append(f"{transform:<12} {name:<12} {kind:<9} {error:9.1e}{'' if ok else '  <- too large'}")
    if failed:
        raise AssertionError(f"Not equivariant (tolerance {tolerance:.1e}):\n" + "\n".join(table))


class _Symmetry:
    """One random transform of each graph of a batch."""

    def __init__(self, name: str, batch: Batch, generator: torch.Generator) -> None:
        if name not in TRANSFORMS:
            raise ValueError(f"Unknown transform {name!r}; expected some of {TRANSFORMS}")
        self.name = name
        self.nodes = batch.batch
        self.edges = batch.batch[batch.edge_index[0]]
        self.num_graphs = batch.num_graphs
        self.generator = generator
        self.order = {
            len(index): (index + torch.rand(len(index), generator=generator).to(index.device)).argsort()
            for index in (self.nodes, self.edges)
        }
        self._by_width: dict[int, tuple[Tensor, Tensor]] = {}

    def rows(self, values: Tensor, kind: str) -> Tensor:
        """Transform an attribute or an output of any level."""
        if self.name == "permutation":
            order = self.order.get(len(values))
            return values if order is None else values[order]
        if kind == "scalar":
            return values
        index = {len(self.nodes): self.nodes, len(self.edges): self.edges}.get(len(values))
        matrix, shift = self._matrix_and_shift(values)
        if index is not None:
            matrix, shift = matrix[index], shift[index]
        turned = torch.einsum("nij,n...j->n...i", matrix, values)
        if kind == "vector":
            return turned
        return turned + shift.reshape(len(shift), *[1] * (values.dim() - 2), shift.shape[-1])

    def batch(self, batch: Batch, inputs: Mapping[str, str]) -> Batch:
        """Transform the attributes of a batch, or reorder its nodes and edges."""
        if self.name != "permutation":
            return replace(batch, {name: self.rows(batch[name], kind) for name, kind in inputs.items()})
        values = {
            name: self.rows(value, "scalar")
            for name, value in batch.to_dict().items()
            if isinstance(value, Tensor) and name not in ("edge_index", "batch", "ptr")
        }
        place = self.order[len(self.nodes)].argsort()
        return replace(batch, {**values, "edge_index": place[batch.edge_index[:, self.order[len(self.edges)]]]})

    def _matrix_and_shift(self, values: Tensor) -> tuple[Tensor, Tensor]:
        width = values.shape[-1]
        if width not in self._by_width:
            random = torch.randn(self.num_graphs, width, width + 1, dtype=torch.float64, generator=self.generator)
            matrix, shift = torch.linalg.qr(random[..., :width])[0], random[..., width]
            if self.name == "translation":
                matrix = torch.eye(width, dtype=torch.float64).expand_as(matrix)
            else:
                shift = torch.zeros_like(shift)
                handed = torch.linalg.det(matrix) * (1 if self.name == "rotation" else -1)
                matrix = torch.cat([matrix[..., :1] * handed.sign()[:, None, None], matrix[..., 1:]], dim=-1)
            self._by_width[width] = matrix.to(values.device), shift.to(values.device)
        return self._by_width[width]


def assert_batch_independent(
    function: Callable[[Batch], Mapping[str, Tensor]],
    batch: Batch,
    *,
    inputs: Sequence[str] = ("pos",),
    tolerance: float = 1e-10,
) -> None:
    """Check in float64 that a graph's outputs depend on that graph alone.

    Single graphs, and all graphs in reverse order, must have the same outputs as the batch, and all gradients of a
    graph's outputs by the inputs of other graphs must be zero.

    Args:
        function: Maps a batch to tensors by name, each with a row for each node, edge or graph; modules are copied and
            computed in float64. It must be deterministic.
        batch: Batch to check on, from ``Batch.from_data_list``.
        inputs: Floating attributes by which gradients are taken.
        tolerance: Largest absolute error of the outputs; gradients across graphs must be exactly zero.

    Raises:
        AssertionError: If a graph's outputs depend on its batch; the message names the graph and the output.
    """
    if isinstance(function, nn.Module):
        function = copy.deepcopy(function).double()
    graphs = batch.to_data_list()
    for graph in graphs:
        for name, value in graph.to_dict().items():
            if isinstance(value, Tensor) and value.is_floating_point():
                graph[name] = value.double()
    together = Batch.from_data_list(graphs)
    leaves = {name: together[name].detach().requires_grad_() for name in inputs}
    with torch.enable_grad():
        outputs = function(replace(together, leaves))
    expected = _by_graph(outputs, together)
    reverse = _by_graph(function(Batch.from_data_list(graphs[::-1])), Batch.from_data_list(graphs[::-1]))[::-1]
    for number, graph in enumerate(graphs):
        alone = _by_graph(function(Batch.from_data_list([graph])), Batch.from_data_list([graph]))[0]
        for name, value in expected[number].items():
            for other, how in ((alone[name], "alone"), (reverse[number][name], "in reverse order")):
                error = float((value - other).detach().abs().max()) if value.numel() else 0.0
                if not error <= tolerance:
                    raise AssertionError(f"Output {name!r} of graph {number} differs {how}, by {error:.1e}")
        total = torch.stack([value.sum() for value in expected[number].values()]).sum()
        if not total.requires_grad:
            continue
        gradients = torch.autograd.grad(total, list(leaves.values()), retain_graph=True, allow_unused=True)
        for name, gradient in zip(inputs, gradients, strict=True):
            parts = [] if gradient is None else _by_graph({name: gradient}, together)
            for other, part in enumerate(parts):
                if other != number and bool((part[name] != 0).any()):
                    raise AssertionError(f"The outputs of graph {number} depend on {name!r} of graph {other}")


def _by_graph(values: Mapping[str, Tensor], batch: Batch) -> list[dict[str, Tensor]]:
    """Separate tensors with a row for each node, edge or graph by graph."""
    nodes = batch.batch
    indices = {
        batch.num_graphs: torch.arange(batch.num_graphs, device=nodes.device),
        batch.num_edges: nodes[batch.edge_index[0]],
        batch.num_nodes: nodes,
    }
    return [
        {name: value[indices[len(value)] == graph] for name, value in values.items()}
        for graph in range(batch.num_graphs)
    ]
