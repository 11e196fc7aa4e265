from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from graphscore import ops
from graphscore.denoiser import ADAPTERS, Denoiser, PlainScore, ScoreAdapter
from graphscore.fields import Field, replace
from graphscore.nn import EGNN, Category, Feature, ScoreNetwork
from graphscore.objectives import denoising_score_matching
from graphscore.process import ForwardProcess
from graphscore.sdes import SDES, VESDE, HarmonicSDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.01, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


def perturbed(module: nn.Module) -> nn.Module:
    """Heads start at zero, which hides what is behind them: move all parameters away from there."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return module.double()


def two_fields(vp) -> ForwardProcess:
    return ForwardProcess({Field("pos", zero_mean=True): VESDE(), Field("x"): vp})


def make_denoiser(process: ForwardProcess) -> Denoiser:
    backbone = EGNN(16, num_layers=2, edge_channels=4, cond_channels=8)
    widths = {"pos": 3, "x": 2}
    network = ScoreNetwork(
        backbone,
        {name: widths[name] for name in process.fields},
        {"z": Category(4), "edge_attr": Feature(2, level="edge")},
    )
    return perturbed(Denoiser(network, process))


class Constant(nn.Module):
    """A network that answers the same everywhere, and remembers what it was asked."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, batch, levels):
        self.batch, self.levels = batch, levels
        return {"pos": torch.full_like(batch.pos, self.value)}


def test_score_and_posterior_mean_obey_tweedie(vp):
    model = make_denoiser(two_fields(vp))
    noisy = model.process.perturb(ragged_batch(SIZES), T).batch
    x0_hat, scores = model(noisy, T), model.score(noisy, T)
    for field, sde in model.process:
        alpha, std = (c[noisy.batch, None] for c in (sde.alpha(T), sde.std(T)))
        assert_close(alpha * x0_hat[field.name], noisy[field.name] + std**2 * scores[field.name])


@pytest.mark.parametrize("level", [1e-3, 0.1, 1.0, 8.0])
@pytest.mark.parametrize("name", ["ve", "vp"])
def test_preconditioning_gives_inputs_and_targets_of_unit_variance(level, name, vp):
    sde = vp if name == "vp" else VESDE()
    zeros, ones = (Denoiser(Constant(value), ForwardProcess({Field("pos"): sde})) for value in (0.0, 1.0))
    batch = ragged_batch([20] * 500)
    t = sde.time(torch.full((500,), level).double())
    noisy, x0, _ = zeros.process.perturb(batch, t, generator=torch.Generator().manual_seed(0))
    skip, answer = zeros(noisy, t)["pos"], ones(noisy, t)["pos"]
    scale = answer - skip
    target = (x0["pos"] - skip) / scale
    error = 4 * (2 / batch.pos.numel()) ** 0.5
    assert float(zeros.network.batch.pos.var()) == pytest.approx(1, abs=error)
    assert float(target.var()) == pytest.approx(1, abs=error)
    # The error of the network enters least: the input tells nothing about the target.
    assert abs(float((target * zeros.network.batch.pos).mean())) < error
    assert_close(zeros.network.levels, torch.full((500, 1), level).double().log() / 4)


@pytest.mark.exact
@pytest.mark.parametrize("other", [name for name in SDES if name != "harmonic"])
@pytest.mark.parametrize("trained", [name for name in SDES if name != "harmonic"])
def test_the_process_can_be_exchanged_after_training(trained, other):
    """At equal noise level ``x / alpha`` has the same law in every process, and so the model must answer the same."""
    before, after = SDES[trained](), SDES[other]()
    model = make_denoiser(ForwardProcess({Field("pos", zero_mean=True): before}))
    exchanged = Denoiser(model.network, ForwardProcess({Field("pos", zero_mean=True): after}))
    batch, level = ragged_batch(SIZES), torch.logspace(-2, 0.9, 7, dtype=torch.float64)
    t, s = before.time(level), after.time(level)
    noisy = model.process.perturb(batch, t).batch
    scale = after.alpha(s) / before.alpha(t)
    same = replace(noisy, {"pos": scale[noisy.batch, None] * noisy.pos})
    assert_close(exchanged(same, s)["pos"], model(noisy, t)["pos"], rtol=1e-7, atol=1e-7)


def test_zero_mean_fields_stay_so(vp):
    model = make_denoiser(two_fields(vp))
    noisy = model.process.perturb(ragged_batch(SIZES), T).batch
    for values in (model(noisy, T)["pos"], model.score(noisy, T)["pos"]):
        assert float(ops.sum(values, noisy.batch, 7).detach().abs().max()) < 1e-10


