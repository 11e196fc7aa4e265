from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore import ops
from graphscore.denoiser import Denoiser, ScoreAdapter
from graphscore.fields import Field, replace
from graphscore.objectives import explicit_score_matching, implicit_score_matching, score_divergence
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 2, 3, 0)
T = torch.tensor([0.9, 0.1, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


def make(network, zero_mean):
    field = Field("pos", zero_mean=zero_mean)
    process = ForwardProcess({field: VESDE()})
    batch = process.perturb(ragged_batch(SIZES), T).batch
    return Denoiser(network, process), batch, field


def jacobian(model, batch, field, create_graph=False):
    """The whole Jacobian of the batch, ``[N D, N D]``, in the field's space: ``P J P``."""

    def score(pos):
        inside = field.project(pos, batch.batch, batch.num_graphs)
        return model.score(replace(batch, {"pos": inside}), T)["pos"]

    matrix = torch.autograd.functional.jacobian(score, batch.pos, create_graph=create_graph)
    return matrix.flatten(2).flatten(0, 1)


@pytest.mark.parametrize("zero_mean", [False, True])
def test_divergence_equals_the_trace_of_the_whole_jacobian(egnn_network, zero_mean):
    model, batch, field = make(egnn_network(), zero_mean)
    score, diagonal = score_divergence(model, batch, T, field)
    assert_close(score, model.score(batch, T)["pos"])
    matrix = jacobian(model, batch, field)
    per_entry = matrix.diagonal().view(-1, 3)
    assert_close(ops.sum(diagonal, batch.batch, 7), ops.sum(per_entry, batch.batch, 7), rtol=1e-9, atol=1e-9)
    same_graph = (batch.batch[:, None] == batch.batch).repeat_interleave(3, 0).repeat_interleave(3, 1)
    assert (matrix[~same_graph] == 0).all() and (matrix[same_graph] != 0).any()


@pytest.mark.parametrize("zero_mean", [False, True])
def test_gradients_flow_through_the_trace(egnn_network, zero_mean):
    model, batch, field = make(egnn_network(), zero_mean)
    loss = implicit_score_matching(model, batch, T, reduce="sum")["pos"].sum()
    score = model.score(batch, T)["pos"]
    reference = score.square().sum() / 2 + jacobian(model, batch, field, create_graph=True).trace()
    assert_close(loss, reference, rtol=1e-9, atol=1e-9)
    parameters = list(model.parameters())
    gradients = [
        torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True) for value in (loss, reference)
    ]
    assert_close(*gradients, rtol=1e-8, atol=1e-8)
    assert sum(float(gradient.abs().sum()) for gradient in gradients[0]) > 0


@pytest.mark.parametrize("zero_mean", [False, True])
def test_the_trace_counts_the_dimensions_of_the_space(zero_mean):
    """The Jacobian of ``score = -x`` has the trace ``-n d``; ``-(n - 1) d`` in the centre-free subspace."""
    field = Field("pos", zero_mean=zero_mean)
    model = ScoreAdapter(lambda batch, t: -batch.pos, ForwardProcess({field: VESDE()}))
    batch = ragged_batch(SIZES)
    diagonal = score_divergence(model, batch, T, field)[1]
    trace = ops.sum(diagonal.sum(-1), batch.batch, 7)
    assert_close(trace, -3.0 * (torch.tensor(SIZES) - int(zero_mean)).clamp(min=0).double(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name, level, width", [("edge_attr", "edge", 2), ("y", "graph", 2)])
def test_other_levels(name, level, width):
    field = Field(name, level)
    model = ScoreAdapter(lambda batch, t: -(batch[name] ** 2), ForwardProcess({field: VESDE()}))
    batch = ragged_batch(SIZES)
    assert_close(score_divergence(model, batch, T, field)[1], -2 * batch[name])


def test_a_score_that_ignores_its_input_has_no_divergence():
    field = Field("pos")
    batch = ragged_batch(SIZES)
    for constant in (torch.ones(13 - 3, 3).double(), torch.ones(13 - 3, 3).double().requires_grad_()):
        model = ScoreAdapter(lambda batch, t, constant=constant: constant, ForwardProcess({field: VESDE()}))
        loss = implicit_score_matching(model, batch, T, reduce="mean")["pos"]
        assert_close(loss, torch.tensor([0, 0.5, 0.5, 0, 0.5, 0.5, 0]).double())


def test_implicit_is_explicit_minus_a_constant_exactly(cubature, vp, linear_score):
    """``E[1/2 ||s||^2 + tr grad s] = E[1/2 ||s - grad log p||^2] - d / (2 v)``, gradients too."""
    zero_mean = cubature.dimension < cubature.x0[0].numel()
    process = ForwardProcess({Field("pos", zero_mean=zero_mean): vp})
    exact, model = GaussianScore(process, std=0.7), linear_score(process)
    t = torch.full((cubature.num_graphs,), 0.4, dtype=torch.float64)
    noisy = process.perturb(cubature.batch(0.0, 0.7), t, cubature.noise).batch
    implicit = implicit_score_matching(model, noisy, t, reduce="sum")["pos"].mean()
    explicit = explicit_score_matching(model, noisy, t, exact.score(noisy, t), reduce="sum")["pos"].mean()
    constant = cubature.dimension / (2 * float(exact.marginal_std(process.fields["pos"], t[0])) ** 2)
    assert float((explicit - implicit).detach()) == pytest.approx(constant, rel=1e-10)
    parameters = list(model.parameters())
    assert_close(
        torch.autograd.grad(implicit, parameters), torch.autograd.grad(explicit, parameters), rtol=1e-10, atol=1e-10
    )


def test_works_without_gradients_and_changes_nothing(egnn_network):
    model, batch, _ = make(egnn_network(), True)
    before = batch.pos.clone()
    with torch.no_grad():
        loss = implicit_score_matching(model, batch, T, reduce="sum")["pos"]
    assert loss.shape == (7,) and loss.isfinite().all() and loss[[0, 3, 6]].tolist() == [0, 0, 0]
    assert torch.equal(batch.pos, before) and not batch.pos.requires_grad


def test_reduction_and_times_are_checked():
    model = GaussianScore(ForwardProcess({Field("pos"): VESDE()}))
    batch = ragged_batch(SIZES)
    total, mean = (implicit_score_matching(model, batch, T, reduce=reduce)["pos"] for reduce in ("sum", "mean"))
    assert_close(mean, total / (3 * torch.tensor(SIZES).clamp(min=1)))
    with pytest.raises(ValueError, match="one time per graph"):
        implicit_score_matching(model, batch, T[:2], reduce="sum")


def test_where_a_zero_mean_batch_lies_does_not_count():
    field = Field("pos", zero_mean=True)
    model = ScoreAdapter(lambda batch, t: -(batch.pos**3), ForwardProcess({field: VESDE()}))
    batch = ragged_batch(SIZES)
    moved = replace(batch, {"pos": batch.pos + 2.0})
    here, there = (implicit_score_matching(model, b, T, reduce="sum")["pos"] for b in (batch, moved))
    assert_close(here, there)
