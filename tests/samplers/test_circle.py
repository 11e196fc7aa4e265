"""Samples, likelihoods, interpolation and inpainting of angles, with scores that are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch, Data

from graphscore.fields import Field, replace, wrap
from graphscore.guidance import EnergyGuidance, HarmonicRestraint, Inpainting
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, drift, interpolate, log_density
from graphscore.sdes import GeometricVESDE, RectifiedSDE
from graphscore.testing import WrappedMixtureScore
from graphscore.testing.combinations import CHOOSE_STEPS
from graphscore.train.calibration import errors

SDES = {"wrapped": GeometricVESDE(0.01, 4.5), "geodesic": RectifiedSDE()}


def batch_of(copies=1, sizes=(2, 0, 1)) -> Batch:
    """Angles of two kinds, at -3 or 0.5 and at 2 or -1, of which 30 % and 70 % are."""
    places = torch.tensor([[[-3.0], [0.5]], [[2.0], [-1.0]]], dtype=torch.float64)
    graphs = [Data(angle=torch.zeros(n, 1).double(), means=places[:n], num_nodes=n) for n in sizes]
    return Batch.from_data_list(graphs * copies)


def make(name: str, **options) -> WrappedMixtureScore:
    process = ForwardProcess({Field("angle", periodic=True, width=1): SDES[name]})
    return WrappedMixtureScore(process, std=0.25, weights=[0.3, 0.7], **options)


# Those whose order is not measured, and one of each kind of step.
CASES = [(name, "wrapped") for name in ("ancestral", "adaptive", "resampling", "annealed-langevin")]
CASES += [(name, "geodesic") for name in ("heun", "adaptive")]


@pytest.mark.exact
@pytest.mark.parametrize(("name", "process"), CASES)
def test_samples_of_an_exact_model_have_the_moments_of_the_data(name, process):
    model, batch = make(process, per_graph=True), batch_of(400)
    x = SAMPLERS[name](model, 2 if name in CHOOSE_STEPS else 60, denoise_last=False)(
        batch, torch.Generator().manual_seed(0)
    ).batch.angle
    assert x.abs().max() <= math.pi
    kind, shares = torch.tensor([0, 1, 0]).repeat(400), torch.tensor([0.3, 0.7])
    for which in (0, 1):
        own = x[kind == which, 0]
        means = batch.means[kind == which][0, :, 0]
        for order in (1, 2):
            exact = math.exp(-((order * 0.25) ** 2) / 2) * (shares * torch.exp(order * 1j * means)).sum()
            found = torch.exp(order * 1j * own).mean()
            assert abs(complex(found - exact)) < 4 / len(own) ** 0.5 + 0.03  # 60 steps of order 1 are 3 % off
    both = x.view(400, 3)
    assert ((wrap(both[:, 0] + 3).abs() < 1) == (wrap(both[:, 1] - 2).abs() < 1)).double().mean() > 0.98


@pytest.mark.parametrize("name", ["ancestral", "sde-dpm-solver++", "karras"])
def test_the_sample_of_a_graph_does_not_depend_on_its_batch(name):
    model, grid = make("wrapped"), 8
    sampler = SAMPLERS[name](model, grid)
    together = sampler(batch_of(2), GraphGenerator(range(6))).batch.angle
    alone = sampler(batch_of(sizes=(2,)), GraphGenerator([3])).batch.angle
    assert_close(together[3:5], alone, atol=1e-13, rtol=0)


@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if sampler.stochastic])
def test_samplers_that_draw_noise_are_refused_for_flows_without_a_score(name):
    options = {"method": "heun"} if name == "resampling" else {}
    with pytest.raises(ValueError, match="sample by a deterministic sampler such as 'euler' or 'heun'"):
        SAMPLERS[name](make("geodesic"), 8, **options)(batch_of())


@pytest.mark.exact
@pytest.mark.parametrize("process", SDES)
@pytest.mark.parametrize("per_graph", [False, True])
def test_log_densities_are_those_on_the_circle(process, per_graph):
    model = make(process, per_graph=per_graph)
    batch = model.sample(batch_of(), torch.Generator().manual_seed(0))
    early = torch.full((3,), 0.02, dtype=torch.float64)
    result = log_density(model, batch, start=0.02, rtol=1e-6, atol=1e-6)
    assert result.dimension.tolist() == [2, 0, 1]
    # At its highest level, the noise leaves a share e^-10 of the data.
    assert_close(result.nats, model.log_density(batch, early), atol=5e-4, rtol=0)


@pytest.mark.parametrize("process", SDES)
def test_interpolation_ends_at_both_graphs(process):
    model = make(process)
    first, second = (model.sample(batch_of(), torch.Generator().manual_seed(seed)) for seed in (0, 1))
    ends = interpolate(model, first, second, [0.0, 0.5, 1.0], start=0.02)
    for found, exact in ((ends[0], first), (ends[2], second)):
        assert_close(wrap(found.angle - exact.angle), torch.zeros_like(exact.angle), atol=2e-3, rtol=0)


@pytest.mark.parametrize("process", SDES)
def test_known_angles_are_kept_and_independent_ones_stay_as_they_are(process):
    batch = batch_of(20)
    known = torch.arange(len(batch.angle)) % 3 == 1
    batch = replace(batch, {"known": known, "values": torch.full((60, 1), 3.1 + 2 * math.pi, dtype=torch.float64)})
    model, generators = make(process), [GraphGenerator(range(60)) for _ in range(2)]
    free, guided = (
        SAMPLERS["heun"](one, 20)(batch, generator).batch.angle
        for one, generator in zip((model, Inpainting(model, "angle", "known", "values")), generators, strict=True)
    )
    assert_close(wrap(guided[known] - 3.1), torch.zeros(20, 1).double(), atol=1e-12, rtol=0)
    assert_close(guided[~known], free[~known])
    resampled = SAMPLERS["resampling"](Inpainting(model, "angle", "known", "values"), 6, num_resamples=2)
    if process == "wrapped":
        sample = resampled(batch, torch.Generator().manual_seed(0)).batch.angle
        assert_close(wrap(sample[known] - 3.1), torch.zeros(20, 1).double(), atol=1e-12, rtol=0)


def test_guidance_by_moments_is_refused():
    model = make("wrapped")
    for attempt in (
        lambda: EnergyGuidance(model, lambda batch: batch.angle.sum()),
        lambda: HarmonicRestraint(model, "angle", "known", "values", 1.0),
    ):
        with pytest.raises(ValueError, match=r"angles \['angle'\] is not; for angles there are Inpainting"):
            attempt()
    with pytest.raises(ValueError, match="angles 'angle' cannot be rotated"):
        Inpainting(model, "angle", "known", "values", rigid=True)


def test_the_drift_of_angles_is_relative_to_the_radius():
    model = make("wrapped")
    result = SAMPLERS["heun"](model, 4)(batch_of(), torch.Generator().manual_seed(0))
    change = result.x0_hat["angle"] - result.previous["angle"]
    expected = torch.stack([change[:2].square().mean().sqrt(), torch.zeros(()), change[2:].abs().mean()])
    assert_close(drift(result, model.process), expected.float())


@pytest.mark.exact
def test_an_exact_model_knows_its_error():
    """Predicted and actual error, full turns included, at noise that goes around the circle."""
    model, batch = make("wrapped"), batch_of(2000)
    batch = model.sample(batch, torch.Generator().manual_seed(0))
    t = torch.full((6000,), 0.9, dtype=torch.float64)
    found = errors(model, batch, t, GraphGenerator(range(6000)), GraphGenerator(range(6000, 12000)))
    assert float(found.predicted.sum() / found.actual.sum()) == pytest.approx(1, abs=0.05)
