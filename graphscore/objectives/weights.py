r"""Loss weights as functions of time: the factor ``lambda(t)`` of the squared error of the score."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from graphscore.denoiser import Score, ScoreModel
from graphscore.denoiser.regression import Weight, variance_weight
from graphscore.sdes import SDE, CircleSDE


def likelihood_weight(sde: SDE, t: Tensor) -> Tensor:
    r"""Likelihood weighting ``lambda(t) = g(t)^2``, with which the loss bounds the negative log-likelihood.

    The bound (Song, Durkan, Murray and Ermon 2021) holds for isotropic noise, not for noise with a covariance C.
    """
    return sde.diffusion(t) ** 2


def edm_weight(sde: SDE, t: Tensor) -> Tensor:
    r"""EDM weighting ``lambda(t) = std^2 (alpha^2 + std^2) / alpha^2``.

    The error of the network has the same weight at all noise levels. For data of unit variance and isotropic noise the
    loss is ``|| x0_hat - x0 ||^2 / c_out^2`` (Karras et al. 2022, table 1). For angles, that is
    :func:`variance_weight`.
    """
    if isinstance(sde, CircleSDE):
        return variance_weight(sde, t)
    alpha, std = sde.alpha(t), sde.std(t)
    return std**2 * (alpha**2 + std**2) / alpha**2


def min_snr_weight(sde: SDE, t: Tensor, gamma: float = 5.0) -> Tensor:
    r"""Min-SNR weighting ``lambda(t) = std^2 min(1, gamma / SNR)``.

    The loss becomes ``min(SNR, gamma) || x0_hat - x0 ||^2``, with the signal-to-noise ratio ``SNR = alpha^2 / std^2``.
    Low noise levels, where it is large, have less weight than by :func:`variance_weight`.

    Args:
        sde: The noise process.
        t: Times, any shape.
        gamma: Largest signal-to-noise ratio that adds weight.

    References:
        Hang et al. (2023), Efficient diffusion training via min-SNR weighting strategy.
    """
    alpha, std = sde.alpha(t), sde.std(t)
    return variance_weight(sde, t) * (gamma * (std / alpha) ** 2).clamp(max=1)


WEIGHTS: dict[str, Weight] = {
    "variance": variance_weight,
    "likelihood": likelihood_weight,
    "edm": edm_weight,
    "min-snr": min_snr_weight,
}
"""Weights of the loss by the name that configurations use."""


def weigh(losses: Mapping[str, Tensor], model: Score, t: Tensor, weight: Weight | None) -> dict[str, Tensor]:
    """Multiply the losses of each field, ``[B]``, by their weight; ``None`` is 1.

    Raises:
        ValueError: If there is a weight, but the model has no process.
    """
    if weight is None:
        return dict(losses)
    if not isinstance(model, ScoreModel):
        raise ValueError(
            f"A weight is a function of the process, which a {type(model).__name__} lacks: leave the weight out"
        )
    return {field.name: weight(sde, t).to(losses[field.name]) * losses[field.name] for field, sde in model.process}
