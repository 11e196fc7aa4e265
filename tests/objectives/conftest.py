"""Exact expectations: cubature instead of sampling."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphscore.denoiser import ScoreAdapter
from graphscore.nn import EGNN, Category, ScoreNetwork
from graphscore.rng import GraphGenerator


def _axes(num_nodes: int, dim: int, zero_mean: bool) -> Tensor:
    """An orthonormal basis of the field's space for one graph, ``[d, N, D]``."""
    if not zero_mean:
        return torch.eye(num_nodes * dim, dtype=torch.float64).view(-1, num_nodes, dim)
    constant = torch.ones(num_nodes, 1, dtype=torch.float64)
    basis = torch.linalg.qr(torch.cat([constant, torch.eye(num_nodes).double()[:, 1:]], 1))[0][:, 1:]
    return torch.einsum("nk,dc->kdnc", basis, torch.eye(dim).double()).reshape(-1, num_nodes, dim)


class Cubature:
    """Pairs ``(x0, eps)`` of standard normal numbers whose mean of a quadratic function is the exact expectation.

    The points are ``+-sqrt(2 d)`` times the axes of the 2 d-dimensional space of both.
    """

    def __init__(self, num_nodes: int, dim: int, zero_mean: bool) -> None:
        axes = _axes(num_nodes, dim, zero_mean)
        self.zero_mean = zero_mean
        self.axes = axes
        self.dimension = len(axes)
        zeros = torch.zeros_like(axes)
        pairs = torch.cat([torch.stack([axes, zeros], 1), torch.stack([zeros, axes], 1)])
        pairs = torch.cat([pairs, -pairs]) * (2 * self.dimension) ** 0.5
        self.x0, self.eps = pairs.unbind(1)
        self.num_graphs = len(pairs)

    def batch(self, mean: float | Tensor, std: float) -> Batch:
        """Clean data ``x0 ~ N(mean, std^2)``, one graph for each point: a chain."""
        nodes = torch.arange(len(self.x0[0]))
        edges = torch.stack([nodes[:-1], nodes[1:]])
        return Batch.from_data_list([Data(pos=mean + std * x, edge_index=edges) for x in self.x0])

    @property
    def noise(self) -> dict[str, Tensor]:
        return {"pos": self.eps.flatten(0, 1)}

    @property
    def directions(self) -> list[Tensor]:
        """Directions of all graphs whose mean of a quadratic form is exactly its trace: the axes, of length sqrt(d)."""
        return [self.dimension**0.5 * axis.repeat(self.num_graphs, 1) for axis in self.axes]


class Draws(GraphGenerator):
    """A generator of given numbers, one after another."""

    def __init__(self, draws: list[Tensor]) -> None:
        self.draws = list(draws)

    def randn(self, index, num_graphs, width, dtype):
        return self.draws.pop(0)


@pytest.fixture
def draws():
    return lambda *tensors: Draws(list(tensors))


@pytest.fixture(params=[(3, 2, False), (4, 3, True), (1, 1, False)], ids=str)
def cubature(request) -> Cubature:
    return Cubature(*request.param)


class LinearScore(nn.Module):
    """``score = -a (x - b)``, with parameters a and b."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor([b, 0.3, -0.1], dtype=torch.float64))

    def forward(self, batch, t):
        # A constant b would vanish in zero-mean fields: b sits on the first node of each graph.
        first = (torch.arange(len(batch.pos)) == batch.ptr[batch.batch])[:, None]
        return -self.a * (batch.pos - first * self.b[: batch.pos.shape[1]])


@pytest.fixture
def linear_score():
    return lambda process, a=0.8, b=0.5: ScoreAdapter(LinearScore(a, b), process)


@pytest.fixture
def egnn_network():
    """A small network of random weights for ``pos`` and ``z``, in float64."""

    def make(widths=None):
        torch.manual_seed(1)
        backbone = EGNN(8, 2, cond_channels=4)
        network = ScoreNetwork(backbone, widths or {"pos": 3}, {"z": Category(4)})
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        return network.double()

    return make
