"""Covariances of noise against dense linear algebra, graph by graph."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch, Data

from graphscore.fields import Field
from graphscore.linalg.covariance import LaplacianCovariance, _by_size, isotropic
from graphscore.testing import ragged_batch

pytestmark = pytest.mark.exact


def edges(*pairs: tuple[int, int]) -> torch.Tensor:
    return torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T


# A chain, a ring in both directions, two parts of a salt, isolated nodes, one node, none; self-loops and doubled edges.
GRAPHS = {
    "chain": (4, edges((0, 1), (1, 2), (2, 3))),
    "ring": (5, edges((0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), (3, 4), (4, 3), (4, 0), (0, 4))),
    "salt": (5, edges((0, 1), (1, 2), (3, 4))),
    "isolated": (3, edges()),
    "one": (1, edges((0, 0))),
    "none": (0, edges()),
    "doubled": (4, edges((0, 1), (0, 1), (1, 0), (2, 2), (1, 2), (3, 0))),
}
SIZES = [size for size, _ in GRAPHS.values()]


def batch() -> Batch:
    return Batch.from_data_list([Data(edge_index=e, num_nodes=n) for n, e in GRAPHS.values()])


def dense(size: int, edge_index: torch.Tensor, zero_mean: bool, stiffness: float, component_std: float) -> torch.Tensor:
    """The definition: pseudo-inverse of the Laplacian, and translations of components by a search of the graph."""
    adjacency = torch.zeros(size, size, dtype=torch.float64)
    for i, j in edge_index.T.tolist():
        if i != j:
            adjacency[i, j] = adjacency[j, i] = 1
    laplacian = adjacency.sum(0).diag() - adjacency
    reach = torch.linalg.matrix_power(torch.eye(size).double() + adjacency, max(size, 1)) > 0
    kernel = reach.double() / reach.double().sum(1, keepdim=True).clamp(min=1)
    whole = torch.full((size, size), 1 / max(size, 1), dtype=torch.float64)
    return torch.linalg.pinv(laplacian, hermitian=True) / stiffness + component_std**2 * (
        kernel - (whole if zero_mean else 0)
    )


@pytest.fixture(params=[(False, False), (False, True), (True, False), (True, True)])
def case(request, monkeypatch):
    """The covariance of the batch and its dense blocks, with problems as a CPU and as other devices solve them."""
    zero_mean, rounded = request.param
    monkeypatch.setattr("graphscore.linalg.covariance._by_size", lambda counts, **_: _by_size(counts, rounded))
    data, options = batch(), {"zero_mean": zero_mean, "stiffness": 2.5, "component_std": 0.7}
    covariance = LaplacianCovariance(data.batch, data.num_graphs, data.edge_index, **options)
    return covariance, [dense(n, e, **options) for n, e in GRAPHS.values()]


def test_products_equal_dense_ones(case):
    covariance, blocks = case
    x = torch.randn(sum(SIZES), 3, dtype=torch.float64)
    parts = list(zip(blocks, x.split(SIZES), strict=True))
    assert_close(covariance.multiply(x), torch.cat([block @ part for block, part in parts]))
    inverse = torch.cat([torch.linalg.pinv(block, hermitian=True, rtol=1e-10) @ part for block, part in parts])
    assert_close(covariance.solve(x), inverse)
    assert_close(covariance.root(covariance.root(x)), covariance.multiply(x))
    symmetric = (covariance.root(x) * x.flip(0)).sum() - (x * covariance.root(x.flip(0))).sum()
    assert abs(float(symmetric)) < 1e-12


def test_traces_and_densities_equal_dense_ones(case):
    covariance, blocks = case
    x, std = torch.randn(sum(SIZES), 2, dtype=torch.float64), torch.linspace(0.5, 2, len(SIZES)).double()
    values = [torch.linalg.eigvalsh(block) for block in blocks]
    values = [v[v > 1e-10] for v in values]
    assert_close(covariance.rank, torch.tensor([float(len(v)) for v in values]).double())
    means = torch.stack([v.mean() if len(v) else torch.ones(()).double() for v in values])
    assert_close(covariance.mean_variance, means)
    exact = []
    for block, v, part, s in zip(blocks, values, x.split(SIZES), std, strict=True):
        whitened = torch.linalg.pinv(block, hermitian=True, rtol=1e-10) @ part
        logs = 2 * (len(v) * (2 * torch.pi * s**2).log() + v.log().sum())
        exact.append(-((part * whitened).sum() / s**2 + logs) / 2)
    assert_close(covariance.log_density(x, std), torch.stack(exact))


def test_colored_noise_has_the_covariance():
    data = Batch.from_data_list([batch()[2]] * 20000)
    covariance = LaplacianCovariance(data.batch, data.num_graphs, data.edge_index, zero_mean=True)
    z = torch.randn(data.num_nodes, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    samples = covariance.root(z).view(-1, 5)
    exact = dense(*GRAPHS["salt"], zero_mean=True, stiffness=1.0, component_std=1.0)
    assert_close(samples.T @ samples / len(samples), exact, rtol=0, atol=5 * 2**0.5 * float(exact.max()) / 20000**0.5)


def test_graphs_do_not_depend_on_their_batch(case):
    together, x = case[0], torch.randn(sum(SIZES), 2, dtype=torch.float64)
    zero_mean = bool(together.rank[0] == 3)
    for graph, part in enumerate(together.root(x).split(SIZES)):
        data = Batch.from_data_list([batch()[graph]])
        alone = LaplacianCovariance(
            data.batch, 1, data.edge_index, zero_mean=zero_mean, stiffness=2.5, component_std=0.7
        )
        assert_close(alone.root(x.split(SIZES)[graph]), part, rtol=0, atol=1e-12)


def test_long_chains_keep_their_slowest_wave():
    """The smallest eigenvalue of a chain falls as 1 / n^2: it must not be taken for a free translation."""
    size = 1500
    place = torch.arange(size - 1)
    covariance = LaplacianCovariance(
        torch.zeros(size, dtype=torch.long), 1, torch.stack([place, place + 1]), zero_mean=True
    )
    exact = 1 / (2 - 2 * torch.cos(torch.pi * torch.arange(1, size).double() / size))
    assert_close(covariance.variances.sort().values[1:], exact.sort().values, rtol=1e-8, atol=0)
    assert float(covariance.rank) == size - 1


def test_memory_stays_far_below_the_square_of_the_batch():
    """3,000 graphs of 10 nodes: a dense matrix over the batch would take 7 GB."""
    place = torch.arange(9)
    chain = Data(edge_index=torch.stack([place, place + 1]), num_nodes=10)
    data = Batch.from_data_list([chain] * 3000)
    covariance = LaplacianCovariance(data.batch, 3000, data.edge_index, zero_mean=True)
    assert covariance.root(torch.randn(30000, 3)).isfinite().all()


@pytest.mark.parametrize("zero_mean", [False, True])
def test_unstructured_noise_is_the_projection(zero_mean):
    data, field = ragged_batch((0, 4, 1, 5)), Field("pos", zero_mean=zero_mean)
    covariance, x = isotropic(data, field), ragged_batch((0, 4, 1, 5)).pos
    expected = field.project(x, data.batch, 4)
    for product in (covariance.root, covariance.multiply, covariance.solve):
        assert_close(product(x), expected)
    assert covariance.rank.tolist() == ([0, 3, 0, 4] if zero_mean else [0, 4, 1, 5])
    assert covariance.mean_variance.tolist() == [1] * 4 and covariance.trace(torch.log).tolist() == [0] * 4
    density = torch.distributions.Normal(0.0, 2.0).log_prob(expected)
    exact = torch.stack([part.sum() for part in density.split((0, 4, 1, 5))])
    if zero_mean:  # the three translations of each graph that is not empty are no dimensions
        exact = exact + 3 * torch.tensor([0, 1, 1, 1]) * torch.tensor(8 * torch.pi).log() / 2
    assert_close(covariance.log_density(x, torch.full((4,), 2.0)), exact.double(), rtol=1e-6, atol=1e-6)


def test_types_follow_the_rows(case):
    covariance, _ = case
    x = torch.randn(sum(SIZES), 3, dtype=torch.float64)
    rounded = covariance.root(x.float())
    assert rounded.dtype == torch.float32
    assert_close(rounded.double(), covariance.root(x), rtol=1e-4, atol=1e-5)
