"""Implicit score matching, which needs only samples, without a target or a noise kernel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import Score
from graphscore.denoiser.reduction import Reduce, reduce_graphs
from graphscore.fields import Field, replace
from graphscore.linalg.autograd import check_differentiable, differentiable, outside_inference_mode
from graphscore.linalg.divergence import RowFunction, jacobian_diagonal
from graphscore.objectives.weights import Weight, weigh
from graphscore.process import check_times


def implicit_score_matching(
    model: Score, batch: Batch, t: Tensor, *, weight: Weight | None = None, reduce: Reduce
) -> dict[str, Tensor]:
    r"""Compute the implicit score matching loss ``lambda(t) (1/2 || score ||^2 + trace(d score / d x))``.

    By integration by parts, its mean over samples equals that of the explicit loss up to a constant. The trace is
    exact: it costs one backward pass for each row and column of the largest graph (all graphs of the batch at once), so
    this is for small graphs; :func:`sliced_score_matching` costs one. The loss can be differentiated by the model's
    parameters.

    Args:
        model: The score.
        batch: Samples of ``p_t`` in units of the fields' scales: noisy batches of any origin, or clean ones.
        t: One time per graph, shape ``[B]``, an input of the model.
        weight: ``lambda(t)`` as a function of SDE and times; 1 by default.
        reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.

    Returns:
        One loss per graph for each field, shape ``[B]``.

    Raises:
        ValueError: If there is not one time per graph, or a weight without a process.

    References:
        Hyvarinen (2005), Estimation of non-normalized statistical models by score matching, theorem 1 and equation 4.
    """
    check_times(batch, t)
    losses = {}
    for name, field in model.fields.items():
        score, diagonal = score_divergence(model, batch, t, field)
        losses[name] = reduce_graphs(torch.square(score) / 2 + diagonal, field.index(batch), batch.num_graphs, reduce)
    return weigh(losses, model, t, weight)


def score_divergence(model: Score, batch: Batch, t: Tensor, field: Field) -> tuple[Tensor, Tensor]:
    r"""Compute a field's score and the diagonal of its Jacobian with respect to the field.

    In a zero-mean field the derivative is taken within the centre-free subspace: the sum of the diagonal is the trace
    in it.

    Args:
        model: The score; graphs of a batch must not influence each other.
        batch: A batch at time ``t``.
        t: One time per graph, shape ``[B]``.
        field: The field.

    Returns:
        The score and the diagonal, both ``[rows, width]``; differentiable where gradients are enabled.
    """
    return jacobian_diagonal(
        score_function(model, batch, t, field),
        batch[field.name],
        field.index(batch),
        batch.num_graphs,
        create_graph=torch.is_grad_enabled(),
    )


def score_function(model: Score, batch: Batch, t: Tensor, field: Field) -> RowFunction:
    """Make the score of a field as a function of its rows ``[rows, width]``, projected onto the field's space."""
    check_differentiable(model)
    with outside_inference_mode():
        batch, t = differentiable(batch), differentiable(t)
    index = field.index(batch)

    def function(x: Tensor) -> Tensor:
        inside = field.project(x, index, batch.num_graphs)
        return model.score(replace(batch, {field.name: inside}), t)[field.name]

    return function
