r"""Calibration of a denoiser: the error of the posterior mean that it predicts itself, beside the actual one.

If ``x0_hat(xt)`` is the posterior mean, its Jacobian gives the posterior covariance, and with it the expected error,

.. math::  E[\| \hat x_0 - x_0 \|^2 \mid x_t] = \frac{\sigma(t)^2}{\alpha(t)} \operatorname{tr}(C J), \qquad
           J = \frac{\partial \hat x_0}{\partial x_t},

for noise of covariance ``sigma^2 C``. The trace is estimated by ``z^T J z`` with ``z ~ N(0, C)``. A ratio of predicted
and actual error below 1 at a noise level says that the network is too sure there: it has not learned all, or has
learned its training graphs by heart.

References:
    Efron (2011), Tweedie's formula and selection bias.
    Meng et al. (2021), Estimating high order gradients of the data distribution by denoising.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import replace
from graphscore.linalg.divergence import projected_divergence
from graphscore.rng import GraphGenerator
from graphscore.runtime.precision import double
from graphscore.train.metrics import LevelBins, by_level


class Errors(NamedTuple):
    """Squared errors of the posterior mean, summed over fields, rows and columns.

    Attributes:
        predicted: Error that the model expects of itself, ``[B]``, float64.
        actual: Its error, ``[B]``, float64.
    """

    predicted: Tensor
    actual: Tensor


def errors(model: ScoreModel, batch: Batch, t: Tensor, noise: GraphGenerator, probes: GraphGenerator) -> Errors:
    """Compute predicted and actual errors of a model; one evaluation and one backward pass for each field.

    Args:
        model: The model.
        batch: Clean data.
        t: Times of the graphs, ``[B]``.
        noise: Source of the noise that is added.
        probes: Source of the directions of the Jacobian.
    """
    noisy, clean, eps = model.process.perturb(batch, t, generator=noise)
    directions = model.process.perturb(batch, t, generator=probes).eps
    predicted = actual = torch.zeros(batch.num_graphs, dtype=torch.float64, device=double(t).device)
    for field, sde in model.process:
        name, index = field.name, field.index(batch)

        def estimate(x: Tensor, name: str = name) -> Tensor:
            return model(replace(noisy, {name: x}), t)[name]

        x0 = clean[name]
        if field.periodic:  # the error on the line, full turns included, as the prediction is
            x0 = noisy[name] - ops.per_row(sde.std(t), x0, index) * eps[name]
        value, product = projected_divergence(estimate, noisy[name], directions[name], index, batch.num_graphs)
        predicted = predicted + double(sde.std(t) ** 2 / sde.alpha(t)) * double(product)
        actual = actual + double(ops.sum(torch.square(value - x0).sum(-1), index, batch.num_graphs))
    return Errors(predicted.detach(), actual.detach())


class Calibration:
    """Ratios of predicted and actual errors by noise level.

    Args:
        bins: Bins of noise levels.
    """

    def __init__(self, bins: LevelBins) -> None:
        self.bins = bins
        self.reset()

    @property
    def names(self) -> list[str]:
        """Names of the ratios."""
        return [f"calibration/{level}" for level in self.bins.names]

    def reset(self) -> None:
        """Forget all errors."""
        self.sums = torch.zeros(2, len(self.bins.names), dtype=torch.float64)

    def add(self, t: Tensor, found: Errors) -> None:
        """Add the errors of a batch with the times ``t``, ``[B]``."""
        rows = torch.stack(list(found))
        self.sums = self.sums.to(rows.device) + by_level(rows, t, self.bins)

    def ratios(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Divide the sums over all ranks, and forget the errors; not a number for a level that no graph had.

        Args:
            reduce: Sums a tensor over ranks.
        """
        predicted, actual = reduce(self.sums)
        self.reset()
        return dict(zip(self.names, predicted / actual, strict=True))
