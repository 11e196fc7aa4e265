r"""Weights: how much each time counts, as the factor ``lambda(t)`` of the squared error of the score."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from graphscore.denoiser import Score, ScoreModel
from graphscore.denoiser.regression import Weight, variance_weight
from graphscore.sdes import SDE


def likelihood_weight(sde: SDE, t: Tensor) -> Tensor:
    r"""``lambda(t) = g(t)^2``: the loss bounds the negative log-likelihood (Song, Durkan, Murray and Ermon 2021).

    The bound is that of unstructured noise: where noise has a covariance C of its own, modes count in another way.
    """
    return sde.diffusion(t) ** 2


def edm_weight(sde: SDE, t: Tensor) -> Tensor:
    r"""``lambda(t) = std^2 (alpha^2 + std^2) / alpha^2``: the network's own error counts alike at all levels.

    For data of unit variance and unstructured noise this is ``|| x0_hat - x0 ||^2 / c_out^2`` (Karras et al. 2022,
    table 1).
    """
    alpha, std = sde.alpha(t), sde.std(t)
    return std**2 * (alpha**2 + std**2) / alpha**2


def min_snr_weight(sde: SDE, t: Tensor, gamma: float = 5.0) -> Tensor:
    r"""``lambda(t) = std^2 min(1, gamma / SNR)``: the loss becomes ``min(SNR, gamma) || x0_hat - x0 ||^2``.

    The signal-to-noise ratio is ``SNR = alpha^2 / std^2``; low levels, where it is large, count less than by
    :func:`variance_weight`.

    References:
        Hang et al. (2023), Efficient diffusion training via min-SNR weighting strategy.
    """
    alpha, std = sde.alpha(t), sde.std(t)
    return std**2 * (gamma * (std / alpha) ** 2).clamp(max=1)


WEIGHTS: dict[str, Weight] = {
    "variance": variance_weight,
    "likelihood": likelihood_weight,
    "edm": edm_weight,
    "min-snr": min_snr_weight,
}


def weigh(losses: Mapping[str, Tensor], model: Score, t: Tensor, weight: Weight | None) -> dict[str, Tensor]:
    """Multiply the losses of each field, ``[B]``, by their weight; none is 1.

    Raises:
        ValueError: If there is a weight, but the model has no process of which it could be a function.
    """
    if weight is None:
        return dict(losses)
    if not isinstance(model, ScoreModel):
        raise ValueError(
            f"A weight is a function of the process, which a {type(model).__name__} lacks: leave the weight out"
        )
    return {field.name: weight(sde, t).to(losses[field.name]) * losses[field.name] for field, sde in model.process}
