"""Adapters: score models from functions that output the score, the noise, the clean data or the velocity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser.base import ScoreModel
from graphscore.denoiser.outputs import BatchFunction, beside, by_field
from graphscore.process import ForwardProcess, check_times
from graphscore.sdes import SDE
from graphscore.times import in_range


class _Adapter(ScoreModel):
    """Base of the adapters: a function of a noisy batch and times, whose output is converted to ``x0_hat``."""

    def __init__(self, function: BatchFunction, process: ForwardProcess) -> None:
        super().__init__(process)
        self.function = function

    @staticmethod
    @abstractmethod
    def coefficients(sde: SDE, t: Tensor) -> Sequence[Tensor]:
        """Coefficients a and b, each ``[B]``, of ``x0_hat = a xt + b output``."""

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        outputs = by_field(self.function(batch, beside(batch, t)), batch, self.fields)
        clean = self.process.combine(batch, lambda sde: self.coefficients(sde, t), outputs)
        return {
            name: field.project(clean[name], field.index(batch), batch.num_graphs)
            for name, field in self.fields.items()
        }


class ScoreAdapter(_Adapter):
    r"""Score model from a function or network that outputs the score.

    Args:
        function: Called as ``function(batch, t)`` with a batch at time ``t`` [B]; returns the score ``[rows, width]``,
            or ``{field: score}`` if there are several fields. A module is registered, with its parameters.
        process: The forward process.

    Raises:
        ValueError: If the process has no score; at a call, if the function gives one tensor but there are several
            fields.
    """

    needs_signal = True

    def __init__(self, function: BatchFunction, process: ForwardProcess) -> None:
        super().__init__(function, process)
        for _, sde in process:
            sde.check_score()

    @staticmethod
    def coefficients(sde: SDE, t: Tensor) -> Sequence[Tensor]:  # noqa: D102
        return 1 / sde.alpha(t), sde.std(t) ** 2 / sde.alpha(t)

    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102
        check_times(batch, t)
        return by_field(self.function(batch, beside(batch, in_range(t))), batch, self.fields)

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102
        scores = self.score(batch, t)
        colored = {f.name: sde.covariance(batch, f).multiply(scores[f.name]) for f, sde in self.process}
        clean = self.process.combine(batch, lambda sde: self.coefficients(sde, t), colored)
        return {name: clean[name] for name in self.fields}


class NoiseAdapter(_Adapter):
    r"""Score model from a function or network that outputs the noise: ``x0_hat = (xt - std eps_hat) / alpha``.

    Args:
        function: Called as ``function(batch, t)``; returns the noise divided by ``std``, ``[rows, width]``, or
            ``{field: noise}``.
        process: The forward process.

    References:
        Ho, Jain and Abbeel (2020), Denoising diffusion probabilistic models, equation 12.
    """

    needs_signal = True

    @staticmethod
    def coefficients(sde: SDE, t: Tensor) -> Sequence[Tensor]:  # noqa: D102
        return 1 / sde.alpha(t), -sde.std(t) / sde.alpha(t)


class DataAdapter(_Adapter):
    r"""Score model from a function or network that outputs the clean data ``x0_hat``, without preconditioning.

    Args:
        function: Called as ``function(batch, t)``; returns the clean field in units of its scale, ``[rows, width]``, or
            ``{field: clean}``.
        process: The forward process.
    """

    @staticmethod
    def coefficients(sde: SDE, t: Tensor) -> Sequence[Tensor]:  # noqa: D102
        return torch.zeros_like(sde.alpha(t)), torch.ones_like(sde.alpha(t))


class VelocityAdapter(_Adapter):
    r"""Score model from a function or network that outputs the velocity ``v = alpha' x0 + std' eps`` of flow matching.

    ``x0_hat = (std' xt - std v) / (std' alpha - std alpha')``. On the straight path v is ``eps - x0``: time runs from
    data to noise, so its sign is opposite to that in papers where time runs from noise to data.

    Args:
        function: Called as ``function(batch, t)``; returns the velocity ``[rows, width]``, or ``{field: velocity}``.
        process: The forward process.

    References:
        Lipman et al. (2023), Flow matching for generative modeling, equation 15.
        Salimans and Ho (2022), Progressive distillation for fast sampling of diffusion models, appendix D.
    """

    @staticmethod
    def coefficients(sde: SDE, t: Tensor) -> Sequence[Tensor]:  # noqa: D102
        alpha, std, std_rate = sde.alpha(t), sde.std(t), sde.std_rate(t)
        wronskian = std_rate * alpha - std * sde.alpha_rate(t)
        return std_rate / wronskian, -std / wronskian


ADAPTERS: dict[str, type[_Adapter]] = {
    "score": ScoreAdapter,
    "noise": NoiseAdapter,
    "data": DataAdapter,
    "velocity": VelocityAdapter,
}
"""Adapters by the output of the network."""
