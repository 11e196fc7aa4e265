r"""Exact score models of Gaussian data and Gaussian mixtures.

If ``x0 ~ N(m, S)`` and the noise has the covariance C, then ``xt ~ N(alpha m, V)`` with ``V = alpha^2 S + std^2 C``,
and the posterior mean is ``E[x0 | xt] = m + alpha S V^-1 (xt - alpha m)``. In a zero-mean field everything, means
included, is projected onto the centre-free subspace, where the same formulas hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import Field, replace
from graphscore.linalg.covariance import Covariance, ModeFunction
from graphscore.process import ForwardProcess
from graphscore.rng import Generator
from graphscore.sdes import SDE, HarmonicSDE


class GaussianScore(ScoreModel):
    r"""The exact model of Gaussian data ``x0 ~ N(m, c^2 S)`` in every field.

    Args:
        process: The forward process.
        mean: The mean m in units of the fields' scales: a number, or the name of an attribute of the batch that holds
            the mean of each row.
        std: The standard deviation c in units of the fields' scales; 0 puts all data at their mean.
        springs: A harmonic process with the covariance S of the data, so that nodes of a graph are correlated; by
            default rows are independent. If a field has a harmonic process, it must be this one.

    Raises:
        ValueError: If data and noise have two different covariances, neither of which is the identity.
    """

    def __init__(
        self,
        process: ForwardProcess,
        mean: float | str = 0.0,
        std: float = 1.0,
        springs: HarmonicSDE | None = None,
    ) -> None:
        super().__init__(process)
        for field, sde in process:
            if springs is not None and isinstance(sde, HarmonicSDE) and sde is not springs:
                raise ValueError(
                    f"Data and noise of field {field.name!r} must have the same springs, or one of them none"
                )
        self.mean = mean
        self.std = std
        self.springs = springs

    def sample(self, template: Batch, generator: Generator = None, dtype: torch.dtype | None = None) -> Batch:
        """Draw exact data in data units; ``template``, ``generator`` and ``dtype`` as in ``ForwardProcess.prior``."""
        white = ForwardProcess({field: _Still() for field, _ in self.process}).prior(template, generator, dtype)
        values = {}
        for field, sde in self.process:
            spread = self._by_modes(white, field, sde, lambda data, _: data.sqrt(), white[field.name])
            values[field.name] = self._mean(white, field) + spread
        return self.process.to_data(replace(white, values))

    def log_density(self, batch: Batch) -> Tensor:
        """Compute the log-density of clean data in data units, all fields together: nats, shape ``[B]``, float64."""
        total = torch.zeros(batch.num_graphs, dtype=torch.float64, device=batch.batch.device)
        for field, sde in self.process:
            x = field.read(batch)
            difference = (x - self._mean(replace(batch, {field.name: x}), field)).double()
            scaled = self._by_modes(batch, field, sde, lambda data, _: 1 / data, difference)
            squares = ops.sum((difference * scaled).sum(-1), field.index(batch), batch.num_graphs)
            # The volume of the scaled field is that of the data divided by scale, once for each dimension.
            volume = 2 * torch.pi * field.scale**2
            logs = self._trace(batch, field, sde, lambda data, _, volume=volume: (volume * data).log())
            total = total - (squares + x.shape[1] * logs) / 2
        return total

    def marginal_std(self, field: Field, t: Tensor) -> Tensor:
        """Return the standard deviation of independent rows at time ``t``: ``sqrt(alpha^2 c^2 + std^2)``."""
        sde = dict(self.process)[field]
        return (sde.alpha(t) ** 2 * self.std**2 + sde.std(t) ** 2).sqrt()

    def flow(self, batch: Batch, t: Tensor, s: Tensor) -> Batch:
        """Follow the probability flow from time ``t`` [B] to time ``s`` [B] exactly, in units of the fields' scales."""
        values = {}
        for field, sde in self.process:
            x, index, mean = batch[field.name], field.index(batch), self._mean(batch, field)
            alpha_t, alpha_s, std_t, std_s = (
                ops.broadcast(c, index) for c in (sde.alpha(t), sde.alpha(s), sde.std(t), sde.std(s))
            )

            def stretch(data: Tensor, noise: Tensor, a=alpha_t, b=std_t, c=alpha_s, d=std_s) -> Tensor:
                return ((c**2 * data + d**2 * noise) / (a**2 * data + b**2 * noise)).sqrt()

            moved = self._by_modes(batch, field, sde, stretch, x - ops.per_row(sde.alpha(t), x, index) * mean)
            values[field.name] = ops.per_row(sde.alpha(s), x, index) * mean + moved
        return replace(batch, values)

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        x0_hat = {}
        for field, sde in self.process:
            xt, index, mean = batch[field.name], field.index(batch), self._mean(batch, field)
            alpha, std = (ops.broadcast(c, index) for c in (sde.alpha(t), sde.std(t)))

            def gain(data: Tensor, noise: Tensor, alpha=alpha, std=std) -> Tensor:
                return alpha * data / (alpha**2 * data + std**2 * noise)

            residual = xt - alpha[:, None].to(xt) * mean
            x0_hat[field.name] = mean + self._by_modes(batch, field, sde, gain, residual)
        return x0_hat

    def _mean(self, batch: Batch, field: Field) -> Tensor:
        x = batch[field.name]
        mean = torch.full_like(x, self.mean) if isinstance(self.mean, float | int) else batch[self.mean].to(x)
        return field.project(mean, field.index(batch), batch.num_graphs)

    def _modes(self, batch: Batch, field: Field, sde: SDE, function) -> tuple[Covariance, ModeFunction]:
        """The common modes of data and noise, and ``function`` of both variances as a function of a mode."""
        noise = sde.covariance(batch, field)
        shape = noise if self.springs is None else self.springs.covariance(batch, field)

        def of_mode(variance: Tensor) -> Tensor:
            ones = torch.ones_like(variance)
            data = variance if self.springs is not None else ones
            return function(self.std**2 * data, variance if isinstance(sde, HarmonicSDE) else ones)

        return shape, of_mode

    def _by_modes(self, batch: Batch, field: Field, sde: SDE, function, x: Tensor) -> Tensor:
        shape, of_mode = self._modes(batch, field, sde, function)
        return shape.apply(of_mode, x)

    def _trace(self, batch: Batch, field: Field, sde: SDE, function) -> Tensor:
        shape, of_mode = self._modes(batch, field, sde, function)
        return shape.trace(of_mode)


