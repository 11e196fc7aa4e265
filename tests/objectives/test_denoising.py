from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch_geometric.data import Batch, Data

from graphscore import ops, times
from graphscore.denoiser import Denoiser, ScoreAdapter
from graphscore.fields import Field
from graphscore.objectives import WEIGHTS, denoising_score_matching, explicit_score_matching, min_snr_weight
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.sdes import VESDE, CosineVPSDE, HarmonicSDE, RectifiedSDE
from graphscore.testing import GaussianMixtureScore, GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.01, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


@pytest.fixture(params=["ve", "vp"])
def sde(request, vp):
    return vp if request.param == "vp" else VESDE()


class UserNetwork(nn.Module):
    """A network of a user's own: outputs the score itself from node features and the time of each node's graph."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels + 1, 16), nn.SiLU(), nn.Linear(16, channels)).double()

    def forward(self, batch, t):
        return self.layers(torch.cat([batch.x, t[batch.batch, None]], dim=1))


class TestTheStudyNote:
    """Graphs of 30 nodes, features ``x``: the formula as first written down, with its tiling repaired."""

    graphs, channels = 7, 4

    def setup_method(self):
        generator = torch.Generator().manual_seed(0)
        self.batch = Batch.from_data_list(
            [Data(x=torch.randn(30, self.channels, generator=generator).double(),
                  edge_index=torch.zeros(2, 0, dtype=torch.long)) for _ in range(self.graphs)]
        )  # fmt: skip
        self.t = times.uniform(times.stratified(self.graphs, generator=generator))
        self.z = torch.randn(30 * self.graphs, self.channels, dtype=torch.float64, generator=generator)
        self.network = UserNetwork(self.channels)

    def formula(self, spread):
        """``mean over graphs of sum (score(x_t, t) s(t) + z)^2``, the std given to the nodes by ``spread``."""
        sigma = 25.0
        std = torch.sqrt((sigma ** (2 * self.t) - 1) / (2 * torch.log(torch.tensor(sigma).double())))
        std = spread(std).view(-1, 1)
        noisy = self.batch.clone()
        noisy.x = noisy.x + self.z * std
        per_graph = ((self.network(noisy, self.t) * std + self.z) ** 2).view(self.graphs, -1).sum(dim=1)
        return per_graph.mean()

    def test_the_loss_equals_the_repaired_formula_and_not_the_tiled_one(self):
        model = ScoreAdapter(self.network, ForwardProcess({Field("x"): VESDE(25.0)}))
        losses = denoising_score_matching(model, self.batch, self.t, eps={"x": self.z}, reduce="sum")
        loss = losses["x"].mean()
        repaired = self.formula(lambda std: std.repeat_interleave(30))
        tiled = self.formula(lambda std: std.repeat(1, 30))
        assert_close(loss, repaired, rtol=1e-12, atol=0)
        assert abs(float(loss.detach()) / float(tiled.detach()) - 1) > 1e-3
        gradients = [torch.autograd.grad(value, list(self.network.parameters())) for value in (loss, repaired)]
        assert_close(*gradients, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_a_batch_equals_its_graphs_one_by_one(egnn_network, reduce):
    process = ForwardProcess({Field("pos", zero_mean=True): VESDE()})
    model, batch = Denoiser(egnn_network(), process), ragged_batch(SIZES)
    together = denoising_score_matching(model, batch, T, reduce=reduce, generator=GraphGenerator(range(7)))["pos"]
    assert together.shape == (7,)
    for graph in range(7):
        alone = denoising_score_matching(
            model, Batch.from_data_list([batch[graph]]), T[graph : graph + 1], reduce=reduce,
            generator=GraphGenerator([graph]),
        )["pos"]  # fmt: skip
        assert_close(together[graph : graph + 1], alone, rtol=1e-10, atol=1e-12)
    assert together[[0, 3, 6]].tolist() == [0, 0, 0] and (together[[1, 4, 5]] > 0).all()


def test_an_empty_last_graph_leaves_finite_gradients(egnn_network):
    model = Denoiser(egnn_network(), ForwardProcess({Field("pos", zero_mean=True): VESDE()}))
    denoising_score_matching(model, ragged_batch(SIZES), T, reduce="mean")["pos"].mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", ["zero", "exact"])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_double_the_noise_four_times_the_loss(sde, kind, reduce):
    process = ForwardProcess({Field("pos"): sde})
    zero = ScoreAdapter(lambda batch, t: torch.zeros_like(batch.pos), process)
    model = zero if kind == "zero" else GaussianScore(process)
    batch = ragged_batch(SIZES)
    eps = {"pos": torch.randn_like(batch.pos)}
    batch.pos = torch.zeros_like(batch.pos)
    one, two = (
        denoising_score_matching(model, batch, T, eps=noise, reduce=reduce)["pos"]
        for noise in (eps, {"pos": 2 * eps["pos"]})
    )
    assert_close(two, 4 * one, rtol=1e-13, atol=0)
    assert (one[1:3] > 0).all()
    if kind == "zero" and reduce == "sum":
        assert_close(one, torch.stack([e.square().sum() for e in eps["pos"].split(SIZES)]))


def test_mean_is_the_sum_over_entries_divided_by_their_number():
    process = ForwardProcess({Field("pos"): VESDE()})
    batch = ragged_batch(SIZES)
    eps = {"pos": torch.randn_like(batch.pos)}
    total, mean = (
        denoising_score_matching(GaussianScore(process), batch, T, eps=eps, reduce=r)["pos"] for r in ("sum", "mean")
    )
    assert_close(mean, total / (3 * torch.tensor(SIZES).clamp(min=1)))


def test_weights(sde):
    process = ForwardProcess({Field("pos", zero_mean=True): sde})
    model, batch = GaussianScore(process, std=0.6), ragged_batch(SIZES)
    noisy, x0, eps = process.perturb(batch, T)
    score, x0_hat = model.score(noisy, T)["pos"], model(noisy, T)["pos"]
    alpha, std, g = (c[batch.batch, None] for c in (sde.alpha(T), sde.std(T), sde.diffusion(T)))
    c_out = std / (alpha**2 + std**2).sqrt()
    expected = {
        "variance": std * score + eps["pos"],
        "likelihood": g * (score + eps["pos"] / std),
        "edm": (x0_hat - x0["pos"]) / c_out,
        "min-snr": (alpha / std).clamp(max=5**0.5) * (x0_hat - x0["pos"]),
    }
    assert set(expected) == set(WEIGHTS)
    for name, residual in expected.items():
        loss = denoising_score_matching(model, batch, T, eps=eps, weight=WEIGHTS[name], reduce="sum")["pos"]
        per_graph = torch.stack([rows.square().sum() for rows in residual.split(SIZES)])
        assert_close(loss, per_graph, rtol=1e-8, atol=1e-12)


def test_several_fields_have_a_loss_each(egnn_network, vp):
    process = ForwardProcess({Field("pos", zero_mean=True): VESDE(), Field("x"): vp})
    model = Denoiser(egnn_network({"pos": 3, "x": 2}), process)
    losses = denoising_score_matching(model, ragged_batch(SIZES), T, reduce="sum")
    assert set(losses) == {"pos", "x"} and all(loss.shape == (7,) for loss in losses.values())
    exact = GaussianScore(process, std=0.5)
    batch = ragged_batch(SIZES)
    eps = process.perturb(batch, T).eps
    both = denoising_score_matching(exact, batch, T, eps=eps, reduce="sum")
    alone = denoising_score_matching(
        GaussianScore(ForwardProcess({Field("x"): vp}), std=0.5), batch, T, eps=eps, reduce="sum"
    )
    assert_close(both["x"], alone["x"])


@pytest.mark.parametrize("zero_mean", [False, True])
def test_expected_loss_of_the_exact_score(sde, zero_mean):
    """``E ||std score + eps||^2 = d (1 - std^2 / v_t)``: what no model can learn."""
    field = Field("pos", scale=2.0, zero_mean=zero_mean)
    model = GaussianScore(ForwardProcess({field: sde}), mean=0.5, std=0.7)
    sizes = (0, 4, 1, 3) * 500
    batch = model.sample(ragged_batch(sizes, edgeless=range(5)), torch.Generator().manual_seed(0), torch.float64)
    t = times.uniform(times.stratified(len(sizes), generator=torch.Generator().manual_seed(1)), eps=1e-3)
    losses = denoising_score_matching(
        model, batch, t, reduce="sum", generator=torch.Generator().manual_seed(2)
    )["pos"]  # fmt: skip
    dimension = 3 * (torch.tensor(sizes) - int(zero_mean)).clamp(min=0)
    expected = dimension * (1 - sde.std(t) ** 2 / model.marginal_std(field, t) ** 2)
    error = (losses - expected).mean() / ((losses - expected).std() / len(sizes) ** 0.5)
    assert abs(float(error)) < 4
    assert float(expected.mean()) > 0.5


def test_expected_loss_is_explicit_plus_a_constant_exactly(cubature, sde, linear_score):
    """``E ||std s + eps||^2 = 2 std^2 E[1/2 ||s - grad log p_t||^2] + d (1 - std^2 / v_t)``, and so do gradients."""
    zero_mean = cubature.dimension < cubature.x0[0].numel()
    process = ForwardProcess({Field("pos", zero_mean=zero_mean): sde})
    exact, model = GaussianScore(process, std=0.7), linear_score(process)
    batch, n = cubature.batch(0.0, 0.7), cubature.num_graphs
    for time in (0.01, 0.3, 0.9):
        t = torch.full((n,), time, dtype=torch.float64)
        denoising = denoising_score_matching(model, batch, t, eps=cubature.noise, reduce="sum")["pos"].mean()
        noisy = process.perturb(batch, t, cubature.noise).batch
        explicit = explicit_score_matching(model, noisy, t, exact.score(noisy, t), reduce="sum")["pos"].mean()
        variance, total = float(sde.std(t[0])) ** 2, float(exact.marginal_std(process.fields["pos"], t[0])) ** 2
        constant = cubature.dimension * (1 - variance / total)
        assert float((denoising - 2 * variance * explicit).detach()) == pytest.approx(constant, rel=1e-10)
        parameters = list(model.parameters())
        of_denoising = torch.autograd.grad(denoising, parameters)
        of_explicit = torch.autograd.grad(2 * variance * explicit, parameters)
        assert_close(of_denoising, of_explicit, rtol=1e-10, atol=1e-10)
        assert all(float(gradient.abs().max()) > 1e-6 for gradient in of_denoising)


def test_differences_between_models_equal_those_of_the_explicit_loss_on_a_mixture(egnn_network):
    """Where nothing is linear: by sampling, with the same numbers for both models."""
    process = ForwardProcess({Field("pos", zero_mean=True): VESDE(5.0)})
    exact = GaussianMixtureScore(process, std=0.3)
    models = (Denoiser(egnn_network(), process), GaussianScore(process, std=0.1))
    batch = ragged_batch((4, 0, 1, 3) * 500)
    batch.means = torch.randn(batch.num_nodes, 2, 3, dtype=torch.float64)
    batch = exact.sample(batch, torch.Generator().manual_seed(0))
    t = torch.full((2000,), 0.3, dtype=torch.float64)
    noisy, _, eps = process.perturb(batch, t, generator=torch.Generator().manual_seed(1))
    target = exact.score(noisy, t)
    with torch.no_grad():
        denoising = [denoising_score_matching(m, batch, t, eps=eps, reduce="sum")["pos"] for m in models]
        explicit = [explicit_score_matching(m, noisy, t, target, reduce="sum")["pos"] for m in models]
    left = denoising[0] - denoising[1]
    right = 2 * VESDE(5.0).std(t) ** 2 * (explicit[0] - explicit[1])
    error = (left - right).std() / 2000**0.5
    assert abs(float(left.mean() - right.mean())) < 4 * float(error)
    assert abs(float(right.mean())) > 20 * float(error)


def test_bad_arguments_are_rejected():
    model = GaussianScore(ForwardProcess({Field("pos"): VESDE()}))
    with pytest.raises(ValueError, match="one time per graph"):
        denoising_score_matching(model, ragged_batch(SIZES), T[:3], reduce="sum")
    with pytest.raises(ValueError, match="reduce"):
        denoising_score_matching(model, ragged_batch(SIZES), T, reduce="none")


@pytest.mark.exact
@pytest.mark.parametrize("name", ["edm", "min-snr", "variance"])
@pytest.mark.parametrize("sde", [RectifiedSDE(), CosineVPSDE(), HarmonicSDE()], ids=repr)
def test_weights_are_right_where_nothing_is_left_of_the_data(egnn_network, sde, name):
    """At time 1, where alpha is 1e-12: ``lambda`` is as large as 1e24, and the loss is a number like any other."""
    model = Denoiser(egnn_network().float(), ForwardProcess({Field("pos", zero_mean=True): sde}))
    batch, t = ragged_batch(SIZES, dtype=torch.float32), torch.ones(7, dtype=torch.float64)
    white = {"pos": torch.randn_like(batch.pos)}
    noisy, x0, _ = model.process.perturb(batch, t, white)
    error = ops.sum((model(noisy, t)["pos"] - x0["pos"]).double().square().sum(-1), batch.batch, 7)
    expected = error * (1.0 if name == "edm" else 1e-24)
    loss = denoising_score_matching(model, batch, t, eps=white, weight=WEIGHTS[name], reduce="sum")["pos"]
    assert loss.dtype == torch.float32 and (loss[[1, 4, 5]] > 0).all()
    assert_close(loss.double(), expected, rtol=1e-5, atol=0)


def test_gamma_sets_where_small_levels_stop_to_count_more(sde):
    for gamma in (1.0, 5.0):
        snr = (sde.alpha(T) / sde.std(T)) ** 2
        factor = min_snr_weight(sde, T, gamma) * sde.alpha(T) ** 2 / sde.std(T) ** 4
        assert_close(factor, snr.clamp(max=gamma), rtol=1e-12, atol=0)


@pytest.mark.exact
@pytest.mark.parametrize("zero_mean", [False, True])
def test_structured_noise_compares_scores_in_its_own_metric(egnn_network, zero_mean):
    """The residual is ``std C score + C^(1/2) z``."""
    field, sde = Field("pos", zero_mean=zero_mean), HarmonicSDE(stiffness=2.0, component_std=1.5)
    model, batch = Denoiser(egnn_network(), ForwardProcess({field: sde})), ragged_batch(SIZES)
    white = torch.randn_like(batch.pos)
    t = T.clamp(max=0.9)
    covariance = sde.covariance(batch, field)
    noisy = model.process.perturb(batch, t, {"pos": white}).batch
    score = covariance.multiply(model.score(noisy, t)["pos"])
    residual = sde.std(t)[batch.batch, None] * score + covariance.root(white)
    loss = denoising_score_matching(model, batch, t, eps={"pos": white}, reduce="sum")["pos"]
    assert_close(loss, ops.sum(residual.square().sum(-1), batch.batch, 7), rtol=1e-10, atol=1e-20)


@pytest.mark.exact
def test_expected_loss_under_structured_noise_is_explicit_plus_a_constant_exactly(cubature, linear_score):
    """``E ||std C s + C^(1/2) z||^2 = std^2 E ||C (s - grad log p_t)||^2 + const``: differences of two models agree."""
    field, sde = Field("pos", zero_mean=cubature.zero_mean), HarmonicSDE(component_std=0.8)
    process = ForwardProcess({field: sde})
    exact, batch = GaussianScore(process, std=0.7), cubature.batch(0.0, 0.7)
    t = torch.full((cubature.num_graphs,), 0.3, dtype=torch.float64)
    noisy = process.perturb(batch, t, cubature.noise).batch
    covariance, target = sde.covariance(batch, field), exact.score(noisy, t)["pos"]
    denoising, explicit = [], []
    for model in (linear_score(process), linear_score(process, a=0.3, b=-0.2), exact):
        loss = denoising_score_matching(model, batch, t, eps=cubature.noise, reduce="sum")["pos"]
        error = covariance.multiply(model.score(noisy, t)["pos"] - target)
        denoising.append(float(loss.mean().detach()))
        explicit.append(0.3**2 * float(error.square().sum().detach()) / cubature.num_graphs)
    assert explicit[0] > explicit[2] == pytest.approx(0, abs=1e-20) and explicit[0] != pytest.approx(explicit[1])
    for one, other in ((0, 2), (1, 2)):
        assert denoising[one] - denoising[other] == pytest.approx(explicit[one], rel=1e-9)
