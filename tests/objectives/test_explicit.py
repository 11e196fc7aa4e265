from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore.fields import Field
from graphscore.objectives import explicit_score_matching
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.01, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


def test_the_exact_score_has_no_loss():
    model = GaussianScore(ForwardProcess({Field("pos"): VESDE()}))
    batch = ragged_batch(SIZES)
    assert explicit_score_matching(model, batch, T, model.score(batch, T), reduce="sum")["pos"].tolist() == [0.0] * 7


def test_half_the_squared_distance_per_graph():
    process = ForwardProcess({Field("pos"): VESDE(), Field("y", "graph"): VESDE()})
    model, batch = GaussianScore(process), ragged_batch(SIZES)
    target = {name: torch.randn_like(batch[name]) for name in ("pos", "y")}
    losses = explicit_score_matching(model, batch, T, target, reduce="sum")
    scores = model.score(batch, T)
    for name, sizes in (("pos", SIZES), ("y", [1] * 7)):
        parts = (scores[name] - target[name]).split(sizes)
        assert_close(losses[name], torch.stack([part.square().sum() / 2 for part in parts]))
    means = explicit_score_matching(model, batch, T, target, reduce="mean")
    assert_close(means["pos"], losses["pos"] / (3 * torch.tensor(SIZES).clamp(min=1)))


def test_expected_loss_of_a_linear_score_has_its_closed_form(cubature, linear_score):
    """Per dimension ``1/2 (1/sqrt(v) - a sqrt(v))^2``, plus ``1/2 a^2 ||b||^2`` for a shifted center."""
    zero_mean = cubature.dimension < cubature.x0[0].numel()
    process = ForwardProcess({Field("pos", zero_mean=zero_mean): VESDE()})
    exact, model = GaussianScore(process, std=0.7), linear_score(process, a=0.8, b=0.0)
    t = torch.full((cubature.num_graphs,), 0.3, dtype=torch.float64)
    noisy = process.perturb(cubature.batch(0.0, 0.7), t, cubature.noise).batch
    loss = explicit_score_matching(model, noisy, t, exact.score(noisy, t), reduce="sum")["pos"].mean()
    v = float(exact.marginal_std(process.fields["pos"], t[0])) ** 2
    nodes, dim = cubature.x0[0].shape
    shift = torch.tensor([0.0, 0.3, -0.1]).double()[:dim].square().sum() * (1 - 1 / nodes if zero_mean else 1)
    expected = cubature.dimension * (v**-0.5 - 0.8 * v**0.5) ** 2 / 2 + 0.8**2 * float(shift) / 2
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-7)


def test_times_are_checked():
    model = GaussianScore(ForwardProcess({Field("pos"): VESDE()}))
    batch = ragged_batch(SIZES)
    with pytest.raises(ValueError, match="one time per graph"):
        explicit_score_matching(model, batch, T[0], {"pos": batch.pos}, reduce="sum")


def test_an_exact_model_is_asked_for_the_target_and_not_trained(linear_score):
    process = ForwardProcess({Field("pos", zero_mean=True): VESDE()})
    model, target, batch = linear_score(process), linear_score(process, a=0.2), ragged_batch(SIZES)
    loss = explicit_score_matching(model, batch, T, target, reduce="sum")["pos"]
    assert_close(loss, explicit_score_matching(model, batch, T, target.score(batch, T), reduce="sum")["pos"])
    loss.sum().backward()
    assert all(p.grad is None for p in target.parameters()) and all(p.grad is not None for p in model.parameters())
