"""Explicit score matching, for data with a known score."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import Score
from graphscore.denoiser.reduction import Reduce, reduce_graphs
from graphscore.objectives.weights import Weight, weigh
from graphscore.process import check_times


def explicit_score_matching(
    model: Score,
    batch: Batch,
    t: Tensor,
    target: Mapping[str, Tensor] | Score,
    *,
    weight: Weight | None = None,
    reduce: Reduce,
) -> dict[str, Tensor]:
    r"""Compute the explicit score matching loss ``lambda(t) / 2 || score(xt, t) - grad log p_t(xt) ||^2``.

    Args:
        model: The score.
        batch: Samples of ``p_t``, as from :meth:`ForwardProcess.perturb`, in units of the fields' scales.
        t: One time per graph, shape ``[B]``.
        target: True score of each field, ``[rows, width]``, or an exact model that computes it.
        weight: ``lambda(t)`` as a function of SDE and times; 1 by default.
        reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.

    Returns:
        One loss per graph for each field, shape ``[B]``.

    Raises:
        ValueError: If there is not one time per graph, or a weight without a process.

    References:
        Hyvarinen (2005), Estimation of non-normalized statistical models by score matching, equation 2.
    """
    check_times(batch, t)
    if isinstance(target, Score):
        with torch.no_grad():
            target = target.score(batch, t)
    scores = model.score(batch, t)
    losses = {
        name: reduce_graphs(torch.square(scores[name] - target[name]) / 2, field.index(batch), batch.num_graphs, reduce)
        for name, field in model.fields.items()
    }
    return weigh(losses, model, t, weight)