def test_every_parameter_gets_a_finite_gradient(vp):
    model = make_denoiser(two_fields(vp))
    losses = denoising_score_matching(model, ragged_batch(SIZES), T, reduce="sum")
    sum(loss.sum() for loss in losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and bool((parameter.grad != 0).any()), name


def test_a_fresh_denoiser_starts_from_the_skip_connection():
    """With a zero head, ``x0_hat = c_skip xt``: the exact answer for Gaussian data of unit variance."""
    process = ForwardProcess({Field("pos", zero_mean=True): VESDE()})
    model = Denoiser(ScoreNetwork(EGNN(8, 2, cond_channels=4), {"pos": 3}), process).double()
    noisy = process.perturb(ragged_batch(SIZES), T).batch
    assert_close(model(noisy, T), GaussianScore(process)(noisy, T))


def test_state_dict_round_trip(vp, tmp_path):
    model, fresh = make_denoiser(two_fields(vp)), make_denoiser(two_fields(vp))
    noisy = model.process.perturb(ragged_batch(SIZES), T).batch
    before = model(noisy, T)
    assert not torch.equal(fresh(noisy, T)["pos"], before["pos"])
    torch.save(model.state_dict(), tmp_path / "model.pt")
    fresh.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    for name, value in fresh(noisy, T).items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("zero_mean", [False, True])
def test_score_adapter_round_trip(zero_mean, vp):
    process = ForwardProcess({Field("pos", zero_mean=zero_mean): vp})
    model = GaussianScore(process, mean=0.3, std=0.8)
    noisy = process.perturb(ragged_batch(SIZES), T).batch
    for function in (model.score, lambda batch, t: model.score(batch, t)["pos"]):
        adapter = ScoreAdapter(function, process)
        assert_close(adapter.score(noisy, T), model.score(noisy, T))
        assert_close(adapter(noisy, T), model(noisy, T))


def test_score_adapter_projects_the_score_of_zero_mean_fields():
    process = ForwardProcess({Field("pos", zero_mean=True): VESDE()})
    adapter = ScoreAdapter(lambda batch, t: batch.pos + 5, process)
    batch = process.perturb(ragged_batch(SIZES), T).batch
    assert_close(adapter.score(batch, T)["pos"], batch.pos)


def test_score_adapter_registers_modules():
    network = nn.Linear(3, 3)
    adapter = ScoreAdapter(network, ForwardProcess({Field("pos"): VESDE()}))
    assert [p is q for p, q in zip(adapter.parameters(), network.parameters(), strict=True)] == [True, True]


def test_score_adapter_needs_names_for_several_fields(vp):
    adapter = ScoreAdapter(lambda batch, t: batch.pos, two_fields(vp))
    with pytest.raises(ValueError, match=r"one tensor, but there are the fields \['pos', 'x'\]"):
        adapter.score(ragged_batch(SIZES), T)


def test_float32_models_compute_levels_in_float64():
    """At t = 1e-9 the std is 3e-5; float32 arithmetic of ``sigma^(2t) - 1`` would give zero."""
    model = Denoiser(Constant(1.0), ForwardProcess({Field("pos"): VESDE()}))
    batch = ragged_batch(SIZES, dtype=torch.float32)
    model(batch, torch.full((7,), 1e-9))
    assert model.network.levels.dtype == torch.float32
    assert_close(model.network.levels, VESDE().level(torch.full((7, 1), 1e-9)).log().float() / 4)


def quantities(model, process, noisy, t):
    """What a perfect network would output, by name of its adapter."""
    x0_hat, scores = model(noisy, t), model.score(noisy, t)
    outputs = {"score": scores, "data": x0_hat, "noise": {}, "velocity": {}}
    for field, sde in process:
        alpha, std, alpha_rate, std_rate = (
            c(t)[field.index(noisy), None] for c in (sde.alpha, sde.std, sde.alpha_rate, sde.std_rate)
        )
        noise = (noisy[field.name] - alpha * x0_hat[field.name]) / std
        outputs["noise"][field.name] = noise
        outputs["velocity"][field.name] = alpha_rate * x0_hat[field.name] + std_rate * noise
    return outputs


@pytest.mark.exact
@pytest.mark.parametrize("process", SDES)
@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_brings_its_output_to_the_posterior_mean(name, process):
    fields = {Field("pos", scale=2.0, zero_mean=True): SDES[process](), Field("x"): SDES["vp"]()}
    model = GaussianScore(ForwardProcess(fields), mean=0.3, std=0.8)
    times = torch.tensor([0.9, 0.01, 0.5, 0.2, 0.99, 0.3, 0.7], dtype=torch.float64)
    noisy = model.process.perturb(ragged_batch(SIZES), times).batch
    output = quantities(model, model.process, noisy, times)[name]
    adapter = ADAPTERS[name](lambda batch, t: output, model.process)
    for quantity in ("forward", "score", "velocity"):
        expected = getattr(model, quantity)(noisy, times)
        for field, value in getattr(adapter, quantity)(noisy, times).items():
            assert_close(value, expected[field], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_register_modules_and_take_one_tensor(name):
    network = nn.Linear(3, 3)
    process = ForwardProcess({Field("pos", zero_mean=True): VESDE()})
    adapter = ADAPTERS[name](lambda batch, t: batch.pos, process)
    assert ADAPTERS[name](network, process).function is network
    assert len(list(ADAPTERS[name](network, process).parameters())) == 2
    noisy = process.perturb(ragged_batch(SIZES), T).batch
    assert float(ops.sum(adapter(noisy, T)["pos"], noisy.batch, 7).abs().max()) < 1e-10


@pytest.mark.parametrize("process", ["cosine-vp", "rectified", "harmonic"])
@pytest.mark.parametrize("name", ["data", "velocity"])
def test_data_and_velocity_are_defined_at_pure_noise(name, process):
    """At time 1 nothing is left of the data: the posterior mean is the data's mean, and can be learned there."""
    model = GaussianScore(ForwardProcess({Field("pos"): SDES[process]()}), mean=0.3, std=0.8)
    one = torch.ones(7, dtype=torch.float64)
    noisy = model.process.perturb(ragged_batch(SIZES), one).batch
    output = quantities(model, model.process, noisy, one)[name]
    adapter = ADAPTERS[name](lambda batch, t: output, model.process)
    assert not adapter.needs_signal
    assert_close(adapter(noisy, one)["pos"], torch.full_like(noisy.pos, 0.3), rtol=1e-6, atol=1e-6)


def test_a_score_without_a_process():
    field = Field("pos", zero_mean=True)
    model, batch = PlainScore(lambda batch, t: -batch.pos + 1, [field]), ragged_batch(SIZES)
    assert list(model.fields) == ["pos"] and not hasattr(model, "process")
    assert_close(model.score(batch, T)["pos"], -ops.center(batch.pos, batch.batch, 7))


@pytest.mark.exact
def test_preconditioning_counts_the_mean_variance_of_structured_noise():
    """Springs of a stiffness that gives unit mean variance: the same levels as without springs."""
    batch = ragged_batch([5] * 400)
    plain, springs = VESDE(), HarmonicSDE(VESDE(), stiffness=1.0)
    field = Field("pos", zero_mean=True)
    variance = springs.covariance(batch, field).mean_variance
    model = Denoiser(Constant(0.0), ForwardProcess({field: springs}))
    t = torch.full((400,), 0.5).double()
    noisy = model.process.perturb(batch, t).batch
    model(noisy, t)
    level = plain.std(t) * variance.sqrt()
    assert_close(model.network.levels[:, 0], level.log() / 4)
    freedom = 4 / 5
    assert float(model.network.batch.pos.var()) == pytest.approx(freedom, rel=5 * (2 / (400 * 12)) ** 0.5)


@pytest.mark.parametrize("make", [Denoiser, *ADAPTERS.values()])
@pytest.mark.parametrize(
    ("output", "words"),
    [
        (lambda b: b.pos[:, :1], r"Expected \[13, 3\], .* field 'pos', .* shape \[13, 1\]"),
        (lambda b: {"pos": b.pos[:1]}, r"Expected \[13, 3\], .* gave shape \[1, 3\]"),
        (lambda b: {"pos": 0}, "but the function gave int"),
        (lambda b: {"x": b.pos}, r"each of the fields \['pos'\], but the function gave only \['x'\]"),
        (lambda b: None, "but the function gave NoneType"),
    ],
)
def test_what_a_network_gives_has_the_shape_of_the_field(make, output, words):
    """A column alone would be spread over all columns."""
    process = ForwardProcess({Field("pos"): VESDE()})

    class Network(nn.Module):
        def forward(self, batch, times):
            return output(batch)

    with pytest.raises(ValueError, match=words):
        make(Network(), process)(ragged_batch(), torch.full((7,), 0.5))