class _Still(SDE):
    """White noise of unit variance at all times, from which samples of the data are made."""

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t, dtype=torch.float64)

    def std(self, t: Tensor) -> Tensor:
        return torch.ones_like(t, dtype=torch.float64)


class GaussianMixtureScore(ScoreModel):
    r"""The exact model of data from a mixture of Gaussians ``sum_k w_k N(m_k, c^2 I)``.

    Args:
        process: The forward process, of one field and with unstructured noise.
        means: Name of the attribute of the batch that holds the K means of each row, ``[rows, K, width]``, in units of
            the field's scale.
        std: The standard deviation c of each component, in units of the field's scale.
        weights: The K weights; equal by default.
        per_graph: Whether all rows of a graph come from one component, as for conformers; else each row from its own.

    Raises:
        ValueError: If rows of a zero-mean field are to be independent, which their zero mean forbids, or the noise is
            structured.
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
        if isinstance(self._sde, HarmonicSDE):
            raise ValueError("The mixture is known for unstructured noise only, but the process is harmonic")
        self.means = means
        self.std = std
        self.weights = weights
        self.per_graph = per_graph

    def sample(self, template: Batch, generator: torch.Generator | None = None) -> Batch:
        """Draw exact data in data units, in the type of the means."""
        means, index = self._means(template), self._field.index(template)
        weights = self._weights(means.shape[1])
        draws = template.num_graphs if self.per_graph else len(means)
        component = torch.multinomial(weights, max(draws, 1), replacement=True, generator=generator)[:draws]
        component = (ops.broadcast(component, index) if self.per_graph else component)[:, None, None]
        mean = means.take_along_dim(component.to(means.device), 1)[:, 0]
        noise = ops.randn(index, template.num_graphs, mean.shape[1], dtype=mean.dtype, generator=generator)
        x = mean + self.std * self._field.project(noise, index, template.num_graphs)
        return self.process.to_data(replace(template, {self._field.name: x}))

    def log_density(self, batch: Batch) -> Tensor:
        """Compute the log-density of clean data in data units: nats for each graph, shape ``[B]``, float64."""
        index, x = self._field.index(batch), self._field.read(batch).double()
        zero = torch.zeros(batch.num_graphs, dtype=torch.float64, device=index.device)
        logits = self._logits(x, index, zero + 1, zero + self.std**2, self._means(batch).double(), batch.num_graphs)
        dimension = self._sde.covariance(batch, self._field).rank * x.shape[1]
        constant = -dimension / 2 * math.log(2 * math.pi * (self.std * self._field.scale) ** 2)
        # If rows share a component, each row holds the number of its graph, and so does their mean.
        reduce = ops.mean if self.per_graph else ops.sum
        return reduce(logits.logsumexp(-1), index, batch.num_graphs) + constant

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102
        xt, index, means = batch[self._field.name], self._field.index(batch), self._means(batch)
        alpha, std = self._sde.alpha(t), self._sde.std(t)
        variance = alpha**2 * self.std**2 + std**2
        logits = self._logits(xt, index, alpha, variance, means, batch.num_graphs)
        # Along the first dimension, since torch.softmax along a short last one takes five times as long.
        mean = (logits.T.softmax(0).T[:, None] @ means)[:, 0]
        keep, pull = (ops.per_row(c / variance, xt, index) for c in (alpha * self.std**2, std**2))
        return {self._field.name: keep * xt + pull * mean}

    def _logits(
        self, x: Tensor, index: Tensor, alpha: Tensor, variance: Tensor, means: Tensor, num_graphs: int
    ) -> Tensor:
        """Log of weight times density of each component, up to the constant: shape ``[rows, K]``."""
        # By coordinates: reductions of `[rows, K, width]` over their short last dimension take several times as long.
        keep, distance = ops.per_row(alpha, x, index), x.new_zeros(())
        for coordinate, mean in zip(x.unbind(-1), means.unbind(-1), strict=True):
            offset = torch.addcmul(coordinate[:, None], keep, mean, value=-1)
            distance = torch.addcmul(distance, offset, offset)
        if self.per_graph:
            distance = ops.broadcast(ops.sum(distance, index, num_graphs), index)
        return -distance / (2 * ops.per_row(variance, x, index)) + self._weights(means.shape[1]).log().to(x)

    def _weights(self, components: int) -> Tensor:
        weights = torch.tensor([1.0] * components if self.weights is None else self.weights, dtype=torch.float64)
        return weights / weights.sum()

    def _means(self, batch: Batch) -> Tensor:
        return self._field.project(batch[self.means], self._field.index(batch), batch.num_graphs)
