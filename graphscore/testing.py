r"""What tests of score models, samplers and networks need: exact answers, awkward batches, and symmetry checks.

The exact models follow from their data density: if ``x0 ~ N(m, c^2 I)``, then ``xt ~ N(alpha m, (alpha^2 c^2 + std^2)
I)``, with the posterior mean ``E[x0 | xt] = (alpha c^2 xt + std^2 m) / (alpha^2 c^2 + std^2)``. In a zero-mean field
everything, means included, is projected onto the centre-free subspace, where the same formulas hold.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import Field, replace
from graphscore.generators import Generator
from graphscore.process import ForwardProcess

TRANSFORMS = ("rotation", "reflection", "translation", "permutation")


def _rows(values: Tensor, like: Tensor, index: Tensor) -> Tensor:
    """Give each row its graph's value, shape ``[rows, 1]``, in the type of the field."""
    return ops.broadcast(values.to(like), index)[:, None]


class GaussianScore(ScoreModel):
    r"""The exact model of data ``x0 ~ N(m, c^2 I)``, independent over rows, in every field.

    Args:
        process: The forward process.
        mean: The mean m in units of the fields' scales: a number, or the name of an attribute of the batch that holds
            the mean of each row.
        std: The standard deviation c in units of the fields' scales; 0 puts all data at their mean.
    """

    def __init__(self, process: ForwardProcess, mean: float | str = 0.0, std: float = 1.0) -> None:
        super().__init__(process)
        self.mean = mean
        self.std = std

    def sample(self, template: Batch, generator: Generator = None, dtype: torch.dtype | None = None) -> Batch:
        """Draw exact data in data units; ``template``, ``generator`` and ``dtype`` as in ``ForwardProcess.prior``."""
        noise, values = self.process.prior(template, generator, dtype), {}
        for field, sde in self.process:
            values[field.name] = self._mean(noise, field) + self.std * noise[field.name] / sde.prior_std()
        return self.process.to_data(replace(template, values))

    def marginal_std(self, field: Field, t: Tensor) -> Tensor:
        """Standard deviation of a field at time ``t``: ``sqrt(alpha^2 c^2 + std^2)``, shape of ``t``."""
        sde = dict(self.process)[field]
        return (sde.alpha(t) ** 2 * self.std**2 + sde.std(t) ** 2).sqrt()

    def flow(self, batch: Batch, t: Tensor, s: Tensor) -> Batch:
        """Follow the probability flow from time ``t`` [B] to time ``s`` [B] exactly, in units of the fields' scales."""
        values = {}
        for field, sde in self.process:
            x, index, mean = batch[field.name], field.index(batch), self._mean(batch, field)
            ratio = _rows(self.marginal_std(field, s) / self.marginal_std(field, t), x, index)
            alpha_t, alpha_s = (_rows(sde.alpha(time), x, index) for time in (t, s))
            values[field.name] = alpha_s * mean + ratio * (x - alpha_t * mean)
        return replace(batch, values)

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        x0_hat = {}
        for field, sde in self.process:
            xt, index = batch[field.name], field.index(batch)
            variance = self.marginal_std(field, t) ** 2
            keep = _rows(sde.alpha(t) * self.std**2 / variance, xt, index)
            x0_hat[field.name] = keep * xt + _rows(sde.std(t) ** 2 / variance, xt, index) * self._mean(batch, field)
        return x0_hat

    def _mean(self, batch: Batch, field: Field) -> Tensor:
        x = batch[field.name]
        mean = torch.full_like(x, self.mean) if isinstance(self.mean, float | int) else batch[self.mean].to(x)
        return field.project(mean, field.index(batch), batch.num_graphs)


