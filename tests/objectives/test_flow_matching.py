from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore import ops
from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.objectives import denoising_score_matching, flow_matching
from graphscore.process import ForwardProcess
from graphscore.sdes import SDES, RectifiedSDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.05, 0.5, 0.2, 0.95, 0.3, 0.7], dtype=torch.float64)

pytestmark = pytest.mark.exact


@pytest.fixture(params=SDES)
def setting(request, egnn_network):
    """A model, clean data, their noisy version and its parts; coefficients in the rows' shape."""
    sde = SDES[request.param]()
    model = Denoiser(egnn_network(), ForwardProcess({Field("pos", zero_mean=True): sde}))
    batch = ragged_batch(SIZES)
    white = {"pos": torch.randn_like(batch.pos)}
    noisy, x0, noise = model.process.perturb(batch, T, white)
    return sde, model, batch, white, noisy, x0["pos"], noise["pos"]


def per_graph(residual):
    return torch.stack([rows.square().sum() for rows in residual.split(SIZES)])


def test_the_velocity_is_regressed_on_that_of_single_paths(setting):
    sde, model, batch, white, noisy, x0, noise = setting
    target = sde.alpha_rate(T)[batch.batch, None] * x0 + sde.std_rate(T)[batch.batch, None] * noise
    loss = flow_matching(model, batch, T, eps=white, reduce="sum")["pos"]
    assert_close(loss, per_graph(model.velocity(noisy, T)["pos"] - target), rtol=1e-8, atol=1e-12)
    mean = flow_matching(model, batch, T, eps=white, reduce="mean")["pos"]
    assert_close(mean, loss / (3 * torch.tensor(SIZES).clamp(min=1)))


def test_the_path_has_this_velocity(setting):
    """The target is the derivative of ``xt = alpha x0 + std eps``, by differences."""
    _, model, batch, white, *_ = setting
    ahead, behind = (model.process.perturb(batch, T + h, white).batch.pos for h in (1e-6, -1e-6))
    zero = GaussianScore(model.process, std=0.0)
    noisy = model.process.perturb(batch, T, white).batch
    loss = flow_matching(zero, batch, T, eps=white, reduce="sum")["pos"]
    assert_close(loss, per_graph(zero.velocity(noisy, T)["pos"] - (ahead - behind) / 2e-6), rtol=1e-5, atol=1e-6)


def test_clean_data_are_regressed_on_clean_data(setting):
    _, model, batch, white, noisy, x0, _ = setting
    loss = flow_matching(model, batch, T, target="data", eps=white, reduce="sum")["pos"]
    assert_close(loss, per_graph(model(noisy, T)["pos"] - x0), rtol=1e-12, atol=0)


def test_it_is_denoising_with_another_weight(setting):
    _, model, batch, white, *_ = setting

    def of_velocity(sde, t):
        to_score = sde.std(t) ** 2 / sde.alpha(t)
        return (to_score * (sde.alpha_rate(t) - sde.alpha(t) * sde.std_rate(t) / sde.std(t))) ** 2

    def of_data(sde, t):
        return (sde.std(t) ** 2 / sde.alpha(t)) ** 2

    for target, weight in (("velocity", of_velocity), ("data", of_data)):
        flow = flow_matching(model, batch, T, target=target, eps=white, reduce="sum")["pos"]
        denoising = denoising_score_matching(model, batch, T, weight=weight, eps=white, reduce="sum")["pos"]
        assert_close(flow, denoising, rtol=1e-12, atol=0)
        gradients = [
            torch.autograd.grad(loss.sum(), list(model.parameters()), allow_unused=True, materialize_grads=True)
            for loss in (flow, denoising)
        ]
        assert_close(*gradients, rtol=1e-9, atol=1e-9)


def test_a_weight_is_a_factor(setting):
    _, model, batch, white, *_ = setting
    one, two = (
        flow_matching(model, batch, T, eps=white, weight=weight, reduce="sum")["pos"]
        for weight in (None, lambda sde, t: t.float())
    )
    assert_close(two, T.float().double() * one)


def test_on_the_straight_path_noise_minus_data_is_the_velocity():
    field = Field("x")
    model = GaussianScore(ForwardProcess({field: RectifiedSDE()}), std=0.4)
    batch = ragged_batch(SIZES)
    noise = torch.randn_like(batch.x)
    noisy = model.process.perturb(batch, T, {"x": noise}).batch
    loss = flow_matching(model, batch, T, eps={"x": noise}, reduce="sum")["x"]
    residual = model.velocity(noisy, T)["x"] - (noise - batch.x)
    assert_close(loss, ops.sum(residual.square().sum(-1), batch.batch, 7))


def test_other_targets_are_refused():
    model = GaussianScore(ForwardProcess({Field("pos"): RectifiedSDE()}))
    with pytest.raises(ValueError, match="'velocity' or 'data', but is 'noise'"):
        flow_matching(model, ragged_batch(SIZES), T, target="noise", reduce="sum")
