from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import ops, times
from graphscore.fields import Field, replace
from graphscore.guidance import DistanceRestraint, HarmonicRestraint, Restraint
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS
from graphscore.sdes import VESDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7], dtype=torch.float64)
BOUNDS = ("lower", "upper")


def paired(lower, upper, dim=3, graphs=None):
    """A ragged batch in which each node but the last of a graph is paired with the next one."""
    graphs = ragged_batch(SIZES, dim=dim).to_data_list() if graphs is None else graphs
    for graph in graphs:
        nodes = torch.arange(max(graph.num_nodes - 1, 0))
        graph.pair_index = torch.stack([nodes, nodes + 1])
        graph.lower, graph.upper = (torch.full((len(nodes),), value, dtype=torch.float64) for value in (lower, upper))
    return Batch.from_data_list(graphs)


def lengths(batch):
    first, second = batch.pair_index
    return (batch.pos[first] - batch.pos[second]).norm(dim=1)


def process_of(scale=1.0, zero_mean=True):
    return ForwardProcess({Field("pos", scale=scale, zero_mean=zero_mean): VESDE()})


@pytest.mark.exact
@pytest.mark.parametrize("strength", [0.7, math.inf])
def test_distances_on_a_line_are_gaussian_conditioning(gaussian_data, sde, strength):
    """Far apart in their order on a line, distances are linear functions of positions."""
    data = gaussian_data(sde)
    graphs = data.batch.to_data_list()
    for graph in graphs:
        graph.mean = 30.0 * torch.arange(graph.num_nodes, dtype=torch.float64)[:, None].expand(-1, 2) * torch.eye(2)[0]
    # A second column that all share, at no distance, so that each has one number.
    data.batch = paired(52.0, 52.0, graphs=graphs)
    data.mean = data.batch.mean[:, :1]
    process = ForwardProcess({data.field: sde})
    line = GaussianScore(process, "line", 0.9, data.model.springs)
    noisy = data.noisy(T)
    noisy = replace(noisy, {"pos": noisy.pos[:, :1], "line": data.mean})
    x0_hat = DistanceRestraint(line, "pos", "pair_index", BOUNDS, strength, num_iterations=5)(noisy, T)["pos"]
    first, second = data.batch.pair_index
    observe = torch.zeros(len(first), 13, dtype=torch.float64)
    observe[range(len(first)), first], observe[range(len(first)), second] = -1.0, 1.0
    value = torch.full((len(first), 1), 52.0 / data.scale, dtype=torch.float64)
    moments = data.given(observe, value, 1 / (strength * data.scale**2))
    assert_close(x0_hat, data.posterior_mean(noisy.pos, T, *moments), rtol=0, atol=1e-9)


@pytest.mark.parametrize("through_network", [True, False])
def test_distances_within_their_bounds_change_nothing(through_network):
    batch = paired(0.0, math.inf)
    model = GaussianScore(process_of(), std=0.8)
    guided = DistanceRestraint(model, "pos", "pair_index", BOUNDS, 5.0, 4, through_network)
    assert torch.equal(guided(batch, T)["pos"], model(batch, T)["pos"])


@pytest.mark.parametrize("strength", [10.0, math.inf])
def test_nodes_that_meet_have_finite_steps(strength):
    batch = paired(1.0, 1.2)
    batch.pos = torch.zeros_like(batch.pos)
    guided = DistanceRestraint(GaussianScore(process_of(), std=0.8), "pos", "pair_index", BOUNDS, strength)
    assert torch.equal(guided(batch, T)["pos"], batch.pos)
    batch.pos[:4, 0] = torch.tensor([0.0, 0.0, 1e-300, 1.0])
    assert guided(batch, T)["pos"].isfinite().all()


@pytest.mark.parametrize("lower, upper", [(2.0, 2.0), (2.5, 3.0), (0.0, 0.5)])
def test_samples_keep_bounds_of_infinite_strength(lower, upper):
    batch = paired(lower, upper)
    free = GaussianScore(process_of(1.7), std=0.8)
    model = DistanceRestraint(free, "pos", "pair_index", BOUNDS, math.inf)

    def violation(model, end):
        grid = times.karras_grid(30, VESDE(), end=end)
        distance = lengths(SAMPLERS["ancestral"](model, grid)(batch, GraphGenerator(range(7))).batch)
        return float((distance - distance.clamp(lower, upper)).abs().max())

    assert violation(free, 1e-5) > 0.3
    # What linearisation leaves falls with the square of the last noise level, here by a factor of 100.
    assert violation(model, 1e-3) < 3e-2 and violation(model, 1e-5) < 3e-4


