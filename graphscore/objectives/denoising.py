"""Denoising score matching."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.denoiser.reduction import Reduce
from graphscore.denoiser.regression import Align, Weight, regress_data, score_coefficient, variance_weight
from graphscore.rng import Generator


def denoising_score_matching(
    model: ScoreModel,
    batch: Batch,
    t: Tensor,
    *,
    eps: Mapping[str, Tensor] | None = None,
    align: Mapping[str, Align] | None = None,
    weight: Weight = variance_weight,
    reduce: Reduce,
    generator: Generator = None,
) -> dict[str, Tensor]:
    r"""Compute the denoising score matching loss ``lambda(t) || score(xt, t) + eps / std(t) ||^2``.

    It is computed as ``lambda alpha^2 / std^4 || x0_hat - x0 ||^2``, which is the same, but finite also where
    ``alpha = 0``. With ``reduce="sum"`` and the default weight it is, per graph, the sum over rows and columns of
    ``(std score + eps)^2``.

    If the noise has a covariance C, the error of the score is multiplied by C: the loss with the default weight is
    ``|| std C score + C^(1/2) z ||^2``. Modes are then weighted by the square of the variance of their noise; the
    minimum is the same.

    Args:
        model: The score model.
        batch: Clean data; neither changed nor copied, apart from the fields.
        t: One time per graph, shape ``[B]``.
        eps: White noise of each field instead of random noise, ``[rows, width]``.
        align: ``"target"`` or ``"noise"`` for fields of positions; see
            :func:`~graphscore.denoiser.regression.regress_data`.
        weight: ``lambda(t)`` as a function of SDE and times, see ``WEIGHTS``.
        reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.
        generator: Source of the noise.

    Returns:
        One loss per graph for each field, shape ``[B]``.

    Raises:
        ValueError: If the times, a field or a noise have another shape than expected, or ``align`` names no field.

    References:
        Vincent (2011), A connection between score matching and denoising autoencoders, equation 11.
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 7.
    """
    return regress_data(
        model, model.process, batch, t, score_coefficient(weight),
        eps=eps, align=align, reduce=reduce, generator=generator,
    )  # fmt: skip
