"""Preconditioned denoisers: networks with inputs and targets of unit variance at every noise level."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser.base import ScoreModel
from graphscore.denoiser.description import describe_denoiser
from graphscore.denoiser.outputs import named_outputs
from graphscore.fields import replace
from graphscore.nn.self_conditioned_network import SelfConditionedNetwork
from graphscore.process import ForwardProcess
from graphscore.sdes import CircleSDE


class Denoiser(ScoreModel):
    r"""Denoiser: a preconditioned network that estimates the clean data at any noise level.

    For data of unit variance, ``x0_hat = c_skip xt + c_out F(c_in xt, log(std / alpha) / 4)`` with
    ``c_in = 1 / sqrt(alpha^2 + std^2)``, ``c_skip = alpha c_in^2``, ``c_out = std c_in``: the network F has inputs and
    targets of unit variance at every level. If the noise has a covariance, ``std`` is multiplied by the root of its
    mean variance on each graph. Angles are read as they are, between -pi and pi, and changed by
    ``x0_hat = xt + c_out F`` with the c_out of their own noise, see :meth:`graphscore.sdes.CircleSDE.offset_std`; the
    network has to read them by periodic functions, as a :class:`~graphscore.nn.ScoreNetwork` does. Only alpha and std
    enter, so the process can be exchanged after training for another one that covers the same levels.

    Args:
        network: Called as ``network(batch, levels)``, where the fields of ``batch`` are scaled by ``c_in`` and
            ``levels`` ``[B, number of fields]`` holds ``log(std / alpha) / 4``; returns ``{field: [rows, width]}``.
        process: The forward process.

    Raises:
        ValueError: If the network has a method ``check_fields`` and the process has other fields or another order, or
            an attribute ``angles`` with other names than the periodic fields; at a call, if the batch lacks a field, or
            it has another number of rows.

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, table 1 and appendix
        B.6, here for any alpha and with a data standard deviation of 1.
    """

    def __init__(self, network: nn.Module, process: ForwardProcess) -> None:
        super().__init__(process)
        check = getattr(network, "check_fields", None)
        if check is not None:
            check({field.name: (field.level, field.width) for field, _ in process})
        angles = sorted(field.name for field, _ in process if field.periodic)
        read = sorted(getattr(network, "angles", angles))
        if read != angles:
            raise ValueError(
                f"The periodic fields of the process are {angles}, but the network reads {read} as angles: build it "
                "with the process, which says which fields are periodic"
            )
        self.network = network

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        inputs, skips, scales, levels = {}, {}, {}, []
        for field, sde in self.process:
            xt, index = field.values(batch)
            alpha = sde.alpha(t)
            std = sde.std(t) * sde.covariance(batch, field).mean_variance.sqrt()
            c_in = (alpha**2 + std**2).rsqrt()
            factors = (c_in, alpha * c_in**2, std * c_in)
            if isinstance(sde, CircleSDE):
                factors = (alpha, alpha, sde.offset_std(t))
            rows = [ops.per_row(c, xt, index) for c in factors]
            inputs[field.name] = field.wrap(rows[0] * xt)
            skips[field.name], scales[field.name] = rows[1] * xt, rows[2]
            levels.append(((std / alpha).log() / 4).to(xt))
        outputs = named_outputs(self.network(replace(batch, inputs), torch.stack(levels, dim=-1)), batch, self.fields)
        return {
            field.name: field.project(
                skips[field.name] + scales[field.name] * outputs[field.name], field.index(batch), batch.num_graphs
            )
            for field, _ in self.process
        }

    def describe(self) -> dict[str, Any]:  # noqa: D102 (documented on ScoreModel)
        if type(self) is not Denoiser:
            return super().describe()
        if isinstance(self.network, SelfConditionedNetwork):
            raise ValueError(
                "A denoiser of a SelfConditionedNetwork cannot be described alone, without SelfConditioning(model), "
                "which gives it the estimates that it reads"
            )
        return describe_denoiser(self.network, self.process)
