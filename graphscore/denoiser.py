r"""Denoisers: the one canonical output ``E[x0 | xt]``, from which everything else follows.

A score follows by Tweedie's formula, ``score = C^-1 (alpha x0_hat - xt) / std^2``, with C the covariance of the noise
(mostly the identity). Samplers speak to any :class:`ScoreModel`; :class:`Denoiser` makes one from a network, and
:class:`ScoreAdapter`, :class:`NoiseAdapter`, :class:`DataAdapter` and :class:`VelocityAdapter` from a function or
module of one's own that outputs one of the four usual quantities. :class:`PlainScore` is a score without a process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore.fields import Field, replace
from graphscore.precision import double_device
from graphscore.process import ForwardProcess, check_times, per_row
from graphscore.sdes import SDE
from graphscore.times import in_range

BatchFunction = Callable[[Batch, Tensor], "Tensor | Mapping[str, Tensor]"]


class Score(nn.Module, ABC):
    """A module that knows the score of some fields: all that implicit and sliced score matching ask for.

    Args:
        fields: The fields by name.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        super().__init__()
        self.fields = dict(fields)

    @abstractmethod
    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        r"""Estimate the score ``grad log p_t(xt)`` of each field, ``[rows, width]``.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``.
        """


class ScoreModel(Score):
    """A module that knows the posterior mean and the score of noisy batches of one process.

    Args:
        process: The forward process; its batches at time t are what the model takes.
    """

    needs_signal: bool = False
    """Whether ``x0_hat`` is undefined where nothing is left of the data, ``alpha = 0``."""

    def __init__(self, process: ForwardProcess) -> None:
        super().__init__(process.fields)
        self.process = process

    def __call__(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        """Estimate as :meth:`forward` does, after a look at the times.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``, in (0, 1].

        Raises:
            ValueError: If there is not one time per graph, or times lie outside (0, 1]; see
                :func:`~graphscore.times.in_range`.
        """
        check_times(batch, t)
        return super().__call__(batch, in_range(t))

    @abstractmethod
    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        """Estimate ``E[x0 | xt]`` of each field, ``[rows, width]``, in units of the field's scale.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``.
        """

    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on Score)
        x0_hat, scores = self(batch, t), {}
        for field, sde in self.process:
            xt, index = batch[field.name], field.index(batch)
            alpha, variance = (per_row(c, xt, index) for c in (sde.alpha(t), sde.std(t) ** 2))
            scores[field.name] = sde.covariance(batch, field).solve((alpha * x0_hat[field.name] - xt) / variance)
        return scores

    def velocity(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        r"""Estimate the velocity ``alpha' x0_hat + std' eps_hat`` of the probability flow, ``[rows, width]``.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``.

        References:
            Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 13.
            Lipman et al. (2023), Flow matching for generative modeling, equation 15.
        """
        moved = self.process.combine(batch, lambda sde: velocity_coefficients(sde, t), self(batch, t))
        return {name: moved[name] for name in self.fields}


class Denoiser(ScoreModel):
    r"""A network preconditioned to estimate the clean data at any noise level.

    For data of unit variance, ``x0_hat = c_skip xt + c_out F(c_in xt, log(std / alpha) / 4)`` with
    ``c_in = 1 / sqrt(alpha^2 + std^2)``, ``c_skip = alpha c_in^2``, ``c_out = std c_in``: the network F sees inputs
    and has targets of unit variance at every level. Where noise has a covariance of its own, ``std`` counts times the
    root of its mean variance on each graph. Only alpha and std enter, so the process can be exchanged after training
    for another one that covers the same levels.

    Args:
        network: Called as ``network(batch, levels)``, where the fields of ``batch`` are scaled by ``c_in`` and
            ``levels`` ``[B, number of fields]`` holds ``log(std / alpha) / 4``; returns ``{field: [rows, width]}``.
        process: The forward process.

    Raises:
        ValueError: If the network says what its fields are, by ``check_fields``, and the process has others, or in
            another order; at a call, if the batch lacks a field, or it has another number of rows.

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, table 1 and appendix
        B.6, here for any alpha and with a data standard deviation of 1.
    """

    def __init__(self, network: nn.Module, process: ForwardProcess) -> None:
        super().__init__(process)
        check = getattr(network, "check_fields", None)
        if check is not None:
            check({field.name: (field.level, field.width) for field, _ in process})
        self.network = network

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        inputs, skips, scales, levels = {}, {}, {}, []
        for field, sde in self.process:
            xt, index = field.values(batch)
            alpha = sde.alpha(t)
            std = sde.std(t) * sde.covariance(batch, field).mean_variance.sqrt()
            c_in = (alpha**2 + std**2).rsqrt()
            rows = [per_row(c, xt, index) for c in (c_in, alpha * c_in**2, std * c_in)]
            inputs[field.name], skips[field.name], scales[field.name] = rows[0] * xt, rows[1] * xt, rows[2]
            levels.append(((std / alpha).log() / 4).to(xt))
        outputs = _named(self.network(replace(batch, inputs), torch.stack(levels, dim=-1)), batch, self.fields)
        return {
            field.name: field.project(
                skips[field.name] + scales[field.name] * outputs[field.name], field.index(batch), batch.num_graphs
            )
            for field, _ in self.process
        }


class _Adapter(ScoreModel):
    """What the adapters share: a function of a noisy batch and times, whose output is brought to ``x0_hat``."""

    def __init__(self, function: BatchFunction, process: ForwardProcess) -> None:
        super().__init__(process)
        self.function = function

    @staticmethod
    @abstractmethod
    def coefficients(sde: SDE, t: Tensor) -> Sequence[Tensor]:
        """Coefficients a and b, each ``[B]``, of ``x0_hat = a xt + b output``."""

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        outputs = _by_field(self.function(batch, _beside(batch, t)), batch, self.fields)
        clean = self.process.combine(batch, lambda sde: self.coefficients(sde, t), outputs)
        return {
            name: field.project(clean[name], field.index(batch), batch.num_graphs)
            for name, field in self.fields.items()
        }


class ScoreAdapter(_Adapter):
    r"""A score function of the user's own, such as a network that outputs the score itself.

    Args:
        function: Called as ``function(batch, t)`` with a batch at time ``t`` [B]; returns the score ``[rows, width]``,
            or ``{field: score}`` if there are several fields. Modules are registered, so that their parameters are
            found.
        process: The forward process.

    Raises:
        ValueError: At a call, if the function gives one tensor but there are several fields.
    """

    needs_signal = True

    @staticmethod
    def coefficients(sde: SDE, t: Tensor) -> Sequence[Tensor]:  # noqa: D102
        return 1 / sde.alpha(t), sde.std(t) ** 2 / sde.alpha(t)

    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102
        check_times(batch, t)
        return _by_field(self.function(batch, _beside(batch, in_range(t))), batch, self.fields)

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102
        scores = self.score(batch, t)
        colored = {f.name: sde.covariance(batch, f).multiply(scores[f.name]) for f, sde in self.process}
        clean = self.process.combine(batch, lambda sde: self.coefficients(sde, t), colored)
        return {name: clean[name] for name in self.fields}


class NoiseAdapter(_Adapter):
    r"""A network that outputs the noise: ``x0_hat = (xt - std eps_hat) / alpha``.

    Args:
        function: Called as ``function(batch, t)``; returns the noise that was added, divided by ``std``,
            ``[rows, width]``, or ``{field: noise}``.
        process: The forward process.

    References:
        Ho, Jain and Abbeel (2020), Denoising diffusion probabilistic models, equation 12.
    """

    needs_signal = True

    @staticmethod
    def coefficients(sde: SDE, t: Tensor) -> Sequence[Tensor]:  # noqa: D102
        return 1 / sde.alpha(t), -sde.std(t) / sde.alpha(t)


class DataAdapter(_Adapter):
    r"""A network that outputs the clean data: ``x0_hat`` itself, with no preconditioning.

    Args:
        function: Called as ``function(batch, t)``; returns the clean field in units of its scale, ``[rows, width]``, or
            ``{field: clean}``.
        process: The forward process.
    """

    @staticmethod
    def coefficients(sde: SDE, t: Tensor) -> Sequence[Tensor]:  # noqa: D102
        return torch.zeros_like(sde.alpha(t)), torch.ones_like(sde.alpha(t))


class VelocityAdapter(_Adapter):
    r"""A network that outputs the velocity ``v = alpha' x0 + std' eps`` of the process's time, as in flow matching.

    ``x0_hat = (std' xt - std v) / (std' alpha - std alpha')``. On the straight path v is ``eps - x0``: time runs from
    data to noise, so its sign is opposite to that of papers which run from noise to data.

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


class PlainScore(Score):
    """A score function without a forward process: for implicit and sliced score matching on samples of any origin.

    Args:
        function: Called as ``function(batch, t)``; returns the score ``[rows, width]``, or ``{field: score}``.
        fields: The fields whose score it is.
    """

    def __init__(self, function: BatchFunction, fields: Sequence[Field]) -> None:
        super().__init__({field.name: field for field in fields})
        self.function = function

    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on Score)
        return _by_field(self.function(batch, _beside(batch, t)), batch, self.fields)


ADAPTERS: dict[str, type[_Adapter]] = {
    "score": ScoreAdapter,
    "noise": NoiseAdapter,
    "data": DataAdapter,
    "velocity": VelocityAdapter,
}


def velocity_coefficients(sde: SDE, t: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients of ``xt`` and ``x0``, each ``[B]``, in the velocity ``alpha' x0 + std' eps``."""
    rate = sde.std_rate(t) / sde.std(t)
    return rate, sde.alpha_rate(t) - rate * sde.alpha(t)


def _beside(batch: Batch, t: Tensor) -> Tensor:
    """Times on the device of a batch, where a function of one's own expects them: in float32 if it has no float64."""
    device = batch.batch.device
    return t if double_device(device) == device else t.to(device, torch.float32)


def _by_field(output: Tensor | Mapping[str, Tensor], batch: Batch, fields: Mapping[str, Field]) -> dict[str, Tensor]:
    """Name and project what a function gave for the fields."""
    named = _named(output, batch, fields)
    return {name: field.project(named[name], field.index(batch), batch.num_graphs) for name, field in fields.items()}


def _named(output: Tensor | Mapping[str, Tensor], batch: Batch, fields: Mapping[str, Field]) -> dict[str, Tensor]:
    """Name what a function gave for the fields, each of the shape of its field."""
    if isinstance(output, Tensor):
        if len(fields) > 1:
            raise ValueError(
                f"The function gave one tensor, but there are the fields {sorted(fields)}; return {{field: tensor}}"
            )
        output = dict.fromkeys(fields, output)
    if not isinstance(output, Mapping) or not output.keys() >= fields.keys():
        got = f"only {sorted(output)}" if isinstance(output, Mapping) else type(output).__name__
        raise ValueError(f"Expected a tensor for each of the fields {sorted(fields)}, but the function gave {got}")
    for name in fields:
        shape, value = batch[name].shape, output[name]
        # A column or row less would be spread over all others without a word.
        if not isinstance(value, Tensor) or value.shape != shape:
            got = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"Expected {list(shape)}, the shape of the field {name!r}, but the function gave {got}")
    return {name: output[name] for name in fields}
