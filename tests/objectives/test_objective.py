"""What all objectives have in common, as training calls them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ADAPTERS, Denoiser, PlainScore, ScoreAdapter
from graphscore.fields import Field, replace
from graphscore.objectives import OBJECTIVES, WEIGHTS, Objective, denoising_score_matching
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.sdes import SDES, VESDE, VPSDE, HarmonicSDE, RectifiedSDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.01, 0.5, 0.2, 0.99, 0.3, 0.7], dtype=torch.float64)
SLICED = ("sliced", "sliced-vr", "finite-difference")
BY_PARTS = ("implicit", *SLICED)


def ready(name, model, **options):
    """The objective, with what it cannot do without."""
    target = {"target": GaussianScore(model.process, std=0.7)} if name == "explicit" else {}
    return OBJECTIVES[name].bind(**target, **options)


class Affine(nn.Module):
    """``score = c m - a x`` with parameters a and c; m is an attribute of the batch."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        self.c = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))

    def forward(self, batch, t):
        return self.c * batch.center - self.a * batch.pos


def minimise(loss, parameters):
    optimizer = torch.optim.LBFGS(parameters, max_iter=30, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def assert_recovered(score, exact):
    score, exact = score.detach().flatten(), exact.flatten()
    assert float(torch.cosine_similarity(score, exact, dim=0)) > 0.99
    assert float(score.norm() / exact.norm()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_minimum_is_the_true_score(name):
    """Gaussian data about a mean of their own for each node, in graphs of all sizes."""
    process = ForwardProcess({Field("pos", scale=2.0, zero_mean=True): VPSDE()})
    exact, model = GaussianScore(process, mean="center", std=0.7), ScoreAdapter(Affine(), process)
    template = ragged_batch((0, 4, 1, 3) * 1500, edgeless=range(5))
    template.center = torch.randn_like(template.pos)
    batch = exact.sample(template, torch.Generator().manual_seed(5), torch.float64)
    t = torch.full((6000,), 0.3, dtype=torch.float64)
    # One direction of each graph leaves a statistical error of some 3 %.
    options = {"target": exact} if name == "explicit" else {"num_projections": 8} if name in SLICED else {}
    objective = OBJECTIVES[name].bind(**options)

    def loss():
        return objective(model, batch, t, reduce="sum", generator=torch.Generator().manual_seed(1))["pos"].mean()

    minimise(loss, model.parameters())
    noisy = process.perturb(batch, t, generator=torch.Generator().manual_seed(2)).batch
    assert_recovered(model.score(noisy, t)["pos"], exact.score(noisy, t)["pos"])


@pytest.mark.parametrize("name", BY_PARTS)
def test_scores_without_a_process_are_learned_from_the_data_as_they_are(name):
    fields = [Field("pos", scale=2.0, zero_mean=True)]
    model = PlainScore(Affine(), fields)
    batch = ragged_batch((0, 4, 1, 3) * 1500, edgeless=range(5), seed=5)
    index, rows = batch.batch, batch.pos
    batch.center = ops.center(torch.randn_like(rows), index, 6000)
    batch.pos = 2 * (batch.center + 0.7 * rows) + 5
    t = torch.zeros(6000, dtype=torch.float64)
    objective = OBJECTIVES[name].bind(**({"num_projections": 8} if name in SLICED else {}))

    def loss():
        return objective(model, batch, t, reduce="mean", generator=torch.Generator().manual_seed(1))["pos"].mean()

    minimise(loss, model.parameters())
    clean = fields[0].read(batch)
    assert_recovered(model.score(replace(batch, {"pos": clean}), t)["pos"], (batch.center - clean) / 0.7**2)


@pytest.mark.exact
@pytest.mark.parametrize("sde", [VPSDE(), RectifiedSDE()], ids=repr)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_expected_loss_is_that_of_explicit_score_matching(name, sde, cubature, linear_score, draws):
    """``E loss = k E 1/2 ||s - grad log p_t||^2 + constant``, and so its gradient, for scores that are not exact."""
    process = ForwardProcess({Field("pos", zero_mean=cubature.zero_mean): sde})
    exact, model, batch = GaussianScore(process, std=0.7), linear_score(process), cubature.batch(0.0, 0.7)
    t = torch.full((cubature.num_graphs,), 0.4, dtype=torch.float64)
    options = {"num_projections": cubature.dimension, "projection": "gaussian"} if name in SLICED else {}
    directions = cubature.directions if name in SLICED else []
    objective = ready(name, model, **options)
    generator = draws(*cubature.noise.values(), *directions)
    loss = objective(model, batch, t, reduce="sum", generator=generator)["pos"].mean()
    assert generator.draws == []

    noisy = process.perturb(batch, t, cubature.noise).batch
    error = (model.score(noisy, t)["pos"] - exact.score(noisy, t)["pos"]).square().sum() / (2 * cubature.num_graphs)
    alpha, std = sde.alpha(t[0]), sde.std(t[0])
    total = alpha**2 * 0.49 + std**2
    to_velocity = (sde.alpha_rate(t[0]) - alpha * sde.std_rate(t[0]) / std) ** 2
    posterior = cubature.dimension * 0.49 * std**2 / total
    factor, constant = {
        "explicit": (1.0, 0.0),
        "denoising": (2 * std**2, cubature.dimension * (1 - std**2 / total)),
        "data": (2 * std**4 / alpha**2, posterior),
        "flow-matching": (2 * std**4 / alpha**2 * to_velocity, posterior * to_velocity),
    }.get(name, (1.0, -cubature.dimension / (2 * total)))
    assert float(error.detach()) > 0.01
    assert_close(loss, factor * error + constant, rtol=1e-9, atol=0)
    parameters = list(model.parameters())
    gradients = [torch.autograd.grad(value, parameters) for value in (loss, factor * error)]
    assert_close(*gradients, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batch_equals_its_graphs_one_by_one(name, reduce, egnn_network):
    process = ForwardProcess({Field("pos", zero_mean=True): VPSDE()})
    model, batch = Denoiser(egnn_network(), process), ragged_batch(SIZES)
    objective = ready(name, model)
    together = objective(model, batch, T, reduce=reduce, generator=GraphGenerator(range(7)))["pos"]
    for graph in range(7):
        alone = objective(
            model,
            Batch.from_data_list([batch[graph]]),
            T[graph : graph + 1],
            reduce=reduce,
            generator=GraphGenerator([graph]),
        )["pos"]
        assert_close(together[graph : graph + 1], alone, rtol=1e-8, atol=1e-10)
    assert together[[0, 3, 6]].tolist() == [0, 0, 0] and (together[[1, 4, 5]] != 0).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_those_of_the_loss(name, egnn_network):
    process = ForwardProcess({Field("pos", zero_mean=True): VPSDE(), Field("x"): VESDE(5.0)})
    model, batch = Denoiser(egnn_network({"pos": 3, "x": 2}), process), ragged_batch(SIZES)
    objective, parameters = ready(name, model), list(model.parameters())
    t = T.clamp(min=0.2)

    def loss():
        values = objective(model, batch, t, reduce="mean", generator=GraphGenerator(range(7)))
        assert set(values) == {"pos", "x"}
        return values["pos"].sum() + values["x"].sum()

    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True, materialize_grads=True)
    moves, values = [torch.randn_like(p) for p in parameters], []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            for parameter, move in zip(parameters, moves, strict=True):
                parameter += step * move
            values.append(float(loss()))
    slope = sum(float((g * m).sum()) for g, m in zip(gradients, moves, strict=True))
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)
    assert abs(slope) > 1e-3


@pytest.mark.parametrize("sde", SDES)
@pytest.mark.parametrize("name", ["denoising", "flow-matching", "data"])
@pytest.mark.parametrize("zero_mean", [False, True])
def test_every_process_has_finite_losses_up_to_time_one(name, sde, zero_mean, egnn_network):
    process = ForwardProcess({Field("pos", zero_mean=zero_mean): SDES[sde]()})
    model, batch = Denoiser(egnn_network(), process), ragged_batch(SIZES)
    t = torch.tensor([1.0, 1.0, 0.5, 0.2, 1e-5, 0.999, 1.0], dtype=torch.float64)
    together = OBJECTIVES[name](model, batch, t, reduce="sum", generator=GraphGenerator(range(7)))["pos"]
    gradients = torch.autograd.grad(together.sum(), list(model.parameters()), allow_unused=True)
    assert together.isfinite().all() and all(g.isfinite().all() for g in gradients if g is not None)
    alone = OBJECTIVES[name](
        model, Batch.from_data_list([batch[1]]), t[1:2], reduce="sum", generator=GraphGenerator([1])
    )["pos"]  # fmt: skip
    assert_close(together[1:2], alone, rtol=1e-7, atol=1e-12)


@pytest.mark.exact
@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("sde", ["ve", "vp", "sub-vp", "rectified", "harmonic"])
def test_the_parametrisation_does_not_count(adapter, sde):
    """The same exact model, asked for its score, noise, data or velocity: the same loss in every objective."""
    process = ForwardProcess({Field("pos", zero_mean=True): SDES[sde]()})
    exact, batch = GaussianScore(process, std=0.7), ragged_batch(SIZES)
    t = T.clamp(min=0.1)

    def noise(noisy, t):
        (_, process_sde), index = *process, noisy.batch
        alpha, std = (c[index, None] for c in (process_sde.alpha(t), process_sde.std(t)))
        return (noisy.pos - alpha * exact(noisy, t)["pos"]) / std

    function = {"score": exact.score, "noise": noise, "data": exact, "velocity": exact.velocity}[adapter]
    model = ADAPTERS[adapter](function, process)
    for name in OBJECTIVES:
        objective = OBJECTIVES[name].bind(**({"target": GaussianScore(process)} if name == "explicit" else {}))
        got, expected = (
            objective(m, batch, t, reduce="sum", generator=GraphGenerator(range(7)))["pos"] for m in (model, exact)
        )
        assert_close(got, expected, rtol=1e-7, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in ("flow-matching", "data")])
