"""Implicit score matching: no target and no noise kernel are needed, only samples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import Field, replace
from graphscore.objectives.reduction import Reduce, reduce_graphs
from graphscore.process import check_times


def implicit_score_matching(model: ScoreModel, batch: Batch, t: Tensor, *, reduce: Reduce) -> dict[str, Tensor]:
    r"""Match scores by parts: ``1/2 || score ||^2 + trace(d score / d x)``.

    Its mean over samples equals that of the explicit loss up to a constant. The trace is exact: it costs one backward
    pass for each row and column of the largest graph (all graphs of the batch at once), so this is for small graphs.
    Gradients flow through it to the model's parameters.

    Args:
        model: The score model.
        batch: Samples of ``p_t`` in units of the fields' scales: noisy batches of any origin, or clean ones.
        t: One time per graph, shape ``[B]``, told to the model.
        reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.

    Returns:
        One loss per graph for each field, shape ``[B]``.

    Raises:
        ValueError: If there is not one time per graph.

    References:
        Hyvarinen (2005), Estimation of non-normalized statistical models by score matching, theorem 1 and equation 4.
    """
    check_times(batch, t)
    losses = {}
    for field, _ in model.process:
        score, diagonal = score_divergence(model, batch, t, field)
        losses[field.name] = reduce_graphs(
            torch.square(score) / 2 + diagonal, field.index(batch), batch.num_graphs, reduce
        )
    return losses


def score_divergence(model: ScoreModel, batch: Batch, t: Tensor, field: Field) -> tuple[Tensor, Tensor]:
    r"""Differentiate a field's score by the field: the score and the diagonal of its Jacobian.

    In a zero-mean field the derivative is taken within the centre-free subspace, so that the diagonal sums to the trace
    there.

    Args:
        model: The score model; graphs of a batch must not influence each other.
        batch: A batch at time ``t``.
        t: One time per graph, shape ``[B]``.
        field: Which field.

    Returns:
        The score and the diagonal, both ``[rows, width]`` and differentiable.
    """
    index = field.index(batch)
    rows = ops.count(index, batch.num_graphs)
    local = torch.arange(len(index), device=index.device) - ops.broadcast(rows.cumsum(0) - rows, index)
    with torch.enable_grad():
        x = batch[field.name].detach().requires_grad_()
        inside = field.project(x, index, batch.num_graphs)
        score = model.score(replace(batch, {field.name: inside}), t)[field.name]
        diagonal = torch.zeros_like(score)
        if not score.requires_grad:
            return score, diagonal
        for row in range(int(rows.max()) if len(rows) else 0):
            here = (local == row).to(score.dtype)[:, None]
            for column in range(score.shape[1]):
                one_hot = torch.zeros_like(score)
                one_hot[:, column : column + 1] = here
                (gradient,) = torch.autograd.grad(
                    score, x, one_hot, create_graph=True, allow_unused=True, materialize_grads=True
                )
                diagonal = diagonal + one_hot * gradient
    return score, diagonal
