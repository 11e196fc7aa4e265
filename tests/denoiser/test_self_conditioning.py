"""A model that is told what it estimated before: where the estimate comes from, and where it goes."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import times
from graphscore.attributes import SELF_CONDITIONED
from graphscore.denoiser import Denoiser, ScoreModel
from graphscore.denoiser.self_conditioning import (
    SelfConditioning,
    choose_self_conditioned,
    drop_estimates,
    is_self_conditioned,
)
from graphscore.fields import Field, replace
from graphscore.guidance import ClassifierFreeGuidance, Condition
from graphscore.nn import EGNN, Category, Feature
from graphscore.nn.self_conditioned_network import SelfConditionedNetwork
from graphscore.objectives import OBJECTIVES
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, AdaptiveSampler, DDIMSampler, HeunSampler, log_density
from graphscore.sdes import VESDE
from graphscore.testing import assert_batch_independent, assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7], dtype=torch.float64)
GRID = times.karras_grid(5, VESDE(), end=1e-3)


class Recorder(ScoreModel):
    """``x0_hat = w xt / (1 + std^2) + 0.5 tanh(estimate)``; keeps the estimates that it is told and what it gives."""

    def __init__(self, process):
        super().__init__(process)
        self.told, self.given = [], []
        self.weight = nn.Parameter(torch.tensor(0.9).double())

    def forward(self, batch, t):
        outputs = {}
        for field, sde in self.process:
            shrink = self.weight / (1 + sde.std(t) ** 2)[field.index(batch), None]
            outputs[field.name] = shrink * batch[field.name] + 0.5 * batch[f"{field.name}_estimate"].tanh()
        self.told.append({name: batch[f"{name}_estimate"] for name in self.fields})
        self.given.append(outputs)
        return outputs


def make_process():
    return ForwardProcess({Field("pos", scale=1.5): VESDE(), Field("x", width=2): VESDE(5.0)})


@pytest.fixture
def model():
    return SelfConditioning(Recorder(make_process()))


@pytest.fixture(scope="module")
def denoiser():
    """A real network of random weights."""
    torch.manual_seed(0)
    backbone = EGNN(8, 2, edge_channels=4, cond_channels=4)
    network = SelfConditionedNetwork(
        backbone, {"pos": 3, "x": 2}, {"z": Category(4), "edge_attr": Feature(2, level="edge")}
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    process = ForwardProcess({Field("pos", scale=1.5, zero_mean=True): VESDE(), Field("x", width=2): VESDE(5.0)})
    return SelfConditioning(Denoiser(network, process)).double()


def test_the_model_is_told_what_the_batch_carries_or_zeros(model):
    batch = ragged_batch(SIZES)
    model(batch, T)
    model(replace(batch, {"x_estimate": batch.x}), T)
    (none, given) = model.model.told
    assert (none["pos"] == 0).all() and none["pos"].shape == (13, 3) and (none["x"] == 0).all()
    assert given["x"] is batch.x and (given["pos"] == 0).all()
    assert "pos_estimate" not in batch


def test_chosen_graphs_are_told_a_first_estimate_and_others_nothing(model):
    mask = torch.tensor([True, True, False, False, True, False, True])
    batch = ragged_batch(SIZES)
    stale = replace(batch, {SELF_CONDITIONED: mask, "pos_estimate": torch.ones_like(batch.pos)})
    output = model(stale, T)
    first, second = model.model.told
    assert (first["pos"] == 0).all() and (first["x"] == 0).all()
    chosen = mask[batch.batch][:, None]
    for name in ("pos", "x"):
        assert torch.equal(second[name], torch.where(chosen, model.model.given[0][name], 0.0))
        assert not second[name].requires_grad and output[name].requires_grad
    assert_close(model.score(stale, T)["pos"], (output["pos"] - batch.pos) / VESDE().std(T[batch.batch])[:, None] ** 2)


def test_no_gradient_goes_through_the_first_estimate(model):
    batch, everywhere = ragged_batch(SIZES), torch.ones(7, dtype=torch.bool)
    weight = model.model.weight
    (gradient,) = torch.autograd.grad(model(replace(batch, {SELF_CONDITIONED: everywhere}), T)["pos"].sum(), weight)
    shrink = 1 / (1 + VESDE().std(T[batch.batch])[:, None] ** 2)
    assert_close(gradient, (shrink * batch.pos).sum())


@pytest.mark.parametrize("dtype", [torch.bfloat16, None])
def test_weights_learn_under_autocast(denoiser, dtype):
    """What the first evaluation casts, without gradients, must not be what the second one uses."""
    model = copy.deepcopy(denoiser).float()
    batch = replace(ragged_batch(SIZES, dtype=torch.float32), {SELF_CONDITIONED: torch.ones(7, dtype=torch.bool)})
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        loss = sum(value.square().sum() for value in model(batch, T.float()).values())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), name


def test_a_random_half_of_the_graphs_is_chosen():
    batch = ragged_batch(SIZES * 300)
    mask = choose_self_conditioned(batch, torch.Generator().manual_seed(0))[SELF_CONDITIONED]
    assert mask.dtype == torch.bool and mask.shape == (2100,) and SELF_CONDITIONED not in batch
    assert float(mask.double().mean()) == pytest.approx(0.5, abs=4 * 0.5 / 2100**0.5)


def test_the_choice_does_not_depend_on_batch_mates():
    graphs, seeds, order = ragged_batch(SIZES * 5).to_data_list(), torch.arange(35), torch.randperm(35)

    def choose(order):
        batch = Batch.from_data_list([graphs[i] for i in order])
        return choose_self_conditioned(batch, GraphGenerator(seeds[order]))[SELF_CONDITIONED]

    together = choose(torch.arange(35))
    assert torch.equal(choose(order), together[order]) and 5 < together.sum() < 30


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_pass_estimates_on(name, model):
    """All evaluations of a step are told the last estimate of the step before, and the first ones nothing."""
    recorder, batch, steps, carried = model.model, ragged_batch(SIZES), [], []

    def callback(number, t, batch):
        steps.append(len(recorder.told))
        carried.append(batch)

    sampler = SAMPLERS[name](model, GRID)
    noise = model.process.prior(batch, GraphGenerator(range(7)), torch.float64)
    sampler.integrate(noise, GraphGenerator(range(7)), callback)
    assert steps[0] == 0 and len(recorder.told) == steps[-1]
    assert "pos_estimate" not in carried[0]
    for number, (start, stop) in enumerate(itertools.pairwise(steps)):
        assert stop > start or name == "resampling"
        for told in recorder.told[start:stop]:
            for field in ("pos", "x"):
                expected = recorder.given[start - 1][field] if number else torch.zeros_like(batch[field])
                assert torch.equal(told[field], expected)
                assert not number or torch.equal(carried[number][f"{field}_estimate"], expected)


def test_estimates_are_not_in_samples_nor_seen_by_callbacks(model):
    batch, seen = ragged_batch(SIZES), []
    result = DDIMSampler(model, GRID)(batch, GraphGenerator(range(7)), lambda step, t, noisy: seen.append(noisy))
    for sample in (result.batch, *seen):
        assert sorted(sample.keys()) == sorted(batch.keys())
        assert sample[4].keys() == batch[4].keys()
    # The end, too, is told the last estimate of the last step.
    assert torch.equal(model.model.told[-1]["pos"], model.model.given[-2]["pos"])


@pytest.mark.parametrize("name", ["ancestral", "heun", "adaptive"])
def test_a_sample_depends_neither_on_batch_mates_nor_on_order(name, model):
    sampler, graphs, seeds = SAMPLERS[name](model, GRID), ragged_batch(SIZES).to_data_list(), list(range(7))

    def sample(order):
        batch = Batch.from_data_list([graphs[i] for i in order])
        return sampler(batch, GraphGenerator([seeds[i] for i in order])).batch

    together = sample(range(7))
    for order in ([6, 4, 0, 2, 5, 1, 3], [4], [2]):
        for place, graph in enumerate(sample(order).to_data_list()):
            for field in ("pos", "x"):
                assert_close(graph[field], together[order[place]][field], rtol=0, atol=1e-10)


def test_estimates_change_samples(denoiser):
    batch = ragged_batch(SIZES)
    told, untold = (DDIMSampler(m, GRID)(batch, GraphGenerator(range(7))) for m in (denoiser, Forgetful(denoiser)))
    assert (told.batch.pos - untold.batch.pos).abs().max() > 1e-3


class Forgetful(ScoreModel):
    """The model inside, told nothing but zeros."""

    def __init__(self, model):
        super().__init__(model.process)
        self.inner = model.model

    def forward(self, batch, t):
        return self.inner(replace(batch, {f"{n}_estimate": torch.zeros_like(batch[n]) for n in self.fields}), t)


def test_a_sampler_can_stop_and_go_on(denoiser):
    """The estimate is on the batch and nowhere else."""
    batch = denoiser.process.prior(ragged_batch(SIZES), GraphGenerator(range(7)), torch.float64)
    whole = HeunSampler(denoiser, GRID).integrate(batch).batch
    half = HeunSampler(denoiser, GRID[3:]).integrate(HeunSampler(denoiser, GRID[:4]).integrate(batch).batch).batch
    assert torch.equal(half.pos, whole.pos) and torch.equal(half.pos_estimate, whole.pos_estimate)


def test_with_guidance_the_guided_estimate_is_passed_on(model):
    guided, batch = ClassifierFreeGuidance(model, [Condition("y", 0.0)], 3.0), ragged_batch(SIZES)
    assert is_self_conditioned(guided)
    outputs = []
    guided.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    DDIMSampler(guided, GRID)(batch, GraphGenerator(range(7)))
    assert len(model.model.told) == 2 * len(outputs)
    for step, output in enumerate(outputs[:-1]):
        assert torch.equal(model.model.told[2 * step + 2]["pos"], output["pos"])
        assert torch.equal(model.model.told[2 * step + 3]["pos"], output["pos"])


def test_nothing_changes_for_other_models():
    """Not even for one whose batches have an attribute of that name."""
    batch = replace(ragged_batch(SIZES), {"pos_estimate": torch.ones(13, 3).double()})
    plain = Recorder(ForwardProcess({Field("pos"): VESDE()}))
    assert drop_estimates(batch, plain) is batch
    sample = DDIMSampler(plain, GRID)(batch, GraphGenerator(range(7))).batch
    assert all(torch.equal(told["pos"], batch.pos_estimate) for told in plain.told)
    assert torch.equal(sample.pos_estimate, batch.pos_estimate)


@pytest.mark.exact
def test_the_adaptive_sampler_still_solves_one_equation_a_step():
    """Within a step the estimate is fixed: the flow's accuracy is that of its tolerance."""
    model, process = Recorder(make_process()), make_process()
    batch = process.perturb(ragged_batch(SIZES), torch.ones(7).double()).batch
    fine, coarse = (
        AdaptiveSampler(SelfConditioning(model), GRID, rtol=tolerance, atol=tolerance).integrate(batch).batch.pos
        for tolerance in (1e-7, 1e-5)
    )
    assert_close(fine, coarse, rtol=0, atol=1e-3)


