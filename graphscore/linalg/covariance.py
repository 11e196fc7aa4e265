r"""Covariances of noise: isotropic, or given by the Laplacian of each graph.

A process adds ``std(t) C^(1/2) z`` with standard normal z. Mostly C is the identity, or for a zero-mean field the
projection onto the centre-free subspace; :class:`LaplacianCovariance` follows the edges of each graph. C acts on the
rows of a graph, alike in each column, and never mixes graphs. Functions of C are computed in its eigenbasis, whose
vectors are called modes: a graph of n rows has n of them, so a number per mode is stored like a number per row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.fields import Field
from graphscore.linalg.autograd import outside_inference_mode
from graphscore.runtime.precision import double_device, unrounded

_ROUND_SIZES = [base << k for k in range(60) for base in (8, 12)]
ModeFunction = Callable[[Tensor], Tensor]


class Covariance(ABC):
    """Covariance C of the unit noise of a field's rows, graph by graph.

    Args:
        index: Graph of each row, shape ``[rows]``.
        num_graphs: Number of graphs B.
    """

    def __init__(self, index: Tensor, num_graphs: int) -> None:
        self.index = index
        self.num_graphs = num_graphs

    @abstractmethod
    def apply(self, function: ModeFunction, x: Tensor) -> Tensor:
        """Apply a function of C to rows.

        Args:
            function: Maps the variance of each mode ``[rows]`` (float64; graph of mode i is ``index[i]``) to a factor.
            x: Shape ``[rows, width]``.

        Returns:
            ``f(C) x``, shape ``[rows, width]``; zero in the modes without noise.
        """

    @abstractmethod
    def trace(self, function: ModeFunction) -> Tensor:
        """Compute the trace of ``f(C)`` over the modes with noise, for one column: shape ``[B]``, float64."""

    @property
    def rank(self) -> Tensor:
        """Number of modes with noise, for one column: shape ``[B]``, float64."""
        return self.trace(torch.ones_like)

    @property
    def mean_variance(self) -> Tensor:
        """Mean variance of the modes with noise: shape ``[B]``, float64; 1 where there are none."""
        rank = self.rank
        return torch.where(rank > 0, self.trace(lambda variance: variance) / rank.clamp(min=1), 1.0)

    def root(self, x: Tensor) -> Tensor:
        """Multiply rows by the symmetric square root, ``C^(1/2) x``: shape ``[rows, width]``."""
        return self.apply(torch.sqrt, x)

    def multiply(self, x: Tensor) -> Tensor:
        """Multiply rows by the covariance, ``C x``: shape ``[rows, width]``."""
        return self.apply(lambda variance: variance, x)

    def solve(self, x: Tensor) -> Tensor:
        """Multiply rows by the pseudo-inverse, ``C^+ x``: shape ``[rows, width]``."""
        return self.apply(torch.reciprocal, x)

    def log_density(self, x: Tensor, std: Tensor) -> Tensor:
        r"""Compute the log-density ``log N(x; 0, std^2 C)`` in the subspace of the modes with noise.

        Args:
            x: Shape ``[rows, width]``.
            std: One number per graph, shape ``[B]``.

        Returns:
            Nats for each graph, shape ``[B]``, float64.
        """
        x = x.double()
        squares = ops.sum((x * self.solve(x)).sum(-1), self.index, self.num_graphs)
        logs = self.rank * (2 * torch.pi * std.double() ** 2).log() + self.trace(torch.log)
        return -(squares / std.double() ** 2 + x.shape[-1] * logs) / 2


class IsotropicCovariance(Covariance):
    """Isotropic covariance: the identity, or the projection onto the centre-free subspace of a zero-mean field."""

    def __init__(self, field: Field, index: Tensor, num_graphs: int) -> None:
        super().__init__(index, num_graphs)
        self.field = field

    def apply(self, function: ModeFunction, x: Tensor) -> Tensor:  # noqa: D102 (documented on Covariance)
        factor = function(torch.ones(len(self.index), dtype=torch.float64, device=double_device(x.device)))
        return factor.to(x)[:, None] * self.field.project(x, self.index, self.num_graphs)

    def root(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.field.project(x, self.index, self.num_graphs)

    multiply = solve = root

    def trace(self, function: ModeFunction) -> Tensor:  # noqa: D102
        index = self.index.to(double_device(self.index.device))
        values = function(torch.ones(len(index), dtype=torch.float64, device=index.device))
        rank = (ops.count(index, self.num_graphs) - int(self.field.zero_mean)).clamp(min=0)
        return rank * ops.mean(values, index, self.num_graphs)

    @property
    def mean_variance(self) -> Tensor:  # noqa: D102
        return torch.ones(self.num_graphs, dtype=torch.float64, device=double_device(self.index.device))


class LaplacianCovariance(Covariance):
    r"""Covariance of masses on springs along the edges: the pseudo-inverse of each graph's Laplacian.

    ``C = L^+ / stiffness + component_std^2 P0``, where P0 projects onto the translations of the connected components,
    which no spring holds. In a zero-mean field, the translation of the whole graph is left out. An isolated node is a
    component.

    Graphs of one size share a batched eigenproblem, O(n^3) in their number of nodes; nothing is ever as large as
    the square of the batch.

    Args:
        index: Graph of each row, shape ``[N]``, sorted.
        num_graphs: Number of graphs B.
        edge_index: Springs, ``[2, E]``; an edge counts once whether one or both of its directions are listed, and
            self-loops do not count.
        zero_mean: Whether to leave out the translation of the whole graph.
        stiffness: Inverse variance of a single spring, in units of the field's scale.
        component_std: Standard deviation of the modes without a spring, in units of the field's scale: a component
            of n nodes moves as a whole by ``component_std / sqrt(n)``.
    """

    def __init__(
        self,
        index: Tensor,
        num_graphs: int,
        edge_index: Tensor,
        *,
        zero_mean: bool,
        stiffness: float = 1.0,
        component_std: float = 1.0,
    ) -> None:
        super().__init__(index, num_graphs)
        device = index.device
        index, edge_index = (values.to(double_device(device)) for values in (index, edge_index))
        counts = ops.count(index, num_graphs)
        starts = counts.cumsum(0) - counts
        # Modes by size: their rows [k, n], their eigenvectors [k, n, n] and variances [k, n].
        rows, vectors, variances = [], [], []
        for size, graphs in _by_size(counts, rounded=not counts.is_cpu):
            local, count = torch.arange(size, device=index.device), counts[graphs, None]
            inside = local < count
            place = torch.full_like(counts, -1)
            place[graphs] = torch.arange(len(graphs), device=index.device)
            edges = edge_index[:, place[index[edge_index[0]]] >= 0]
            graph = index[edges[0]]
            adjacency = torch.zeros(len(graphs), size, size, dtype=torch.float64, device=index.device)
            adjacency[place[graph], edges[0] - starts[graph], edges[1] - starts[graph]] = 1
            adjacency = torch.maximum(adjacency, adjacency.transpose(1, 2))
            adjacency.diagonal(dim1=1, dim2=2).zero_()
            degrees = adjacency.sum(-1)
            # Eigenvalues are at most twice the largest degree. The translation of the whole graph is shifted above that
            # bound, to be the last mode; only just, since rounding errors grow with the largest eigenvalue. Rows of the
            # matrix without a node come after it.
            bound = 2 * degrees.amax(-1, keepdim=True)
            above = ((bound + 1) / count)[..., None] * (inside[:, :, None] & inside[:, None, :])
            diagonal = torch.where(inside, degrees, bound + 2)
            values, basis = _modes(torch.diag_embed(diagonal) - adjacency + above)
            free = values < 1e-9  # the smallest nonzero eigenvalue, that of a chain, is about 10 / n^2
            variance = torch.where(free, component_std**2, 1 / (stiffness * values.masked_fill(free, 1)))
            translation = 0 if zero_mean else component_std**2
            rows.append(torch.where(inside, starts[graphs, None] + local, len(index)))
            vectors.append(basis)
            variances.append(torch.where(local == count - 1, translation, variance))
        self._rows = [part.to(device) for part in rows]
        self._vectors = {torch.float64: vectors}
        order = torch.cat([part.flatten() for part in rows]) if rows else index
        inverse = order.argsort()[: len(index)]
        self._inverse = inverse.to(device)
        flat = torch.cat([part.flatten() for part in variances]) if variances else index.double()
        self.variances = flat[inverse]
        self._mean_variance = super().mean_variance

    def apply(self, function: ModeFunction, x: Tensor) -> Tensor:  # noqa: D102 (documented on Covariance)
        # One row more, for the rows of the matrices without a node.
        factors, x = F.pad(self._of_modes(function).to(x), (0, 1)), F.pad(x, (0, 0, 0, 1))
        if x.dtype not in self._vectors:
            with outside_inference_mode(), torch.no_grad():  # they outlive the call
                self._vectors[x.dtype] = [basis.to(x) for basis in self._vectors[torch.float64]]
        parts = [x.new_zeros(0, x.shape[1])]
        # Autocast lowers the precision of the network alone, not of the noise.
        with unrounded(x.device):
            for rows, basis in zip(self._rows, self._vectors[x.dtype], strict=True):
                amplitudes = factors[rows][..., None] * (basis.transpose(1, 2) @ x[rows])
                parts.append((basis @ amplitudes).flatten(0, 1))
        return torch.cat(parts).index_select(0, self._inverse)

    def trace(self, function: ModeFunction) -> Tensor:  # noqa: D102
        return ops.sum(self._of_modes(function), self.index.to(self.variances.device), self.num_graphs)

    @property
    def mean_variance(self) -> Tensor:  # noqa: D102
        return self._mean_variance

    def _of_modes(self, function: ModeFunction) -> Tensor:
        carries = self.variances > 0
        return torch.where(carries, function(torch.where(carries, self.variances, 1.0)), 0.0)


def _modes(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors ``[k, n, n]`` of symmetric matrices; copies of one graph share an eigenproblem.

    Whether they do is not asked on a GPU, where the answer would have to be waited for.
    """
    if len(matrices) > 1 and matrices.is_cpu and bool((matrices == matrices[:1]).all()):
        values, basis = torch.linalg.eigh(matrices[:1])
        return values.expand(len(matrices), -1), basis.expand_as(matrices)
    values, basis = torch.linalg.eigh(matrices)
    return values, basis


def _by_size(counts: Tensor, rounded: bool) -> Iterator[tuple[int, Tensor]]:
    """Sizes of the eigenproblems and the graphs of each; rounded up on a GPU, where each launch takes time."""
    sizes = sorted(set(counts.tolist()) - {0})
    if rounded:
        sizes = sorted({next(size for size in _ROUND_SIZES if size >= own) for own in sizes})
    smallest = 1
    for size in sizes:
        yield size, ((counts >= smallest) & (counts <= size)).nonzero()[:, 0]
        smallest = size + 1


def isotropic(batch: Batch, field: Field) -> IsotropicCovariance:
    """Make the covariance of a field's isotropic noise."""
    return IsotropicCovariance(field, field.index(batch), batch.num_graphs)
