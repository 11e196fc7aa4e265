r"""Self-conditioning: the model gets its own last estimate as an input.

The estimate is an attribute of the batch, ``<field>_estimate``, in units of the field's scale, which samplers carry
from step to step; no other state is kept. If there is none it is zero: then, as in likelihoods, the model is a fixed
function of the batch.

References:
    Chen, Zhang and Hinton (2023), Analog bits: generating discrete data using diffusion models with self-conditioning.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.attributes import SELF_CONDITIONED
from graphscore.denoiser.base import ScoreModel
from graphscore.denoiser.description import describe_denoiser
from graphscore.denoiser.preconditioned import Denoiser
from graphscore.fields import check_batch, replace
from graphscore.nn.self_conditioned_network import SelfConditionedNetwork
from graphscore.rng import Generator


def estimate_name(field: str) -> str:
    """Return the name of the batch attribute with the last estimate of a field, ``[rows, width]``."""
    return f"{field}_estimate"


def choose_self_conditioned(batch: Batch, generator: Generator = None) -> Batch:
    """Choose graphs of a training batch for self-conditioning, each with probability 1/2.

    Args:
        batch: A training batch.
        generator: Source of the choice; with a :class:`~graphscore.rng.GraphGenerator`, that of a graph does not depend
            on the rest of the batch.

    Returns:
        A shallow copy with a mask of the chosen graphs, for :class:`SelfConditioning`.
    """
    graphs = torch.arange(check_batch(batch).num_graphs, device=batch.batch.device)
    normal = ops.randn(graphs, batch.num_graphs, 1, dtype=torch.float32, generator=generator)[:, 0]
    return replace(batch, {SELF_CONDITIONED: normal > 0})


class SelfConditioning(ScoreModel):
    r"""Wrapper for self-conditioning, which gives a model its own last estimate as an input.

    The inner model gets ``<field>_estimate`` in each batch, for every field: the estimate of a sampler's previous step,
    or zeros. For graphs chosen by :func:`choose_self_conditioned` it is computed in a first evaluation without an
    estimate and without gradients. That evaluation includes all graphs of a batch, so a training step costs one
    evaluation more. The gradient by the input does not include the change of the first estimate: objectives that take
    derivatives of the score must not choose graphs.

    Args:
        model: A score model that reads the estimates, such as a denoiser of a
            :class:`~graphscore.nn.self_conditioned_network.SelfConditionedNetwork`, or an adapter of a custom network.
    """

    def __init__(self, model: ScoreModel) -> None:
        super().__init__(model.process)
        self.model = model
        self.needs_signal = model.needs_signal

    def extra_repr(self) -> str:
        """Empty, since the inner model shows the process."""
        return ""

    @property
    def evaluations_per_call(self) -> int:  # noqa: D102 (documented on ScoreModel)
        return self.model.evaluations_per_call

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        nothing = {estimate_name(name): torch.zeros_like(batch[name]) for name in self.fields}
        if SELF_CONDITIONED not in batch:
            return self.model(replace(batch, {name: batch.get(name, zeros) for name, zeros in nothing.items()}), t)
        with torch.no_grad():
            first = self.model(replace(batch, nothing), t)
        torch.clear_autocast_cache()  # torch 2.6 would go on with its rounded weights, which have no gradients
        told = {
            estimate_name(name): torch.where(
                ops.broadcast(batch[SELF_CONDITIONED], field.index(batch))[:, None], first[name], 0.0
            )
            for name, field in self.fields.items()
        }
        return self.model(replace(batch, told), t)

    def describe(self) -> dict[str, Any]:  # noqa: D102 (documented on ScoreModel)
        model = self.model
        if type(model) is not Denoiser or not isinstance(model.network, SelfConditionedNetwork):
            return super().describe()
        return describe_denoiser(model.network, model.process)


def with_estimates(batch: Batch, x0_hat: Mapping[str, Tensor]) -> Batch:
    """Return a shallow copy of a batch with the last estimate of each field, for the next step of a sampler."""
    return replace(batch, {estimate_name(name): value.detach() for name, value in x0_hat.items()})


def is_self_conditioned(model: ScoreModel) -> bool:
    """Tell whether a model, guided or not, contains a :class:`SelfConditioning`."""
    return any(isinstance(module, SelfConditioning) for module in model.modules())


def drop_estimates(batch: Batch, model: ScoreModel) -> Batch:
    """Return a shallow copy of a batch without the estimates for a self-conditioned model."""
    carried = [name for name in map(estimate_name, model.fields) if name in batch]
    if not carried or not is_self_conditioned(model):
        return batch
    out = copy.copy(batch)
    for name in carried:
        del out[name]
    return out