def test_likelihoods_are_those_of_the_model_that_is_told_nothing(denoiser):
    batch, options = ragged_batch((3, 1), edgeless=()), {"num_probes": 1, "rtol": 1e-2, "atol": 1e-2}
    got, expected = (
        log_density(m, batch, generator=GraphGenerator(range(2)), **options).nats
        for m in (denoiser, Forgetful(denoiser))
    )
    assert torch.equal(got, expected) and got.isfinite().all()


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "explicit"])
def test_objectives_work_without_estimates(name, denoiser):
    """With derivatives too: a model that is told nothing is a function of the batch."""
    batch = ragged_batch(SIZES)
    got, expected = (
        OBJECTIVES[name](m, batch, T, reduce="sum", generator=GraphGenerator(range(7)))
        for m in (denoiser, Forgetful(denoiser))
    )
    assert_close(got, expected, rtol=1e-12, atol=0)


def test_estimates_turn_with_the_graph(denoiser):
    batch = denoiser.process.perturb(ragged_batch(SIZES), T).batch
    batch.pos_estimate, batch.x_estimate = torch.randn(13, 3).double(), torch.randn(13, 2).double()
    kinds = {"outputs": {"pos": "vector", "x": "scalar"}, "inputs": {"pos": "position", "pos_estimate": "position"}}
    assert_equivariant(lambda b: denoiser(b, T), batch, **kinds)
    mask = torch.tensor([True, True, False, False, True, False, True])
    kinds["inputs"] = {"pos": "position"}
    assert_equivariant(lambda b: denoiser(replace(b, {SELF_CONDITIONED: mask}), T), batch, **kinds)


def test_graphs_stay_independent_in_training(denoiser):
    def function(batch):
        return denoiser(replace(batch, {SELF_CONDITIONED: batch.y[:, 0] > 0}), batch.y[:, 1].sigmoid())

    batch = denoiser.process.perturb(ragged_batch((4, 1, 5, 3)), T[:4]).batch
    assert_batch_independent(function, batch, inputs=("pos", "x"))