class GaussianMixtureScore(ScoreModel):
    r"""The exact model of data from a mixture of Gaussians ``sum_k w_k N(m_k, c^2 I)``.

    Args:
        process: The forward process, of one field.
        means: Name of the attribute of the batch that holds the K means of each row, ``[rows, K, width]``, in units of
            the field's scale.
        std: The standard deviation c of each component, in units of the field's scale.
        weights: The K weights; equal by default.
        per_graph: Whether all rows of a graph come from one component, as for conformers; else each row from its own.

    Raises:
        ValueError: If rows of a zero-mean field are to be independent, which their zero mean forbids.
    """

    def __init__(
        self,
        process: ForwardProcess,
        means: str = "means",
        std: float = 1.0,
        weights: Sequence[float] | None = None,
        per_graph: bool = True,
    ) -> None:
        super().__init__(process)
        ((self._field, self._sde),) = process
        if self._field.zero_mean and not per_graph:
            raise ValueError(f"The rows of the zero-mean field {self._field.name!r} are not independent: use per_graph")
        self.means = means
        self.std = std
        self.weights = weights
        self.per_graph = per_graph

    def sample(self, template: Batch, generator: torch.Generator | None = None) -> Batch:
        """Draw exact data in data units, in the type of the means."""
        means, index = self._means(template), self._field.index(template)
        weights = torch.ones(means.shape[1]) if self.weights is None else torch.tensor(self.weights)
        draws = template.num_graphs if self.per_graph else len(means)
        component = torch.multinomial(weights, max(draws, 1), replacement=True, generator=generator)[:draws]
        component = (ops.broadcast(component, index) if self.per_graph else component)[:, None, None]
        mean = means.take_along_dim(component.to(means.device), 1)[:, 0]
        noise = ops.randn(index, template.num_graphs, mean.shape[1], dtype=mean.dtype, generator=generator)
        x = mean + self.std * self._field.project(noise, index, template.num_graphs)
        return self.process.to_data(replace(template, {self._field.name: x}))

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102
        xt, index, means = batch[self._field.name], self._field.index(batch), self._means(batch)
        alpha, std = self._sde.alpha(t), self._sde.std(t)
        variance = alpha**2 * self.std**2 + std**2
        distance = (xt[:, None] - _rows(alpha, xt, index)[..., None] * means).square().sum(-1)
        if self.per_graph:
            distance = ops.broadcast(ops.sum(distance, index, batch.num_graphs), index)
        logits = -distance / (2 * _rows(variance, xt, index))
        if self.weights is not None:
            logits = logits + torch.tensor(self.weights, dtype=logits.dtype, device=logits.device).log()
        mean = (logits.softmax(-1)[..., None] * means).sum(1)
        keep, pull = (_rows(c / variance, xt, index) for c in (alpha * self.std**2, std**2))
        return {self._field.name: keep * xt + pull * mean}

    def _means(self, batch: Batch) -> Tensor:
        return self._field.project(batch[self.means], self._field.index(batch), batch.num_graphs)


def ragged_batch(
    sizes: Sequence[int] = (0, 4, 1, 0, 5, 3, 0),
    *,
    edgeless: Sequence[int] = (3,),
    dim: int = 3,
    channels: int = 2,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Batch:
    """Make a small random batch with empty, one-node and edgeless graphs anywhere.

    Args:
        sizes: Number of nodes of each graph; all graphs are complete, apart from the edgeless ones.
        edgeless: Numbers of nodes at which graphs have no edges.
        dim: Width D of ``pos``.
        channels: Width C of ``x``, ``edge_attr`` and ``y``.
        dtype: Floating type.
        seed: Determines the batch.

    Returns:
        A batch with ``pos`` [N, D], ``x`` [N, C], ``z`` [N] (integers below 4), ``edge_attr`` [E, C] and ``y`` [B, C].
    """
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)

    graphs = []
    for size in sizes:
        edge_index = torch.cartesian_prod(torch.arange(size), torch.arange(size)).reshape(-1, 2).T
        edge_index = edge_index[:, (edge_index[0] != edge_index[1]) & (size not in edgeless)]
        graph = Data(edge_index=edge_index, pos=randn(size, dim), x=randn(size, channels), num_nodes=size)
        graph.z = torch.randint(4, (size,), generator=generator)
        graph.edge_attr, graph.y = randn(edge_index.shape[1], channels), randn(1, channels)
        graphs.append(graph)
    return Batch.from_data_list(graphs)


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
    """Check in float64 that a function of a batch commutes with symmetries.

    Rotation, reflection and translation act on each graph by itself; permutation reorders the nodes within each graph,
    and the edges.

    Args:
        function: Maps a batch to tensors by name; modules are copied and computed in float64.
        batch: What to check on.
        inputs: Kind of each attribute that is not a scalar: ``"position"`` (turns, moves) or ``"vector"`` (turns).
        outputs: Kind of each output: ``"position"``, ``"vector"`` or ``"scalar"``. Outputs have a row for each node,
            edge or graph.
        transforms: Which symmetries to check.
        tolerance: Largest absolute error.
        seed: Determines the transforms.

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
        """Transform a batch."""
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
