from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore import ops
from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.sdes import SDES, VESDE, VPSDE, HarmonicSDE
from graphscore.testing import GaussianMixtureScore, GaussianScore, ragged_batch

pytestmark = pytest.mark.exact

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.01, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


@pytest.fixture(params=["ve", "vp"])
def sde(request, vp):
    return vp if request.param == "vp" else VESDE()


def with_means(batch, components=3, width=3):
    means = torch.randn(batch.num_nodes, components, width, dtype=torch.float64)
    return replace(batch, {"means": means, "mean": means[:, 0]})


def gradient(log_density, x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(log_density(x).sum(), x)[0]


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("mean", [0.5, "mean"])
def test_gaussian_score_is_the_gradient_of_the_log_density(sde, zero_mean, mean):
    field = Field("pos", zero_mean=zero_mean)
    model = GaussianScore(ForwardProcess({field: sde}), mean, std=0.7)
    batch = with_means(ragged_batch(SIZES))
    batch.pos = field.project(batch.pos, batch.batch, 7)
    m = batch.mean if mean == "mean" else torch.full((13, 3), 0.5).double()

    def log_density(x):
        alpha, std = (c[batch.batch, None] for c in (sde.alpha(T), sde.std(T)))
        difference = field.project(x - alpha * m, batch.batch, 7)
        return torch.distributions.Normal(0.0, ((0.7 * alpha) ** 2 + std**2).sqrt()).log_prob(difference)

    assert_close(model.score(batch, T)["pos"], gradient(log_density, batch.pos), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("zero_mean, per_graph", [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("weights", [None, [0.5, 0.2, 0.3]])
def test_mixture_score_is_the_gradient_of_the_log_density(sde, zero_mean, per_graph, weights):
    field = Field("pos", zero_mean=zero_mean)
    model = GaussianMixtureScore(ForwardProcess({field: sde}), std=0.3, weights=weights, per_graph=per_graph)
    batch = with_means(ragged_batch(SIZES))
    batch.pos = field.project(batch.pos, batch.batch, 7)

    def log_density(x):
        alpha, std = (c[batch.batch, None, None] for c in (sde.alpha(T), sde.std(T)))
        difference = field.project(x[:, None] - alpha * batch.means, batch.batch, 7)
        logs = torch.distributions.Normal(0.0, ((0.3 * alpha) ** 2 + std**2).sqrt()).log_prob(difference).sum(-1)
        if per_graph:
            logs = torch.stack([part.sum(0) for part in logs.split(SIZES)])
        return (logs + torch.tensor(weights or [1.0, 1.0, 1.0], dtype=x.dtype).log()).logsumexp(-1)

    assert_close(model.score(batch, T)["pos"], gradient(log_density, batch.pos), rtol=1e-9, atol=1e-9)


def test_a_mixture_of_one_is_the_gaussian(sde):
    process = ForwardProcess({Field("pos", zero_mean=True): sde})
    batch = with_means(ragged_batch(SIZES), components=1)
    batch.pos = ops.center(batch.pos, batch.batch, 7)
    assert_close(GaussianMixtureScore(process)(batch, T), GaussianScore(process, "mean")(batch, T))


def test_gaussian_samples_have_the_stated_moments():
    process = ForwardProcess({Field("pos", scale=2.0): VESDE(), Field("y", "graph"): VESDE()})
    model = GaussianScore(process, mean=3.0, std=0.5)
    sample = model.sample(ragged_batch([20] * 500), torch.Generator().manual_seed(0), torch.float64)
    for name, scale in (("pos", 2.0), ("y", 1.0)):
        x = sample[name]
        assert float(x.mean()) == pytest.approx(3 * scale, abs=4 * 0.5 * scale / x.numel() ** 0.5)
        assert float(x.std()) == pytest.approx(0.5 * scale, rel=4 / (2 * x.numel()) ** 0.5)


@pytest.mark.parametrize("per_graph", [False, True])
def test_mixture_samples_have_the_stated_moments(per_graph):
    model = GaussianMixtureScore(
        ForwardProcess({Field("pos"): VESDE()}), std=0.1, weights=[0.8, 0.2], per_graph=per_graph
    )
    batch = ragged_batch([0, 3, 1] * 700, dim=1)
    batch.means = torch.tensor([[[-1.0], [1.0]]]).double().expand(batch.num_nodes, 2, 1)
    x = model.sample(batch, torch.Generator().manual_seed(0)).pos
    assert x.dtype == torch.float64
    assert float((x > 0).double().mean()) == pytest.approx(0.2, abs=0.05)
    assert float((x.abs() - 1).std()) == pytest.approx(0.1, rel=0.05)
    one_sign = (ops.mean(x.sign(), batch.batch, batch.num_graphs).abs() == 1)[1::3]
    assert bool(one_sign.all()) == per_graph


def test_flow_is_that_of_the_ordinary_differential_equation(sde):
    """The slope of the closed form equals ``f x - g^2 score / 2``."""
    process = ForwardProcess({Field("pos", zero_mean=True): sde})
    model, batch = GaussianScore(process, "mean", std=0.6), with_means(ragged_batch(SIZES))
    batch.pos = ops.center(batch.pos, batch.batch, 7)
    t, h = torch.full((7,), 0.4).double(), 1e-6
    ahead, behind = (model.flow(batch, t, t + d).pos for d in (h, -h))
    t_rows = t[batch.batch]
    expected = sde.drift(batch.pos, t_rows) - sde.diffusion(t_rows)[:, None] ** 2 / 2 * model.score(batch, t)["pos"]
    assert_close((ahead - behind) / (2 * h), expected, rtol=1e-7, atol=1e-7)


def test_a_mixture_of_independent_rows_cannot_be_zero_mean():
    with pytest.raises(ValueError, match="not independent"):
        GaussianMixtureScore(ForwardProcess({Field("pos", zero_mean=True): VESDE()}), per_graph=False)


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("process", ["vp", "harmonic"])
@pytest.mark.parametrize("correlated", [False, True])
def test_log_density_of_gaussians_is_that_of_the_dense_matrix(correlated, process, zero_mean):
    """In data units, on the subspace: with the covariance of the whole batch as one matrix."""
    field, springs = Field("pos", scale=2.0, zero_mean=zero_mean), HarmonicSDE(stiffness=0.5)
    sde = springs if process == "harmonic" else VPSDE()
    model = GaussianScore(ForwardProcess({field: sde}), "mean", std=0.7, springs=springs if correlated else None)
    batch = with_means(ragged_batch(SIZES))
    shape = springs.covariance(batch, field) if correlated else VPSDE().covariance(batch, field)
    matrix = (2.0 * 0.7) ** 2 * shape.multiply(torch.eye(13, dtype=torch.float64))
    values, vectors = torch.linalg.eigh(matrix)
    carries = values > 1e-9
    difference = field.project(batch.pos - 2.0 * batch.mean, batch.batch, 7)
    amplitude = vectors[:, carries].T @ difference
    logs = torch.distributions.Normal(0.0, values[carries].sqrt()[:, None]).log_prob(amplitude)
    assert float(model.log_density(batch).sum()) == pytest.approx(float(logs.sum()), rel=1e-10)
    assert model.log_density(batch)[[0, 3, 6]].tolist() == [0, 0, 0]


@pytest.mark.parametrize("process", ["vp", "harmonic"])
def test_correlated_scores_equal_those_of_the_dense_matrix(process):
    springs = HarmonicSDE(VPSDE(), stiffness=0.5)
    field, sde = Field("pos", zero_mean=True), springs if process == "harmonic" else VPSDE()
    model = GaussianScore(ForwardProcess({field: sde}), std=0.7, springs=springs)
    batch, t = ragged_batch(SIZES), torch.full((7,), 0.3).double()
    batch.pos = field.project(batch.pos, batch.batch, 7)
    eye = torch.eye(13, dtype=torch.float64)
    data, noise = 0.49 * springs.covariance(batch, field).multiply(eye), sde.covariance(batch, field).multiply(eye)
    total = float(sde.alpha(t[0])) ** 2 * data + float(sde.std(t[0])) ** 2 * noise
    inverse = torch.linalg.pinv(total, hermitian=True, rtol=1e-9)
    assert_close(model.score(batch, t)["pos"], -inverse @ batch.pos)
    assert_close(model(batch, t)["pos"], float(sde.alpha(t[0])) * data @ inverse @ batch.pos)


def test_correlated_samples_have_the_covariance():
    springs, batch = HarmonicSDE(), ragged_batch((4,) * 5000, dim=1)
    model = GaussianScore(ForwardProcess({Field("pos"): VPSDE()}), std=0.5, springs=springs)
    x = model.sample(batch, torch.Generator().manual_seed(0), torch.float64).pos.view(-1, 4)
    exact = 0.25 * springs.covariance(batch, Field("pos")).multiply(torch.eye(4).double().repeat(5000, 1))[:4]
    assert_close(x.T @ x / 5000, exact, rtol=0, atol=5 * 2**0.5 * float(exact.max()) / 5000**0.5)


@pytest.mark.parametrize("zero_mean, per_graph", [(False, False), (False, True), (True, True)])
def test_log_density_of_mixtures_integrates_to_one_and_gives_the_score(zero_mean, per_graph):
    field = Field("pos", scale=0.5, zero_mean=zero_mean)
    model = GaussianMixtureScore(
        ForwardProcess({field: VPSDE()}), std=0.3, weights=[0.5, 0.2, 0.3], per_graph=per_graph
    )
    batch = with_means(ragged_batch(SIZES))
    x = batch.pos.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.log_density(replace(batch, {"pos": x})).sum(), x)
    small = replace(batch, {"pos": field.project(batch.pos / 0.5, batch.batch, 7)})
    early = torch.full((7,), 1e-9).double()
    assert_close(slope, model.score(small, early)["pos"] / 0.5, rtol=1e-5, atol=1e-5)
    line = torch.linspace(-4, 4, 4001, dtype=torch.float64)
    numbers = replace(ragged_batch((1,) * 4001, dim=1), {"pos": line[:, None]})
    numbers.means = torch.tensor([[[-1.0], [0.2], [1.5]]]).double().expand(4001, 3, 1)
    plain = GaussianMixtureScore(ForwardProcess({Field("pos", scale=0.5): VPSDE()}), std=0.3, weights=[0.5, 0.2, 0.3])
    assert float(plain.log_density(numbers).exp().sum() * 0.002) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("process", SDES)
def test_flow_carries_one_marginal_to_another(process):
    """From exact samples at one time to samples of the right covariance at another, springs or not."""
    sde, field = SDES[process](), Field("pos")
    model, batch = GaussianScore(ForwardProcess({field: sde}), std=0.5), ragged_batch((4,) * 1000, dim=1)
    t, s = (torch.full((1000,), time, dtype=torch.float64) for time in (0.8, 0.3))
    clean = model.sample(batch, torch.Generator().manual_seed(0), torch.float64)
    noisy = model.process.perturb(clean, t, generator=torch.Generator().manual_seed(1)).batch
    x = model.flow(noisy, t, s).pos.view(-1, 4)
    eye = torch.eye(4).double()
    noise = sde.covariance(batch, field).multiply(eye.repeat(1000, 1))[:4]
    exact = float(sde.alpha(s[0])) ** 2 * 0.25 * eye + float(sde.std(s[0])) ** 2 * noise
    assert_close(x.T @ x / 1000, exact, rtol=0, atol=5 * 2**0.5 * float(exact.max()) / 1000**0.5)


def test_models_that_are_not_exact_are_refused():
    with pytest.raises(ValueError, match="must have the same springs"):
        GaussianScore(ForwardProcess({Field("pos"): HarmonicSDE()}), springs=HarmonicSDE())
    with pytest.raises(ValueError, match="unstructured noise only"):
        GaussianMixtureScore(ForwardProcess({Field("pos"): HarmonicSDE()}))
