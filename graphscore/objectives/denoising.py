"""Denoising score matching."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.generators import Generator
from graphscore.objectives.reduction import Reduce, reduce_graphs
from graphscore.sdes import SDE

Weight = Callable[[SDE, Tensor], Tensor]


def variance_weight(sde: SDE, t: Tensor) -> Tensor:
    r"""``lambda(t) = std(t)^2``: the loss becomes ``|| std score + eps ||^2`` (Song and Ermon 2019)."""
    return sde.std(t) ** 2


def likelihood_weight(sde: SDE, t: Tensor) -> Tensor:
    r"""``lambda(t) = g(t)^2``: the loss bounds the negative log-likelihood (Song, Durkan, Murray and Ermon 2021)."""
    return sde.diffusion(t) ** 2


def edm_weight(sde: SDE, t: Tensor) -> Tensor:
    r"""``lambda(t) = std^2 (alpha^2 + std^2) / alpha^2``: the network's own error counts alike at all levels.

    For data of unit variance this is ``|| x0_hat - x0 ||^2 / c_out^2`` (Karras et al. 2022, table 1).
    """
    alpha, std = sde.alpha(t), sde.std(t)
    return std**2 * (alpha**2 + std**2) / alpha**2


WEIGHTS: dict[str, Weight] = {"variance": variance_weight, "likelihood": likelihood_weight, "edm": edm_weight}


def denoising_score_matching(
    model: ScoreModel,
    batch: Batch,
    t: Tensor,
    *,
    eps: Mapping[str, Tensor] | None = None,
    weight: Weight = variance_weight,
    reduce: Reduce,
    generator: Generator = None,
) -> dict[str, Tensor]:
    r"""Regress the score on that of the perturbation kernel: ``lambda(t) || score(xt, t) + eps / std(t) ||^2``.

    With ``reduce="sum"`` and the default weight it is, per graph, the sum over rows and columns of
    ``(std score + eps)^2``.

    Args:
        model: The score model.
        batch: Clean data; neither changed nor copied, apart from the fields.
        t: One time per graph, shape ``[B]``.
        eps: Noise of each field instead of fresh noise, ``[rows, width]``.
        weight: ``lambda(t)`` as a function of SDE and times; named ones are in ``WEIGHTS``.
        reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.
        generator: Source of the noise.

    Returns:
        One loss per graph for each field, shape ``[B]``.

    Raises:
        ValueError: If the times, a field or a noise have another shape than expected.

    References:
        Vincent (2011), A connection between score matching and denoising autoencoders, equation 11.
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, equation 7.
    """
    noisy, _, noise = model.process.perturb(batch, t, eps, generator)
    scores, losses = model.score(noisy, t), {}
    for field, sde in model.process:
        index, score = field.index(batch), scores[field.name]
        std = ops.broadcast(sde.std(t).to(score), index)[:, None]
        ratio = (weight(sde, t) / sde.std(t) ** 2).to(score)
        per_graph = reduce_graphs(torch.square(std * score + noise[field.name]), index, batch.num_graphs, reduce)
        losses[field.name] = ratio * per_graph
    return losses
