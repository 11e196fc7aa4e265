"""The adaptive solver: exact solutions, tolerances, and graphs that know nothing of each other."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import times
from graphscore.denoiser import ScoreAdapter
from graphscore.fields import Field
from graphscore.linalg.runge_kutta import solve
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import AdaptiveSampler
from graphscore.samplers.adaptive import StraightFlow
from graphscore.sdes import SDES, VESDE, VPSDE
from graphscore.testing import GaussianScore, observed_order, ragged_batch

SIZES = (1, 2, 7, 60, 0)


def oscillators(rates, tolerance, **options):
    """``y'' = -w^2 y`` for one graph of one row for each rate w, over a time of 3: its solution is known."""
    rates = torch.tensor(rates, dtype=torch.float64)
    index, count = {"y": torch.arange(len(rates))}, len(rates)

    def function(tau, state):
        y = state["y"]
        return {"y": torch.stack([rates * y[:, 1], -rates * y[:, 0]], -1)}

    start = {"y": torch.tensor([[1.0, 0.0]], dtype=torch.float64).repeat(count, 1)}
    ends = torch.zeros(count).double(), torch.full((count,), 3.0).double()
    solution = solve(function, start, index, *ends, rtol=tolerance, atol=tolerance, **options)
    exact = torch.stack([(3 * rates).cos(), -(3 * rates).sin()], -1)
    return solution, (solution.state["y"] - exact).abs().amax(-1)


@pytest.mark.exact
def test_the_pair_has_order_5():
    """With tolerances so loose that the steps are those given: halving them divides the error by 32."""
    sizes = [0.2, 0.1, 0.05]
    errors = []
    for size in sizes:
        y, tau = {"y": torch.tensor([[1.0]], dtype=torch.float64)}, 0.0
        for _ in range(round(1 / size)):
            # y' = y cos(tau), so that the nodes matter too: y = exp(sin(tau)).
            y = solve(
                lambda t, s: {"y": s["y"] * t.cos()[:, None]}, y, {"y": torch.zeros(1).long()},
                torch.tensor([tau]).double(), torch.tensor([tau + size]).double(),
                rtol=1e3, atol=1e3, step=torch.tensor([size]).double(),
            ).state  # fmt: skip
            tau += size
        errors.append(abs(float(y["y"]) - float(torch.tensor(tau).double().sin().exp())))
    assert observed_order([1 / size for size in sizes], errors) == pytest.approx(5, abs=0.2)


@pytest.mark.exact
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_errors_follow_the_tolerance(tolerance):
    solution, errors = oscillators([1.0, 5.0], tolerance)
    assert (errors < 20 * tolerance).all() and (errors > 1e-3 * tolerance).all()
    assert solution.num_evaluations[1] > 2 * solution.num_evaluations[0]


def test_each_graph_takes_its_own_steps():
    """An easy graph costs the same, and ends the same to the bit, beside a hard one."""
    alone, together = oscillators([1.0], 1e-6)[0], oscillators([1.0, 40.0], 1e-6)[0]
    assert torch.equal(alone.state["y"], together.state["y"][:1])
    assert alone.num_evaluations[0] == together.num_evaluations[0] < together.num_evaluations[1] / 10


def test_backward_in_time_and_no_way_to_go():
    index = {"y": torch.tensor([0, 1])}
    y = {"y": torch.ones(2, 1).double()}
    start, end = torch.tensor([1.0, 0.5]).double(), torch.tensor([0.0, 0.5]).double()
    solution = solve(lambda tau, state: {"y": state["y"]}, y, index, start, end, rtol=1e-10, atol=1e-10)
    assert_close(solution.state["y"][:, 0], torch.tensor([-1.0, 0.0]).double().exp(), rtol=1e-9, atol=0)


def test_a_flow_that_does_not_arrive_names_the_graph():
    with pytest.raises(RuntimeError, match=r"Graph 1 is at 0\.\d+ on its way from 0 to 3 after 20 steps"):
        oscillators([0.1, 900.0], 1e-8, max_steps=20)


def test_steps_that_blow_up_are_tried_again_shorter():
    """A right-hand side that is NaN beyond a wall in the trial stages only."""

    def function(tau, state):
        return {"y": torch.where(state["y"] < 1.5, 1 + 0 * state["y"], torch.nan)}

    y = {"y": torch.zeros(1, 1).double()}
    solution = solve(function, y, {"y": torch.zeros(1).long()}, *torch.tensor([[0.0], [1.0]]).double(),
                     step=torch.tensor([50.0]).double() * 0 + 1.0)  # fmt: skip
    assert_close(solution.state["y"], torch.ones(1, 1).double())


@pytest.mark.parametrize("options", [{"rtol": 0.0}, {"atol": -1.0}, {"max_steps": 0}])
def test_bad_options_are_rejected(options):
    model = GaussianScore(ForwardProcess({Field("pos"): VESDE()}))
    with pytest.raises(ValueError, match="must be positive"):
        AdaptiveSampler(model, times.linear_grid(1), **options)
    with pytest.raises(ValueError, match="must be positive"):
        oscillators([1.0], **{"tolerance": 1e-3, **options} if "max_steps" in options else {"tolerance": -1.0})


@pytest.mark.exact
@pytest.mark.parametrize("process", SDES)
def test_flow_of_a_gaussian_to_the_tolerance(process):
    """Two fields whose processes differ, on 1, 2, 7, 60 nodes and none, against the exact flow."""
    sde = SDES[process]()
    fields = {Field("pos", zero_mean=True): sde, Field("x"): VPSDE(), Field("y", "graph"): SDES["rectified"]()}
    model = GaussianScore(ForwardProcess(fields), std=0.5)
    batch = ragged_batch(SIZES)
    grid = torch.tensor([0.8, 1e-3], dtype=torch.float64)
    start, end = (time.expand(len(SIZES)) for time in grid)
    clean = model.sample(batch, torch.Generator().manual_seed(0), torch.float64)
    noisy = model.process.perturb(clean, start, generator=torch.Generator().manual_seed(1)).batch
    exact, errors = model.flow(noisy, start, end), {}
    for tolerance in (1e-4, 1e-7):
        sample = AdaptiveSampler(model, grid, rtol=tolerance, atol=tolerance).integrate(noisy).batch
        errors[tolerance] = max(float((sample[name] - exact[name]).abs().max()) for name in ("pos", "x", "y"))
        assert errors[tolerance] < 50 * tolerance * max(1.0, float(noisy.pos.abs().max()))
    assert errors[1e-7] < errors[1e-4] / 50


def test_callbacks_between_do_not_change_the_path():
    sde = VESDE()
    model = GaussianScore(ForwardProcess({Field("pos"): sde}), std=0.5)
    template, seen = ragged_batch(SIZES), []
    ends = AdaptiveSampler(model, torch.tensor([1.0, 1e-3]), rtol=1e-8, atol=1e-8)
    stops = AdaptiveSampler(model, times.karras_grid(5, sde, end=1e-3), rtol=1e-8, atol=1e-8)
    one = ends(template, GraphGenerator(range(5)))
    other = stops(template, GraphGenerator(range(5)), lambda step, t, batch: seen.append(t))
    assert_close(one.batch.pos, other.batch.pos, rtol=0, atol=1e-6)
    assert len(seen) == 6 and (other.num_evaluations > one.num_evaluations).all()


def test_a_graph_counts_its_own_evaluations_whatever_its_batch_mates_need():
    model = GaussianScore(ForwardProcess({Field("pos"): VESDE()}), std=0.5)
    sampler = AdaptiveSampler(model, times.linear_grid(3), rtol=1e-7, atol=1e-7)
    graphs = ragged_batch(SIZES).to_data_list()
    together = sampler(ragged_batch(SIZES), GraphGenerator(range(5))).num_evaluations
    assert len(together.unique()) > 1
    for number, graph in enumerate(graphs):
        alone = sampler(Batch.from_data_list([graph]), GraphGenerator([number])).num_evaluations
        assert alone.tolist() == together[[number]].tolist()


@pytest.mark.parametrize("process", SDES)
def test_straight_coordinates_run_from_data_to_noise(process):
    sde = SDES[process]()
    model = GaussianScore(ForwardProcess({Field("pos"): sde}))
    batch = model.process.prior(ragged_batch(SIZES), dtype=torch.float64)
    flow, t = StraightFlow(model, batch), torch.tensor([1e-5, 0.1, 0.5, 0.9, 0.99]).double()
    assert (flow.tau(t).diff() > 0).all() and (flow.tau(t) > 0).all() and (flow.tau(t) < 1).all()
    assert_close(flow.time(flow.tau(t)), t, rtol=1e-9, atol=1e-12)
    assert_close(flow.bend(flow.straighten(batch, t), t).pos, batch.pos)


def test_score_functions_start_where_something_is_left():
    process = ForwardProcess({Field("pos", width=3): SDES["cosine-vp"]()})
    model = ScoreAdapter(lambda batch, t: -batch.pos, process)
    sample = AdaptiveSampler(model, torch.tensor([0.999, 1e-3]))(ragged_batch(SIZES), GraphGenerator(range(5))).batch
    assert sample.pos.isfinite().all()
    assert Batch.from_data_list(sample.to_data_list()).pos.shape == (70, 3)
