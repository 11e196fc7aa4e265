"""Log-densities against closed forms, in nats."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch, Data

from graphscore.denoiser import Denoiser, ScoreAdapter
from graphscore.fields import Field, replace
from graphscore.nn import EGNN, Category, ScoreNetwork
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import log_density
from graphscore.sdes import SDES, VESDE, VPSDE, HarmonicSDE
from graphscore.testing import GaussianMixtureScore, GaussianScore, ragged_batch

pytestmark = pytest.mark.exact

SIZES = (1, 2, 7, 0, 12)


def per_dimension(result, exact):
    return ((result.nats - exact) / result.dimension.clamp(min=1)).abs()


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("process", SDES)
def test_gaussians_in_data_units(process, zero_mean):
    """Below 1e-3 nats a dimension at default tolerances, for graphs of 1, 2, 7, 0 and 12 nodes."""
    # The tutorial's process ends at a level of only 10, where a hundredth of the variance is not in the prior.
    sde = VESDE(500.0) if process == "ve" else SDES[process]()
    field = Field("pos", scale=2.5, zero_mean=zero_mean)
    model = GaussianScore(ForwardProcess({field: sde}))
    sample = model.sample(ragged_batch(SIZES), torch.Generator().manual_seed(0), torch.float64)
    result = log_density(model, sample)
    assert (per_dimension(result, model.log_density(sample)) < 1e-3).all()
    assert result.dimension.tolist() == [3 * max(size - int(zero_mean), 0) for size in SIZES]
    bits = -result.nats / result.dimension / math.log(2)
    assert_close(result.bits_per_dim, bits, equal_nan=True)
    assert result.bits_per_dim[3].isnan() and result.nats[3] == 0


@pytest.mark.parametrize(("process", "zero_mean"), [*zip(SDES, itertools.cycle([False, True]), strict=False)])
def test_mean_log_density_of_gaussians_with_a_mean(process, zero_mean):
    """What the prior does not know of the data averages out: the entropy is right to 1e-3 nats a dimension."""
    sde = VESDE(500.0) if process == "ve" else SDES[process]()
    model = GaussianScore(ForwardProcess({Field("pos", zero_mean=zero_mean): sde}), "mean", std=0.7)
    batch = ragged_batch(SIZES * 200)
    batch.mean = torch.randn(22, 3, generator=torch.Generator().manual_seed(1)).double().repeat(200, 1) / 2
    sample = model.sample(batch, torch.Generator().manual_seed(0), torch.float64)
    # Without springs the Jacobian is a multiple of the identity, and one direction gives its trace.
    result = log_density(model, sample, num_probes=None if process == "harmonic" else 1)
    difference = result.nats - model.log_density(sample)
    assert abs(float(difference.sum() / result.dimension.sum())) < 1e-3


@pytest.mark.parametrize("process", SDES)
def test_the_models_own_law(process):
    """What is computed is the density of the prior carried along the flow: known for Gaussians, at any level."""
    sde, field = SDES[process](), Field("pos")
    model = GaussianScore(ForwardProcess({field: sde}), std=0.7)
    batch = model.sample(ragged_batch(SIZES), torch.Generator().manual_seed(0), torch.float64)
    start, end = (torch.full((len(SIZES),), time, dtype=torch.float64) for time in (1e-5, 0.7))
    late = model.flow(batch, start, end)
    covariance = sde.covariance(batch, field)

    def stretch(variance):
        early, after = (
            sde.alpha(t[0]) ** 2 * 0.49 + sde.std(t[0]) ** 2 * (variance if process == "harmonic" else 1.0)
            for t in (start, end)
        )
        return (after / early).log() / 2 + 0 * variance

    exact = covariance.log_density(late.pos, sde.std(end)) + 3 * covariance.trace(stretch)
    result = log_density(model, batch, end=0.7)
    assert (per_dimension(result, exact) < 1e-4).all()


def test_a_mixture():
    model = GaussianMixtureScore(ForwardProcess({Field("pos", scale=0.5, zero_mean=True): VPSDE()}), std=0.3)
    batch = ragged_batch(SIZES)
    batch.means = torch.randn(batch.num_nodes, 3, 3, generator=torch.Generator().manual_seed(1)).double() / 2
    sample = model.sample(batch, torch.Generator().manual_seed(0))
    assert (per_dimension(log_density(model, sample), model.log_density(sample)) < 1e-3).all()


def test_correlated_data_and_several_fields():
    """Springs in the data, a graph-level field beside them: the joint density is the product."""
    springs = HarmonicSDE()
    process = ForwardProcess({Field("pos", zero_mean=True): VPSDE(), Field("y", "graph", scale=3.0): SDES["edm"]()})
    model = GaussianScore(process, std=0.8, springs=None)
    chained = GaussianScore(ForwardProcess({Field("pos"): VPSDE()}), std=0.8, springs=springs)
    for exact in (model, chained):
        sample = exact.sample(ragged_batch(SIZES), torch.Generator().manual_seed(0), torch.float64)
        result = log_density(exact, sample)
        assert (per_dimension(result, exact.log_density(sample)) < 1e-3).all()


@pytest.mark.parametrize("projection", ["rademacher", "gaussian"])
def test_hutchinson_is_unbiased(projection):
    """Where directions do not all agree: each node of a chain pulls its neighbours."""
    model = GaussianScore(ForwardProcess({Field("pos"): VPSDE()}), std=0.8, springs=HarmonicSDE())
    single = Batch.from_data_list([ragged_batch((4,))[0]])
    sample = model.sample(single, torch.Generator().manual_seed(0), torch.float64)
    exact = float(model.log_density(sample))
    many = Batch.from_data_list([sample[0]] * 400)
    result = log_density(
        model, many, num_probes=1, projection=projection, generator=torch.Generator().manual_seed(1)
    ).nats  # fmt: skip
    assert float(result.std()) > 0.05
    assert float(result.mean()) == pytest.approx(exact, abs=4 * float(result.std()) / 20 + 1e-3)
    averaged = log_density(
        model, many, num_probes=8, projection=projection, generator=torch.Generator().manual_seed(1)
    ).nats  # fmt: skip
    assert float(averaged.std()) == pytest.approx(float(result.std()) / 8**0.5, rel=0.25)


def network() -> Denoiser:
    torch.manual_seed(1)
    score_network = ScoreNetwork(EGNN(8, 1, cond_channels=4), {"pos": 3}, {"z": Category(4)})
    with torch.no_grad():
        for parameter in score_network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return Denoiser(score_network, ForwardProcess({Field("pos", zero_mean=True): VPSDE()})).double()


@pytest.mark.slow
def test_networks_give_invariant_densities_that_do_not_depend_on_the_batch():
    model, batch = network(), ragged_batch((1, 0, 3), edgeless=())
    # Rounding changes the steps that are taken, and with them the result, within the tolerance.
    # Not along all of the flow, which takes hundreds of steps.
    turn = torch.linalg.qr(torch.randn(3, 3).double())[0]
    options = {"rtol": 1e-8, "atol": 1e-8, "start": 0.05, "end": 0.3}
    moved = log_density(model, replace(batch, {"pos": batch.pos @ turn.T + 2}), **options).nats
    assert_close(moved, log_density(model, batch, **options).nats, rtol=0, atol=1e-6)
    together = log_density(model, batch).nats
    alone = log_density(model, Batch.from_data_list([batch[2]])).nats
    assert_close(alone, together[2:], rtol=0, atol=1e-9)
    probed = log_density(model, batch, num_probes=1, generator=GraphGenerator(range(3))).nats
    alone = log_density(model, Batch.from_data_list([batch[2]]), num_probes=1, generator=GraphGenerator([2])).nats
    assert_close(alone, probed[2:], rtol=0, atol=1e-9)
    assert not together.requires_grad and all(p.grad is None for p in model.parameters())


def test_float32_networks():
    model, batch = network(), ragged_batch((1, 3, 0, 4))
    exact = log_density(model, batch)
    rounded = log_density(model.float(), ragged_batch((1, 3, 0, 4), dtype=torch.float32))
    assert rounded.nats.dtype == torch.float64
    assert (per_dimension(rounded, exact.nats) < 2e-3).all()


def test_score_functions_end_where_something_is_left():
    process = ForwardProcess({Field("pos"): SDES["cosine-vp"]()})
    exact = GaussianScore(process, std=0.7)
    model = ScoreAdapter(lambda batch, t: exact.score(batch, t), process)
    sample = exact.sample(ragged_batch(SIZES), torch.Generator().manual_seed(0), torch.float64)
    assert (per_dimension(log_density(model, sample), exact.log_density(sample)) < 1e-3).all()


def test_bad_options_are_rejected():
    model = GaussianScore(ForwardProcess({Field("pos"): VPSDE()}))
    for options in ({"start": 0.0}, {"start": 0.5, "end": 0.2}, {"end": 1.5}):
        with pytest.raises(ValueError, match="from `start` to a later `end`"):
            log_density(model, ragged_batch(SIZES), **options)
    with pytest.raises(ValueError, match="no attribute 'pos'"):
        log_density(model, Batch.from_data_list([Data(edge_index=torch.zeros(2, 0).long(), num_nodes=2)]))