def test_a_weight_multiplies_the_error_of_the_score(name):
    process = ForwardProcess({Field("pos"): VPSDE()})
    model, batch = GaussianScore(process), ragged_batch(SIZES)
    plain, weighted = (
        ready(name, model, weight=weight)(model, batch, T, reduce="sum", generator=GraphGenerator(range(7)))["pos"]
        for weight in (lambda sde, t: torch.ones_like(t), WEIGHTS["likelihood"])
    )
    assert_close(weighted, VPSDE().diffusion(T) ** 2 * plain)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_callers_batch_stays_as_it_is(name):
    process = ForwardProcess({Field("pos", zero_mean=True): HarmonicSDE()})
    model, batch = GaussianScore(process, std=0.5), ragged_batch(SIZES)
    before = batch.clone()
    with torch.no_grad():
        loss = ready(name, model)(model, batch, T, reduce="mean", generator=GraphGenerator(range(7)))["pos"]
    assert loss.isfinite().all() and not loss.requires_grad
    assert set(batch.keys()) == set(before.keys())
    assert all(torch.equal(batch[key], before[key]) for key in ("pos", "x", "edge_index", "batch"))


def test_options_are_checked_when_they_are_set():
    with pytest.raises(
        ValueError, match=r"sliced_score_matching does not take the options \['projections'\].*'num_proj"
    ):
        OBJECTIVES["sliced"].bind(projections=3)
    with pytest.raises(ValueError, match="needs a function"):
        Objective(7)
    assert OBJECTIVES["sliced-vr"].bind(num_projections=3).options == {
        "variance_reduction": True,
        "num_projections": 3,
    }
    assert OBJECTIVES["sliced-vr"].options == {"variance_reduction": True}


