from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreAdapter
from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.sdes import SDES, VESDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.01, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


@pytest.fixture
def process(vp) -> ForwardProcess:
    """Fields at each level, of several scales, one of them zero-mean."""
    return ForwardProcess(
        {
            Field("pos", scale=1.5, zero_mean=True): VESDE(),
            Field("x", scale=0.5): vp,
            Field("edge_attr", "edge"): VESDE(5.0),
            Field("y", "graph", scale=2.0): vp,
        }
    )


def test_perturb_gives_alpha_x0_plus_std_eps_graph_by_graph(process):
    batch = ragged_batch(SIZES)
    noisy, x0, eps = process.perturb(batch, T)
    for field, sde in process:
        index = field.index(batch)
        assert_close(x0[field.name], field.read(batch), rtol=0, atol=0)
        for graph in range(batch.num_graphs):
            rows = index == graph
            t = T[graph]
            expected = sde.alpha(t) * x0[field.name][rows] + sde.std(t) * eps[field.name][rows]
            assert_close(noisy[field.name][rows], expected, rtol=1e-15, atol=1e-15)


def test_fresh_noise_is_standard_normal_and_independent_between_fields(process):
    batch = ragged_batch([30] * 40 + [0])
    _, _, eps = process.perturb(batch, torch.rand(41), generator=torch.Generator().manual_seed(0))
    assert float(eps["x"].var()) == pytest.approx(1, abs=4 * (2 / eps["x"].numel()) ** 0.5)
    assert float(eps["pos"].var()) == pytest.approx(29 / 30, abs=4 * (2 / eps["pos"].numel()) ** 0.5)
    correlation = torch.corrcoef(torch.stack([eps["x"].flatten(), eps["pos"][:, :2].flatten()]))[0, 1]
    assert abs(float(correlation)) < 4 / eps["x"].numel() ** 0.5


def test_per_graph_generators_give_each_graph_the_same_noise_in_any_batch(process):
    batch = ragged_batch(SIZES)
    together = process.perturb(batch, T, generator=GraphGenerator(range(7))).batch
    alone = Batch.from_data_list([batch[4]])
    noisy = process.perturb(alone, T[4:5], generator=GraphGenerator([4])).batch
    for name in process.fields:
        assert_close(noisy[name], together[4][name], rtol=0, atol=1e-15)


def test_one_time_per_graph_is_not_tiled_over_the_nodes():
    """``std(t).repeat(1, 3).view(-1, 1)`` gives node 1 of graph 0 the noise of graph 1."""
    batch = ragged_batch([3, 3], dim=2)
    sde, t = VESDE(), torch.tensor([1e-9, 1.0]).double()
    eps = {"pos": torch.ones(6, 2).double()}
    noisy = ForwardProcess({Field("pos"): sde}).perturb(batch, t, eps).batch
    moved = (noisy.pos - batch.pos)[:, 0]
    assert_close(moved, sde.std(t).repeat_interleave(3), rtol=1e-6, atol=1e-12)
    assert not torch.allclose(moved, sde.std(t).repeat(1, 3).view(-1))


def test_the_callers_batch_is_unchanged_and_its_tensors_are_shared(process):
    batch = ragged_batch(SIZES)
    pointers = {name: value.data_ptr() for name, value in batch.to_dict().items() if isinstance(value, torch.Tensor)}
    copies = {name: batch[name].clone() for name in pointers}
    noisy = process.perturb(batch, T).batch
    assert all(torch.equal(batch[name], value) for name, value in copies.items())
    for name, pointer in pointers.items():
        assert batch[name].data_ptr() == pointer
        if name not in process.fields:
            assert noisy[name] is batch[name]
    process.prior(batch)
    process.to_data(batch)
    assert all(torch.equal(batch[name], value) for name, value in copies.items())


def test_zero_mean_stays_zero_mean(process):
    batch = ragged_batch(SIZES)
    noisy, x0, eps = process.perturb(batch, T, {n: batch[n] + 3 for n in process.fields})  # noise that is not centred
    prior = process.prior(batch, dtype=torch.float64)
    for pos in (noisy.pos, x0["pos"], eps["pos"], prior.pos):
        for rows in pos.split(SIZES):
            assert_close(rows.sum(0), torch.zeros(3).double(), rtol=0, atol=1e-13)


