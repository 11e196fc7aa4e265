r"""Denoisers: the one canonical output ``E[x0 | xt]``, from which everything else follows.

A score follows by Tweedie's formula, ``score = (alpha x0_hat - xt) / std^2``. Objectives and samplers speak to any
:class:`ScoreModel`; :class:`Denoiser` makes one from a network, :class:`ScoreAdapter` from a score function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.fields import replace
from graphscore.process import ForwardProcess

ScoreFunction = Callable[[Batch, Tensor], "Tensor | Mapping[str, Tensor]"]


class ScoreModel(nn.Module, ABC):
    """A module that knows the posterior mean and the score of noisy batches of one process.

    Args:
        process: The forward process; its batches at time t are what the model takes.
    """

    def __init__(self, process: ForwardProcess) -> None:
        super().__init__()
        self.process = process

    @abstractmethod
    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        """Estimate ``E[x0 | xt]`` of each field, ``[rows, width]``, in units of the field's scale.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``.
        """

    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        r"""Estimate the score ``grad log p_t(xt)`` of each field, ``[rows, width]``.

        Args:
            batch: A batch at time ``t``.
            t: One time per graph, shape ``[B]``.
        """
        x0_hat, scores = self(batch, t), {}
        for field, sde in self.process:
            xt, index = batch[field.name], field.index(batch)
            alpha, variance = (ops.broadcast(c.to(xt), index)[:, None] for c in (sde.alpha(t), sde.std(t) ** 2))
            score = (alpha * x0_hat[field.name] - xt) / variance
            scores[field.name] = field.project(score, index, batch.num_graphs)
        return scores


class Denoiser(ScoreModel):
    r"""A network preconditioned to estimate the clean data at any noise level.

    For data of unit variance, ``x0_hat = c_skip xt + c_out F(c_in xt, log(std / alpha) / 4)`` with
    ``c_in = 1 / sqrt(alpha^2 + std^2)``, ``c_skip = alpha c_in^2``, ``c_out = std c_in``: the network F sees inputs
    and has targets of unit variance at every level. Only alpha and std enter, so the process can be exchanged after
    training for another one that covers the same levels.

    Args:
        network: Called as ``network(batch, levels)``, where the fields of ``batch`` are scaled by ``c_in`` and
            ``levels`` ``[B, number of fields]`` holds ``log(std / alpha) / 4``; returns ``{field: [rows, width]}``.
        process: The forward process.

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, table 1 and appendix
        B.6, here for any alpha and with a data standard deviation of 1.
    """

    def __init__(self, network: nn.Module, process: ForwardProcess) -> None:
        super().__init__(process)
        self.network = network

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        inputs, skips, scales, levels = {}, {}, {}, []
        for field, sde in self.process:
            xt, index = batch[field.name], field.index(batch)
            alpha, std = sde.alpha(t), sde.std(t)
            c_in = (alpha**2 + std**2).rsqrt()
            rows = [ops.broadcast(c.to(xt), index)[:, None] for c in (c_in, alpha * c_in**2, std * c_in)]
            inputs[field.name], skips[field.name], scales[field.name] = rows[0] * xt, rows[1] * xt, rows[2]
            levels.append(((std / alpha).log() / 4).to(xt))
        outputs = self.network(replace(batch, inputs), torch.stack(levels, dim=-1))
        return {
            field.name: field.project(
                skips[field.name] + scales[field.name] * outputs[field.name], field.index(batch), batch.num_graphs
            )
            for field, _ in self.process
        }


class ScoreAdapter(ScoreModel):
    r"""A score function of the user's own, such as a network that outputs the score itself.

    Args:
        function: Called as ``function(batch, t)`` with a batch at time ``t`` [B]; returns the score ``[rows, width]``,
            or ``{field: score}`` if there are several fields. Modules are registered, so that their parameters are
            found.
        process: The forward process.

    Raises:
        ValueError: At a call, if the function gives one tensor but there are several fields.
    """

    def __init__(self, function: ScoreFunction, process: ForwardProcess) -> None:
        super().__init__(process)
        self.function = function

    def score(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102
        scores = self.function(batch, t)
        if isinstance(scores, Tensor):
            if len(self.process.fields) > 1:
                raise ValueError(
                    "The score function gave one tensor, but the process has the fields "
                    f"{sorted(self.process.fields)}; return {{field: score}}"
                )
            scores = dict.fromkeys(self.process.fields, scores)
        return {
            field.name: field.project(scores[field.name], field.index(batch), batch.num_graphs)
            for field, _ in self.process
        }

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102
        x0_hat, scores = {}, self.score(batch, t)
        for field, sde in self.process:
            xt, index = batch[field.name], field.index(batch)
            alpha, variance = (ops.broadcast(c.to(xt), index)[:, None] for c in (sde.alpha(t), sde.std(t) ** 2))
            x0_hat[field.name] = (xt + variance * scores[field.name]) / alpha
        return x0_hat
