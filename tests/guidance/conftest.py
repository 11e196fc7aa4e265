"""Gaussian data whose conditional laws are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.sdes import SDE, VESDE, HarmonicSDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)


class GaussianData:
    """Correlated Gaussian data on a ragged batch, with its covariance as a matrix over all nodes.

    All is in units of the field's scale, which is not 1. Columns are independent and alike.
    """

    scale = 1.7

    def __init__(self, sde: SDE, *, zero_mean: bool = False, structured: bool = False, sizes=SIZES) -> None:
        springs = HarmonicSDE(sde, stiffness=2.0, component_std=0.8)
        self.field = Field("pos", scale=self.scale, zero_mean=zero_mean)
        self.sde = springs if structured else sde
        self.process = ForwardProcess({self.field: self.sde})
        self.model = GaussianScore(self.process, "mean", 0.9, springs)
        graphs, generator = ragged_batch(sizes, dim=2).to_data_list(), torch.Generator().manual_seed(1)
        for graph in graphs:
            graph.mean, target = torch.randn(2, graph.num_nodes, 2, dtype=torch.float64, generator=generator)
            graph.known = torch.rand(graph.num_nodes, generator=generator) < 0.5
            graph.target = torch.where(graph.known[:, None], 3 * target, torch.nan)
        self.batch = Batch.from_data_list(graphs)
        self.mean = self.project(self.batch.mean)
        unit = torch.eye(self.batch.num_nodes, dtype=torch.float64)
        self.covariance = 0.81 * springs.covariance(self.batch, self.field).multiply(unit)
        self.noise = self.sde.covariance(self.batch, self.field).multiply(unit)

    def project(self, x: Tensor) -> Tensor:
        return self.field.project(x, self.batch.batch, self.batch.num_graphs)

    def noisy(self, t: Tensor, seed: int = 2):
        """A batch at times ``t`` [B], one for each graph."""
        x0 = self.model.sample(self.batch, torch.Generator().manual_seed(seed), torch.float64)
        return self.process.perturb(x0, t, generator=torch.Generator().manual_seed(seed + 1)).batch

    def known_rows(self) -> tuple[Tensor, Tensor]:
        """What the known values say, as linear functions of all rows and their values."""
        marked = self.batch.known.double()
        observe = torch.diag(marked)
        if self.field.zero_mean:
            same = (self.batch.batch[:, None] == self.batch.batch).double() * marked[:, None] * marked
            observe = observe - same / same.sum(1, keepdim=True).clamp(min=1)
        return observe, observe @ self.batch.target.nan_to_num() / self.scale

    def given(self, observe: Tensor, value: Tensor, variance: float) -> tuple[Tensor, Tensor]:
        """Mean ``[N, D]`` and covariance ``[N, N]`` of the data, given ``observe x0 = value + N(0, variance)``."""
        return condition(self.mean, self.covariance, observe, value, variance * torch.eye(len(observe)).double())

    def posterior_mean(self, xt: Tensor, t: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
        """``E[x0 | xt]`` of Gaussian data with these moments, at one time per graph."""
        alpha, std = (torch.diag(c[self.batch.batch]) for c in (self.sde.alpha(t), self.sde.std(t)))
        return condition(mean, covariance, alpha, xt, std @ self.noise @ std)[0]

    def flow(self, sampler, mean: Tensor, covariance: Tensor) -> tuple[float, float]:
        """Errors of mean and covariance after a deterministic sampler whose model is linear, carried along exactly.

        It starts from exact samples of data with the given moments, and ends where it should have samples of them.
        """
        start, end = ((self.sde.alpha(t), self.sde.std(t)) for t in (sampler.grid[0], sampler.grid[-1]))
        # Copies of all graphs run together: one from zero, copy k + 1 from the unit vector of node k of each graph.
        num_nodes, copies = self.batch.num_nodes, 1 + int(self.batch.ptr.diff().max())
        many = Batch.from_data_list(self.batch.to_data_list() * copies)
        local = torch.arange(num_nodes) - self.batch.ptr[self.batch.batch]
        first = torch.zeros(copies, num_nodes, 2, dtype=torch.float64)
        for k in range(copies - 1):
            first[k + 1, :, 0] = self.project((local == k).double()[:, None])[:, 0]
        last = sampler.integrate(replace(many, {"pos": first.flatten(0, 1)})).batch.pos.view(copies, num_nodes, 2)
        shift, image = last[0], last[1:, :, 0] - last[0, :, 0]
        same = self.batch.batch[:, None] == self.batch.batch
        linear = torch.where(same, image[local].T, 0.0)
        at_start = start[0] ** 2 * covariance + start[1] ** 2 * self.noise
        at_end = end[0] ** 2 * covariance + end[1] ** 2 * self.noise
        mean_error = shift + linear @ (start[0] * mean) - end[0] * mean
        return float(mean_error.abs().max()), float((linear @ at_start @ linear.T - at_end).abs().max())


def condition(mean: Tensor, covariance: Tensor, observe: Tensor, value: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Gaussian conditioning on ``observe x = value + N(0, noise)``, columns alike; singular matrices are allowed."""
    gain = covariance @ observe.T @ torch.linalg.pinv(observe @ covariance @ observe.T + noise, hermitian=True)
    return mean + gain @ (value - observe @ mean), covariance - gain @ observe @ covariance


@pytest.fixture(params=["ve", "vp"])
def sde(request, vp) -> SDE:
    return vp if request.param == "vp" else VESDE()


@pytest.fixture
def gaussian_data() -> type[GaussianData]:
    return GaussianData