def test_prior_has_the_std_of_time_one(process):
    template = ragged_batch([20] * 50)
    prior = process.prior(template, torch.Generator().manual_seed(0), torch.float64)
    for field, sde in process:
        x = prior[field.name]
        variance = float(sde.prior_std()) ** 2 * (19 / 20 if field.zero_mean else 1)
        assert float(x.var()) == pytest.approx(variance, rel=5 * (2 / x.numel()) ** 0.5)


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.float64])
def test_prior_type(process, dtype):
    assert process.prior(ragged_batch(SIZES), dtype=dtype).pos.dtype == (dtype or torch.get_default_dtype())


def test_prior_makes_fields_that_the_template_lacks():
    process = ForwardProcess({Field("new", width=2): VESDE(), Field("wide", "edge", width=4): VESDE()})
    prior = process.prior(ragged_batch(SIZES))
    assert prior.new.shape == (13, 2) and prior.wide.shape == (32, 4)
    assert [data.new.shape[0] for data in prior.to_data_list()] == list(SIZES)
    with pytest.raises(ValueError, match=r"'new' is not in the template.*width=3"):
        ForwardProcess({Field("new"): VESDE()}).prior(ragged_batch(SIZES))


def test_to_data_undoes_read(process):
    batch = ragged_batch(SIZES)
    scaled = process.perturb(batch, T).x0
    back = process.to_data(replace(batch, scaled))
    for name in ("x", "edge_attr", "y"):
        assert_close(back[name], batch[name])
    assert_close(back.pos, Field("pos", zero_mean=True).read(batch))


def test_types_are_kept(process):
    for dtype in (torch.float32, torch.float64):
        noisy, x0, eps = process.perturb(ragged_batch(SIZES, dtype=dtype), T)
        assert all(noisy[n].dtype == x0[n].dtype == eps[n].dtype == dtype for n in process.fields)


def test_batches_of_nothing(process):
    no_graph = ragged_batch([0])
    no_graph = replace(no_graph, {"y": no_graph.y[:0], "ptr": no_graph.ptr[:1]})
    no_graph._num_graphs = 0
    for num_graphs, batch in enumerate((no_graph, ragged_batch([0]), ragged_batch([0, 0]))):
        noisy = process.perturb(batch, torch.ones(num_graphs)).batch
        assert noisy.pos.shape == (0, 3) and noisy.y.shape == (num_graphs, 2)
        assert process.prior(batch).pos.shape == (0, 3)


@pytest.mark.parametrize("t", [torch.ones(6), torch.ones(13), torch.ones(7, 1), torch.tensor(1.0)])
def test_times_must_be_one_per_graph(process, t):
    with pytest.raises(ValueError, match=r"one time per graph, shape \[7\]"):
        process.perturb(ragged_batch(SIZES), t)


OUTSIDE = [-0.1, 1.0 + 1e-6, math.nan, math.inf]


@pytest.mark.parametrize("time", OUTSIDE)
def test_times_outside_the_unit_interval_are_named(process, time, monkeypatch):
    batch, t = ragged_batch(SIZES), torch.where(torch.arange(7) == 4, time, T)
    model = GaussianScore(process)
    for run in (process.perturb, model, model.score, model.velocity, ScoreAdapter(lambda b, t: b.pos, process).score):
        with pytest.raises(ValueError, match=rf"must lie in [(\[]0, 1\], but that of graph 4 is {time:g}"):
            run(batch, t)
    # Where a look would have to wait, the graph gets no number that could be taken for one.
    monkeypatch.setattr(ops, "on_host", lambda values: False)
    for values in (process.perturb(batch, t).batch, model(batch, t), model.score(batch, t)):
        assert values["x"].isnan().any(-1).tolist() == (batch.batch == 4).tolist()


