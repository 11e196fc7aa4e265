"""Angles as a diffusing field: the process, its training targets and what is refused."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser, ScoreAdapter
from graphscore.experiment.pretrained import load
from graphscore.fields import Field, wrap
from graphscore.nn import EGNN, Category, ScoreNetwork
from graphscore.nn.self_conditioned_network import SelfConditionedNetwork
from graphscore.objectives import OBJECTIVES, WEIGHTS
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.sdes import EDMSDE, VESDE, VPSDE, GeometricVESDE, HarmonicSDE, RectifiedSDE, wrapped_normal
from graphscore.testing import WrappedMixtureScore, assert_batch_independent

SDES = {"wrapped": GeometricVESDE(0.01, 3.2), "geodesic": RectifiedSDE()}
ANGLE = Field("angle", periodic=True, width=2)


def batch_of(sizes=(3, 0, 1, 5), seed=0) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return 2 * math.pi * torch.rand(*shape, dtype=torch.float64, generator=generator) - math.pi

    graphs = [Data(angle=uniform(n, 2), means=uniform(n, 3, 2), z=torch.arange(n) % 3, num_nodes=n) for n in sizes]
    for graph in graphs:
        nodes = torch.arange(graph.num_nodes if graph.num_nodes < 100 else 0)
        pairs = torch.cartesian_prod(nodes, nodes).reshape(-1, 2).T
        graph.edge_index = pairs[:, pairs[0] != pairs[1]]
    return Batch.from_data_list(graphs)


def times(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture(params=SDES)
def process(request) -> ForwardProcess:
    return ForwardProcess({ANGLE: SDES[request.param]})


T = times(0.9, 0.2, 0.4, 0.05)


def test_noisy_angles_are_clean_ones_plus_noise_up_to_full_turns(process):
    batch = batch_of()
    ((_, sde),) = process
    noisy, clean, eps = process.perturb(batch, T, generator=torch.Generator().manual_seed(0))
    assert noisy.angle.abs().max() <= math.pi
    moved = batch.angle + sde.std(T)[batch.batch, None] * eps["angle"]
    assert_close(wrap(noisy.angle - moved), torch.zeros_like(moved), atol=1e-14, rtol=0)
    turned = batch.clone()
    turned.angle = turned.angle + 2 * math.pi * torch.randint(-3, 4, turned.angle.shape).double()
    again = process.perturb(turned, T, generator=torch.Generator().manual_seed(0))
    assert_close(wrap(again.batch.angle - noisy.angle), torch.zeros_like(moved), atol=1e-13, rtol=0)
    assert_close(wrap(again.x0["angle"] - clean["angle"]), torch.zeros_like(moved), atol=1e-12, rtol=0)


@pytest.mark.parametrize("time", [0.0, 1e-4])
def test_where_there_is_little_noise_the_target_is_the_nearest_copy_of_the_clean_angle(process, time):
    batch = batch_of()
    noisy, clean, _ = process.perturb(batch, times(*[time] * 4), generator=torch.Generator().manual_seed(0))
    nearest = noisy.angle + wrap(batch.angle - noisy.angle)
    assert_close(clean["angle"], nearest, atol=1e-14, rtol=0)


@pytest.mark.exact
@pytest.mark.parametrize("time", [0.1, 0.5, 0.95])
def test_the_mean_target_at_a_noisy_angle_is_the_posterior_mean(process, time):
    """By the trapezoidal rule over all clean angles: what regression on the targets converges to."""
    ((_, sde),) = process
    model = WrappedMixtureScore(process, std=0.5, weights=[0.2, 0.3, 0.5])
    count, t = 3000, times(time)
    x0 = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count) - math.pi
    means = torch.tensor([-2.9, 0.3, 1.7], dtype=torch.float64).view(1, 3, 1)
    grid = Batch.from_data_list([Data(angle=x.view(1, 1), means=means, num_nodes=1) for x in x0])
    prior, std = model.log_density(grid).exp(), sde.std(t)
    for xt in (-3.0, -0.7, 1.0, 2.5):
        moved = wrap(xt - x0)
        kernel = wrapped_normal.log_density(moved, std).exp() if sde.has_score else (moved.abs() < math.pi * std) * 1.0
        weights = prior * kernel
        target = sde.clean(x0[:, None], torch.full((count, 1), xt, dtype=torch.float64), std.expand(count, 1))[:, 0]
        here = Batch.from_data_list([Data(angle=times(xt).view(1, 1), means=means, num_nodes=1)])
        tolerance = 1e-10 if sde.has_score else 2e-3  # the kernel of the shortest arc ends abruptly
        mean = float((weights * target).sum() / weights.sum())
        assert float(model(here, t)["angle"]) == pytest.approx(mean, abs=tolerance)


@pytest.mark.exact
def test_the_exact_score_is_the_derivative_of_the_exact_density():
    model = WrappedMixtureScore(ForwardProcess({ANGLE: SDES["wrapped"]}), std=0.3, weights=[0.2, 0.3, 0.5])
    for per_graph in (False, True):
        model.per_graph = per_graph
        batch = batch_of()
        batch.angle.requires_grad_()
        (gradient,) = torch.autograd.grad(model.log_density(batch, T).sum(), batch.angle)
        assert_close(model.score(batch, T)["angle"], gradient, atol=1e-10, rtol=1e-10)


@pytest.mark.exact
@pytest.mark.parametrize("time", [0.01, 0.3, 0.7, 1.0])
def test_a_score_of_zero_has_a_loss_of_one_at_every_noise_level(time):
    """The weight is the inverse of the mean squared score; data at one point make the target that of the noise."""
    process = ForwardProcess({ANGLE: SDES["wrapped"]})
    batch = batch_of([10_000])
    nothing = ScoreAdapter(lambda noisy, t: torch.zeros_like(noisy.angle), process)
    for weight in ("variance", "edm"):
        losses = nothing.losses(
            batch, t=times(time), weight=WEIGHTS[weight], generator=torch.Generator().manual_seed(0)
        )
        assert float(losses["angle"]) == pytest.approx(1, abs=0.03)


def test_a_denoiser_has_targets_of_unit_variance(process):
    ((_, sde),) = process
    network = ScoreNetwork(EGNN(16, 1), process, {"z": Category(3)}, positions=None).double()
    batch, model = batch_of([10_000]), Denoiser(network, process)
    for time in (0.02, 0.5, 1.0):
        noisy, clean, _ = process.perturb(batch, times(time), generator=torch.Generator().manual_seed(0))
        target = (clean["angle"] - noisy.angle) / sde.offset_std(times(time))
        assert float(target.square().mean()) == pytest.approx(1, abs=0.03)
        assert_close(model(noisy, times(time))["angle"], noisy.angle)  # heads start at zero


@pytest.mark.parametrize("name", SDES)
def test_a_score_network_reads_angles_up_to_full_turns_and_learns_them(name):
    """Angles of two kinds of nodes, one at -3.1 and 3.1, on both sides of the cut."""
    process = ForwardProcess({Field("angle", periodic=True, width=1): SDES[name]})
    network = ScoreNetwork(EGNN(32, 1), process, {"z": Category(3)}, positions=None)
    model, generator = Denoiser(network, process), torch.Generator().manual_seed(0)
    batch = batch_of([6] * 32)
    center = torch.tensor([math.pi, 0.5, -1.5])[batch.z][:, None]
    batch.angle = wrap(center + 0.05 * torch.randn(center.shape, generator=generator))
    noisy = process.perturb(batch, torch.full((32,), 0.5).double(), generator=generator).batch
    turned = noisy.clone()
    turned.angle = turned.angle + 2 * math.pi
    half = torch.full((32,), 0.5).double()
    assert_close(model(turned, half)["angle"] - turned.angle, model(noisy, half)["angle"] - noisy.angle)
    objective = OBJECTIVES["denoising" if name == "wrapped" else "flow-matching"]

    def loss():
        return model.loss(batch, objective=objective, generator=generator)

    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    baseline = 1.0 if name == "wrapped" else math.pi**2 / 3
    assert float(torch.stack([loss().detach() for _ in range(10)]).mean()) < 0.5 * baseline


def test_graphs_are_independent_and_saved_models_are_the_same(process, tmp_path):
    network = ScoreNetwork(EGNN(16, 2), process, {"z": Category(3)}, positions=None, zero_init=False).double()
    model = Denoiser(network, process)

    def at_half(batch):
        return model(batch, torch.full((batch.num_graphs,), 0.5).double())

    assert_batch_independent(at_half, batch_of(), inputs=["angle"])
    model.float().save(tmp_path / "model.safetensors")
    loaded, batch = load(tmp_path / "model.safetensors"), batch_of()
    batch.angle = batch.angle.float()
    assert repr(loaded.process) == repr(process)
    assert torch.equal(loaded(batch, T)["angle"], model.eval()(batch, T)["angle"])


def test_the_prior_is_uniform_and_that_of_a_graph_its_own(process):
    start = process.prior(batch_of([20_000]), torch.Generator().manual_seed(0), torch.float64).angle
    assert start.abs().max() <= math.pi
    for order in (1, 2, 3):
        assert float((order * start).cos().mean()) == pytest.approx(0, abs=4 / (2 * 40_000) ** 0.5)
    alone = process.prior(batch_of([3]), GraphGenerator([7])).angle
    among = process.prior(batch_of([5, 3, 2]), GraphGenerator([1, 7, 3])).angle
    assert torch.equal(alone, among[5:8])
    with pytest.raises(ValueError, match=r"uniform and has no scale 0\.9"):
        process.prior(batch_of(), scale=0.9)


@pytest.mark.parametrize(
    ("sde", "words"),
    [
        (VPSDE(), "choose a variance-exploding process, such as GeometricVESDE"),
        (HarmonicSDE(VESDE(7.0)), "cannot be scaled or correlated"),
        (VESDE(25.0), "must be between 3 and 5 radians, .* is 9.85"),
        (EDMSDE(2.0), "must be between 3 and 5 radians, .* is 2"),
    ],
)
def test_processes_that_are_not_of_angles_are_refused(sde, words):
    with pytest.raises(ValueError, match=words):
        ForwardProcess({ANGLE: sde})


@pytest.mark.parametrize("options", [{"scale": 2.0}, {"zero_mean": True}])
def test_angles_have_no_scale_nor_mean(options):
    with pytest.raises(ValueError, match="a periodic field needs scale=1 and zero_mean=False"):
        Field("angle", periodic=True, **options)


def test_a_process_of_angles_is_for_periodic_fields_and_stays_what_it_is(process):
    assert ForwardProcess(process.sdes).sdes == process.sdes
    ((_, sde),) = process
    with pytest.raises(ValueError, match="field 'pos' is not periodic"):
        ForwardProcess({Field("pos"): sde})


def test_the_shortest_arc_has_no_score():
    process, batch = ForwardProcess({ANGLE: RectifiedSDE()}), batch_of()
    model = WrappedMixtureScore(process)
    for attempt in (
        lambda: ScoreAdapter(torch.zeros_like, process),
        lambda: model.score(batch, T),
        lambda: model.loss(batch, t=T),
        lambda: OBJECTIVES["implicit"](model, batch, T, reduce="mean"),
    ):
        with pytest.raises(ValueError, match="is a flow without a score: train by the objective 'flow-matching'"):
            attempt()


def test_networks_that_would_read_angles_as_numbers_are_refused(process):
    def network(field, positions=None, kind=ScoreNetwork):
        sde = next(iter(process))[1].line
        return kind(EGNN(16, 1), ForwardProcess({field: sde}), positions=positions)

    with pytest.raises(ValueError, match="those of nodes and graphs can be read"):
        network(Field("angle", "edge", periodic=True, width=1))
    with pytest.raises(ValueError, match="positions and vectors have no period"):
        network(ANGLE, positions="angle")
    with pytest.raises(ValueError, match="reads no estimates of angles"):
        network(ANGLE, kind=SelfConditionedNetwork)
    plain = ScoreNetwork(EGNN(16, 1), {"angle": 2}, positions=None)
    with pytest.raises(ValueError, match=re.escape("are ['angle'], but the network reads [] as angles")):
        Denoiser(plain, process)


def test_angles_cannot_be_aligned(process):
    model = WrappedMixtureScore(process)
    with pytest.raises(ValueError, match="'angle' have no rotation to align"):
        OBJECTIVES["flow-matching"](model, batch_of(), T, reduce="mean", align={"angle": "target"})
