"""Flow matching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel, velocity_coefficients
from graphscore.denoiser.reduction import Reduce
from graphscore.denoiser.regression import Align, regress_data
from graphscore.objectives.weights import Weight
from graphscore.rng import Generator
from graphscore.sdes import SDE


def flow_matching(
    model: ScoreModel,
    batch: Batch,
    t: Tensor,
    *,
    target: Literal["velocity", "data"] = "velocity",
    eps: Mapping[str, Tensor] | None = None,
    align: Mapping[str, Align] | None = None,
    weight: Weight | None = None,
    reduce: Reduce,
    generator: Generator = None,
) -> dict[str, Tensor]:
    r"""Compute the flow matching loss ``|| velocity(xt, t) - (alpha' x0 + std' eps) ||^2``.

    Time runs from data to noise. With ``target="data"`` it is ``|| x0_hat - x0 ||^2``, the regression on the clean end
    of the path. As ``velocity = (std' / std) xt + (alpha' - alpha std' / std) x0_hat``, either is denoising score
    matching with another weight.

    Args:
        model: The score model.
        batch: Clean data; neither changed nor copied, apart from the fields.
        t: One time per graph, shape ``[B]``.
        target: ``"velocity"`` or ``"data"``.
        eps: White noise of each field instead of random noise, ``[rows, width]``; the process applies its covariance.
        align: ``"target"`` or ``"noise"`` for fields of positions; see
            :func:`~graphscore.denoiser.regression.regress_data`.
        weight: Factor of this loss as a function of SDE and times; 1 by default.
        reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.
        generator: Source of the noise.

    Returns:
        One loss per graph for each field, shape ``[B]``.

    Raises:
        ValueError: If the times, a field or a noise have another shape than expected, ``align`` names no field, or
            there is no such target.

    References:
        Lipman et al. (2023), Flow matching for generative modeling, equation 9.
        Liu, Gong and Liu (2023), Flow straight and fast: learning to generate and transfer data with rectified flow,
        equation 1.
    """
    if target not in ("velocity", "data"):
        raise ValueError(f"target must be 'velocity' or 'data', but is {target!r}")

    def coefficient(sde: SDE, t: Tensor) -> Tensor:
        factor = torch.ones_like(t, dtype=torch.float64) if weight is None else weight(sde, t).double()
        return factor if target == "data" else factor * velocity_coefficients(sde, t)[1] ** 2

    return regress_data(
        model, model.process, batch, t, coefficient, eps=eps, align=align, reduce=reduce, generator=generator
    )