def test_options_of_a_call_come_first():
    model, batch = GaussianScore(ForwardProcess({Field("pos"): VPSDE()})), ragged_batch(SIZES)
    plain, without = (
        objective(model, batch, T, reduce="sum", generator=GraphGenerator(range(7)), **options)["pos"]
        for objective, options in ((OBJECTIVES["sliced"], {}), (OBJECTIVES["sliced-vr"], {"variance_reduction": False}))
    )
    assert torch.equal(plain, without)


def test_objectives_that_make_no_sense_are_refused_with_the_reason():
    plain = PlainScore(lambda batch, t: -batch.pos, [Field("pos")])
    model = GaussianScore(ForwardProcess({Field("pos"): VPSDE()}))
    with pytest.raises(ValueError, match=r"explicit_score_matching cannot do without the options \['target'\]"):
        OBJECTIVES["explicit"].check(model)
    with pytest.raises(ValueError, match="adds the noise of a process, which a PlainScore lacks"):
        OBJECTIVES["denoising"].check(plain)
    with pytest.raises(ValueError, match="a PlainScore lacks: leave the weight out"):
        batch = ragged_batch(SIZES)
        OBJECTIVES["implicit"](plain, batch, T, reduce="sum", weight=WEIGHTS["variance"])
    for name in BY_PARTS:
        OBJECTIVES[name].check(plain)
        OBJECTIVES[name].check(model)


def test_a_function_of_ones_own_is_an_objective():
    def doubled(model, batch, t, *, reduce, factor=2.0, **others):
        return {k: factor * v for k, v in denoising_score_matching(model, batch, t, reduce=reduce, **others).items()}

    model, batch = GaussianScore(ForwardProcess({Field("pos"): VPSDE()})), ragged_batch(SIZES)
    own = Objective(doubled, {"factor": 3.0})
    own.check(model)
    eps = {"pos": torch.randn_like(batch.pos)}
    assert_close(
        own(model, batch, T, reduce="sum", eps=eps)["pos"],
        3 * denoising_score_matching(model, batch, T, reduce="sum", eps=eps)["pos"],
    )