def test_strengths_weigh_restraints_against_the_data():
    """The energy falls with the strength, and what is pulled apart is pulled along its line."""
    batch, previous = paired(6.0, 7.0), math.inf
    model = GaussianScore(process_of(), std=0.8)
    for strength in (0.0, 0.1, 1.0, 10.0, math.inf):
        x0_hat = DistanceRestraint(model, "pos", "pair_index", BOUNDS, strength)(batch, T)["pos"]
        violation = float((6.0 - lengths(replace(batch, {"pos": x0_hat}))).detach().clamp(min=0).square().sum())
        assert violation < previous
        previous = violation
    two = batch.batch == 5
    apart = (x0_hat - model(batch, T)["pos"])[two]
    assert_close(apart.sum(0), torch.zeros(3).double(), rtol=0, atol=1e-12)


class GyrationRestraint(Restraint):
    """A custom restraint: the mean square distance from the center is to be 9, one residual per graph."""

    def residuals(self, batch, x):
        return ops.mean(x.square().sum(-1), batch.batch, batch.num_graphs) - 9.0

    def residual_index(self, batch):
        return torch.arange(batch.num_graphs)


def test_restraints_of_the_users_own():
    """Graphs of one node are at their center, and none can obey: they stay there."""
    model = GyrationRestraint(GaussianScore(process_of(1.7), std=0.8), "pos", math.inf, num_iterations=1)
    grid = times.karras_grid(30, VESDE(), end=1e-5)
    sample = SAMPLERS["ancestral"](model, grid)(ragged_batch(SIZES), GraphGenerator(range(7))).batch
    square = ops.mean(sample.pos.square().sum(-1), sample.batch, 7)
    assert_close(square, torch.tensor([0.0, 9.0, 0.0, 0.0, 9.0, 9.0, 0.0]), rtol=0, atol=1e-3)


def test_pairs_are_counted_on_from_graph_to_graph():
    batch = paired(2.0, 2.0)
    assert (batch.batch[batch.pair_index[0]] == batch.batch[batch.pair_index[1]]).all()
    assert int(batch.pair_index.max()) == 12
    with pytest.raises(ValueError, match="must have 'index' in its name, .* call it 'pairs_index' instead of 'pairs'"):
        DistanceRestraint(GaussianScore(process_of()), "pos", "pairs", BOUNDS, 1.0)


def test_wrong_arguments_are_named():
    model, batch = GaussianScore(process_of()), paired(2.0, 2.0)
    for numbers in ((-1.0,), (math.nan,), (1.0, 0), (1.0, 1, True, 0.0)):
        with pytest.raises(ValueError, match="HarmonicRestraint: the strength must be at least 0, num_iterations and"):
            HarmonicRestraint(model, "pos", "known", "target", *numbers)
    with pytest.raises(ValueError, match="'pos' is a field, which sampling overwrites"):
        HarmonicRestraint(model, "pos", "known", "pos", 1.0)
    with pytest.raises(ValueError, match="no field 'x'"):
        DistanceRestraint(model, "x", "pair_index", BOUNDS, 1.0)
    with pytest.raises(ValueError, match="'edge_attr' belongs to edges"):
        edges = GaussianScore(ForwardProcess({Field("edge_attr", "edge"): VESDE()}))
        DistanceRestraint(edges, "edge_attr", "pair_index", BOUNDS, 1.0)
    restraint = DistanceRestraint(model, "pos", "pair_index", BOUNDS, 1.0)
    with pytest.raises(ValueError, match=r"must be int64 of shape \[2, P\], but are torch.float32 of shape \[2, 3\]"):
        restraint(replace(batch, {"pair_index": torch.zeros(2, 3)}), T)
    with pytest.raises(ValueError, match=r"'lower' must have shape \[9\], but has \[3\]"):
        restraint(replace(batch, {"lower": torch.zeros(3)}), T)
