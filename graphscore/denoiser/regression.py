r"""Regression on clean data: the loss whose minimum is the denoiser ``E[x0 | xt]``.

Denoising score matching and flow matching are this loss with different coefficients ``c(t)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser.reduction import Reduce, reduce_graphs
from graphscore.fields import Field
from graphscore.linalg import kabsch as alignment
from graphscore.process import Coupling, ForwardProcess
from graphscore.rng import Generator
from graphscore.runtime.precision import double
from graphscore.sdes import SDE

Align = Literal["target", "noise"]
Weight = Callable[[SDE, Tensor], Tensor]
"""A function of SDE and times ``[B]`` that returns ``lambda(t)`` ``[B]``."""


def variance_weight(sde: SDE, t: Tensor) -> Tensor:
    r"""Variance weighting ``lambda(t) = std(t)^2``, for the loss ``|| std score + eps ||^2`` (Song and Ermon 2019).

    It is the inverse of the noise's mean squared score, and so it is for angles, where that is not ``1 / std^2`` (Jing
    et al. 2022).
    """
    return 1 / sde.score_variance(t)


def score_coefficient(weight: Weight) -> Weight:
    r"""Convert a weight of the score's squared error to a coefficient of the squared error of ``x0_hat``.

    The score is ``(alpha x0_hat - xt) / std^2``, so that ``lambda || score + eps / std ||^2`` is
    ``lambda alpha^2 / std^4 || x0_hat - x0 ||^2``.

    Args:
        weight: ``lambda(t)``.

    Returns:
        The coefficient as a function of SDE and times, in float64.
    """

    def coefficient(sde: SDE, t: Tensor) -> Tensor:
        sde.check_score()
        return weight(sde, t).double() * (sde.alpha(t) / sde.std(t) ** 2) ** 2

    return coefficient


def regress_data(
    estimate: Callable[[Batch, Tensor], Mapping[str, Tensor]],
    process: ForwardProcess,
    batch: Batch,
    t: Tensor,
    coefficient: Weight,
    *,
    eps: Mapping[str, Tensor] | None,
    align: Mapping[str, Align] | None,
    reduce: Reduce,
    generator: Generator,
) -> dict[str, Tensor]:
    r"""Compute the regression loss of the posterior mean on clean data, ``c(t) || x0_hat - x0 ||^2``, with fresh noise.

    Alignment is for positions that are defined only up to a rigid motion:

    - ``"target"``: x0 is superposed on x0_hat by rotation and translation, so that the loss is its minimum over rigid
      motions. The motion is held fixed for the gradient, which is exact, since the loss is stationary at the minimum.
      Only the shape is learned then: x0_hat need not have the orientation of xt.
    - ``"noise"``: the noise is rotated onto x0 before both are mixed, so that paths between them are short. Noise
      rotated by a fixed rotation has the same distribution, whatever its covariance. Rotated onto the data, it keeps
      this distribution if all orientations of the data are equally likely, as they are for an equivariant model. The
      velocity then belongs to a flow between the same ends, but ``score`` is no longer the score: sample by the flow.

    Args:
        estimate: Called as ``estimate(batch, t)``, such as a score model; returns ``x0_hat`` of each field.
        process: The forward process.
        batch: Clean data; neither changed nor copied, apart from the fields.
        t: One time per graph, shape ``[B]``.
        coefficient: ``c(t)`` ``[B]`` as a function of SDE and times, in float64.
        eps: White noise of each field instead of random noise, ``[rows, width]``.
        align: Kind of alignment by field; none by default.
        reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.
        generator: Source of the noise.

    Returns:
        One loss per graph for each field, shape ``[B]``.

    Raises:
        ValueError: If the times, a field or a noise have another shape than expected, or ``align`` names an unknown
            field or alignment.

    References:
        Abramson et al. (2024), Accurate structure prediction of biomolecular interactions with AlphaFold 3, supplement,
        equation 2 and algorithm 28 (aligned targets).
        Hassan et al. (2024), ET-Flow: equivariant flow-matching for molecular conformer generation (aligned noise).
    """
    align = _check_alignment(align, process.fields)
    noisy, clean, _ = process.perturb(batch, t, eps, generator, _turn_noise(batch, align))
    estimates, losses = estimate(noisy, t), {}
    for field, sde in process:
        index, x0, x0_hat = field.index(batch), clean[field.name], estimates[field.name]
        if align.get(field.name) == "target":
            x0 = alignment.align(x0, x0_hat.detach(), index, batch.num_graphs)
        per_graph = reduce_graphs(torch.square(x0_hat - x0), index, batch.num_graphs, reduce)
        losses[field.name] = coefficient(sde, t).to(per_graph) * per_graph
    return losses


def _turn_noise(batch: Batch, align: Mapping[str, Align]) -> Coupling:
    """Make the coupling that rotates noise onto clean data, about the origin, for fields aligned by ``"noise"``."""

    def couple(field: Field, x0: Tensor, noise: Tensor) -> Tensor:
        if align.get(field.name) != "noise":
            return noise
        index = field.index(batch)
        # In float64, which autocast to a lower precision does not touch.
        wide = double(noise)
        index = index.to(wide.device)
        rotation = ops.broadcast(alignment.kabsch(wide, double(x0), index, batch.num_graphs), index)
        return torch.einsum("nij,nj->ni", rotation, wide).to(noise)

    return couple


def _check_alignment(align: Mapping[str, Align] | None, fields: Mapping[str, Field]) -> Mapping[str, Align]:
    align = align or {}
    for name, way in align.items():
        if name not in fields:
            raise ValueError(f"align names the field {name!r}, but the process has {sorted(fields)}")
        if way not in ("target", "noise"):
            raise ValueError(f"align of field {name!r} must be 'target' or 'noise', but is {way!r}")
        if fields[name].periodic:
            raise ValueError(f"The angles {name!r} have no rotation to align: align is for fields of positions")
    return align
