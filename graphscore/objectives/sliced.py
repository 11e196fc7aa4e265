"""Sliced score matching: implicit score matching with the trace estimated along random directions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import Score, ScoreModel
from graphscore.denoiser.reduction import Reduce, reduce_sums
from graphscore.fields import Field
from graphscore.linalg.divergence import Projection, projected_divergence, random_directions
from graphscore.objectives.implicit import score_function
from graphscore.objectives.weights import Weight, weigh
from graphscore.process import check_times
from graphscore.rng import Generator
from graphscore.runtime.precision import unrounded


def sliced_score_matching(
    model: Score,
    batch: Batch,
    t: Tensor,
    *,
    num_projections: int = 1,
    projection: Projection = "rademacher",
    variance_reduction: bool = False,
    weight: Weight | None = None,
    reduce: Reduce,
    generator: Generator = None,
) -> dict[str, Tensor]:
    r"""Compute the sliced score matching loss ``lambda(t) (1/2 (v^T score)^2 + v^T (d score / d x) v)``.

    Its mean over random directions v is the implicit loss. A direction has an entry for each row and column of a graph,
    and lies in the subspace of a zero-mean field. The loss costs one evaluation of the model for each field, and one
    backward pass for each direction (all graphs of the batch at once); its gradient needs a second backward pass.

    Args:
        model: The score; graphs of a batch must not influence each other.
        batch: Samples of ``p_t`` in units of the fields' scales: noisy batches of any origin, or clean ones.
        t: One time per graph, shape ``[B]``, an input of the model.
        num_projections: Number of directions to average over.
        projection: ``"rademacher"`` or ``"gaussian"``.
        variance_reduction: Whether to use ``|| score ||^2``, the mean of ``(v^T score)^2``.
        weight: ``lambda(t)`` as a function of SDE and times; 1 by default.
        reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.
        generator: Source of the directions.

    Returns:
        One loss per graph for each field, shape ``[B]``.

    Raises:
        ValueError: If there is not one time per graph, a weight without a process, or no such kind of direction.

    References:
        Song, Garg, Shi and Ermon (2019), Sliced score matching: a scalable approach to density and score estimation,
        section 3 (SSM, and SSM-VR by ``variance_reduction``).
    """
    check_times(batch, t)
    losses = {}
    for name, field in model.fields.items():
        index, x = field.index(batch), batch[name]
        directions = _directions(field, batch, num_projections, projection, generator)
        score, curvature = projected_divergence(
            score_function(model, batch, t, field), x, directions, index, batch.num_graphs, torch.is_grad_enabled()
        )
        length = _squared_length(score[None], directions, index, batch.num_graphs, variance_reduction)
        losses[name] = reduce_sums((length / 2 + curvature).mean(0), index, x.shape[1], reduce)
    return weigh(losses, model, t, weight)


def finite_difference_sliced_score_matching(
    model: Score,
    batch: Batch,
    t: Tensor,
    *,
    step: float = 1e-2,
    num_projections: int = 1,
    projection: Projection = "rademacher",
    variance_reduction: bool = False,
    weight: Weight | None = None,
    reduce: Reduce,
    generator: Generator = None,
) -> dict[str, Tensor]:
    r"""Compute the sliced score matching loss by finite differences, without second derivatives.

    ``lambda(t) (1/2 (v^T s)^2 + v^T (s+ - s-) / (2 h))`` with ``s+- = score(x +- h v)`` and ``s = (s+ + s-) / 2``: two
    evaluations of the model for each random direction v and field, and an error of order h^2; see
    :func:`sliced_score_matching`. Scores at time t vary over the length std(t), so that ``h = step std(t)``; models
    without a process have ``h = step``, in units of the scales. The model is evaluated in full precision, also within
    autocast.

    Args:
        model: The score; graphs of a batch must not influence each other.
        batch: Samples of ``p_t`` in units of the fields' scales: noisy batches of any origin, or clean ones.
        t: One time per graph, shape ``[B]``, an input of the model.
        step: Relative step. The truncation error grows with its square, the rounding error with its inverse.
        num_projections: Number of directions to average over.
        projection: ``"rademacher"`` or ``"gaussian"``.
        variance_reduction: Whether to use ``|| s ||^2``, the mean of ``(v^T s)^2``.
        weight: ``lambda(t)`` as a function of SDE and times; 1 by default.
        reduce: ``"sum"`` or ``"mean"`` over the rows and columns of a graph.
        generator: Source of the directions.

    Returns:
        One loss per graph for each field, shape ``[B]``.

    Raises:
        ValueError: If there is not one time per graph, a weight without a process, no such kind of direction, or the
            step is not positive.

    References:
        Pang et al. (2020), Efficient learning of generative models via finite-difference score matching, section 4.
    """
    check_times(batch, t)
    if not step > 0:
        raise ValueError(f"step must be positive, but is {step}")
    sdes = {field.name: sde for field, sde in model.process} if isinstance(model, ScoreModel) else {}
    losses = {}
    for name, field in model.fields.items():
        index, x = field.index(batch), batch[name]
        function = score_function(model, batch, t, field)
        h = step * (sdes[name].std(t) if sdes else torch.ones_like(t, dtype=torch.float64))
        directions = _directions(field, batch, num_projections, projection, generator)
        moves = ops.per_row(h, x, index) * directions
        # Rounding errors are divided by the step, and would dominate in lower precision.
        with unrounded(x.device):
            ahead, behind = (torch.stack([function(x + move) for move in side]) for side in (moves, -moves))
        score = (ahead + behind) / 2
        length = _squared_length(score, directions, index, batch.num_graphs, variance_reduction)
        rise = _inner(directions, ahead - behind, index, batch.num_graphs) / (2 * h).to(x)
        losses[name] = reduce_sums((length / 2 + rise).mean(0), index, x.shape[1], reduce)
    return weigh(losses, model, t, weight)


def _directions(field: Field, batch: Batch, count: int, projection: Projection, generator: Generator) -> Tensor:
    """Directions in the field's space, ``[M, rows, width]``."""
    index = field.index(batch)
    directions = random_directions(
        batch[field.name], index, batch.num_graphs, count=count, projection=projection, generator=generator
    )
    return torch.stack([field.project(direction, index, batch.num_graphs) for direction in directions])


def _squared_length(score: Tensor, directions: Tensor, index: Tensor, num_graphs: int, exact: bool) -> Tensor:
    """``|| score ||^2`` of each graph, or its estimates ``(v^T score)^2``; arguments as in :func:`_inner`."""
    if exact:
        return _inner(score, score, index, num_graphs)
    return _inner(directions, score, index, num_graphs) ** 2


def _inner(x: Tensor, y: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    """Inner products of rows ``[M, rows, width]`` over each graph, ``[M, B]``; M may be 1 in one of the two."""
    return ops.sum((x * y).sum(-1).T, index, num_graphs).T