@pytest.mark.parametrize("time", [*OUTSIDE, 0.0])
def test_sampling_starts_within_the_unit_interval(process, time):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\], but is"):
        process.prior(ragged_batch(SIZES), t=time)


@pytest.mark.parametrize("name", SDES)
def test_at_time_zero_data_stay_as_they_are_and_models_are_not_defined(name):
    process, batch = ForwardProcess({Field("pos"): SDES[name]()}), ragged_batch(SIZES)
    zero = torch.zeros(7, dtype=torch.float64)
    assert_close(process.perturb(batch, zero).batch.pos, batch.pos)
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\], but that of graph 0 is 0"):
        GaussianScore(process)(batch, zero)


def test_bad_noise_is_rejected(process):
    batch = ragged_batch(SIZES)
    good = {name: torch.zeros_like(batch[name]) for name in process.fields}
    with pytest.raises(ValueError, match=r"Noise of field 'x' must be \[13, 2\], but is \[13, 1\]"):
        process.perturb(batch, T, {**good, "x": good["x"][:, :1]})
    with pytest.raises(ValueError, match=r"Noise of field 'x' is missing; there is \['pos'\]"):
        process.perturb(batch, T, {"pos": good["pos"]})


def test_a_process_needs_fields_of_different_names():
    for sdes in ({}, {Field("pos"): VESDE(), Field("pos", "edge"): VESDE()}):
        with pytest.raises(ValueError, match="at least one field"):
            ForwardProcess(sdes)


def test_iteration_and_lookup(process):
    assert [field.name for field, _ in process] == ["pos", "x", "edge_attr", "y"]
    assert process.fields["edge_attr"].level == "edge"


def test_processes_fields_and_noisy_batches_say_what_they_are():
    x, y = Field("x", scale=1.7, zero_mean=True), Field("y", "graph", width=2)
    process = ForwardProcess({x: VESDE(), y: VESDE(sigma=3.0)})
    shown = "{Field('x', scale=1.7, zero_mean=True): VESDE(sigma=25.0), "
    shown += "Field('y', level='graph', width=2): VESDE(sigma=3.0)}"
    assert repr(process) == f"ForwardProcess({shown})"
    names = {"ForwardProcess": ForwardProcess, "Field": Field, "VESDE": VESDE}
    assert eval(repr(process), names).fields == process.fields
    batch = ragged_batch([2, 3])
    noisy = ForwardProcess({Field("pos"): VESDE()}).perturb(batch, torch.ones(2).double())
    assert repr(noisy) == "Perturbed(2 graphs: pos [5, 3])"


def test_graphs_of_one_node_each_have_their_own_time():
    """As many rows as graphs: whether a value belongs to a row or a graph must not be guessed from its length."""
    batch, t = ragged_batch([1] * 5), torch.tensor([0.9, 0.1, 0.5, 0.2, 1.0]).double()
    fields = {Field("pos"): VESDE(), Field("y", "graph"): VESDE()}
    noisy, x0, eps = ForwardProcess(fields).perturb(batch, t)
    for name in ("pos", "y"):
        assert_close(noisy[name], x0[name] + VESDE().std(t)[:, None] * eps[name])


@pytest.mark.exact
def test_combinations_are_linear_graph_by_graph(process):
    batch = process.prior(ragged_batch(SIZES), dtype=torch.float64)
    values = {name: torch.randn_like(batch[name]) for name in process.fields}
    combined = process.combine(batch, lambda sde: (sde.alpha(T), 1 - T), values)
    for field, sde in process:
        index = field.index(batch)
        expected = sde.alpha(T)[index, None] * batch[field.name] + (1 - T)[index, None] * values[field.name]
        assert_close(combined[field.name], expected)
    noisy = process.combine(batch, lambda sde: (0 * T, 0 * T + 1), generator=GraphGenerator(range(7)))
    assert float(noisy.pos.var()) == pytest.approx(1, rel=0.5) and not torch.equal(noisy.pos, batch.pos)
    assert_close(noisy.pos, Field("pos", zero_mean=True).project(noisy.pos, noisy.batch, 7))
