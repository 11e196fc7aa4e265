"""What all guidance promises: any order, any sampler, any batch; and nothing where nothing is asked."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import ops, times
from graphscore.denoiser import Denoiser, NoiseAdapter
from graphscore.fields import Field, replace
from graphscore.guidance import (
    GUIDANCE,
    ClassifierFreeGuidance,
    Condition,
    DistanceRestraint,
    EnergyGuidance,
    HarmonicRestraint,
    Inpainting,
    LowTemperature,
    ParticleGuidance,
)
from graphscore.nn import EGNN, Category, Feature, ScoreNetwork
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS
from graphscore.sdes import VESDE
from graphscore.testing import GaussianMixtureScore, GaussianScore, assert_batch_independent, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7], dtype=torch.float64)
CONDITIONS = [Condition("z", 0, "node")]
PAIRS = ("pair_index", ("lower", "upper"))


def annotated(sizes=SIZES, known=0.5, dtype=torch.float64):
    """A ragged batch with all that guidance may ask for."""
    graphs, generator = ragged_batch(sizes, dtype=dtype).to_data_list(), torch.Generator().manual_seed(1)
    for number, graph in enumerate(graphs):
        size = graph.num_nodes
        graph.known = (torch.rand(size, generator=generator) < known) & (size != 3)  # none there
        graph.target = torch.randn(size, 3, generator=generator).to(dtype)
        graph.pair_index = torch.combinations(torch.arange(size)).T
        graph.lower = torch.full((graph.pair_index.shape[1],), 1.5, dtype=dtype)
        graph.upper, graph.group = graph.lower + 0.5, torch.tensor([number])
        graph.means = torch.randn(size, 2, 3, generator=generator).to(dtype)
    return Batch.from_data_list(graphs)


@pytest.fixture
def model(vp):
    """A real network of random weights for positions and features."""
    process = ForwardProcess({Field("pos", scale=1.5, zero_mean=True): VESDE(), Field("x", width=2): vp})
    backbone = EGNN(8, 2, edge_channels=4, cond_channels=4)
    network = ScoreNetwork(backbone, {"pos": 3, "x": 2}, {"z": Category(4), "edge_attr": Feature(2, level="edge")})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return Denoiser(network, process).double()


def energy(batch):
    """A quartic energy."""
    return ops.sum(batch.pos.square().sum(-1).square(), batch.batch, batch.num_graphs)


MAKERS = {
    "classifier-free": lambda model, k: ClassifierFreeGuidance(model, CONDITIONS, 1.0 + k),
    "inpainting": lambda model, k: Inpainting(model, "pos", "known", "target"),
    "energy": lambda model, k: EnergyGuidance(model, energy, k),
    "harmonic-restraint": lambda model, k: HarmonicRestraint(model, "pos", "known", "target", k, 3),
    "distance-restraint": lambda model, k: DistanceRestraint(model, "pos", *PAIRS, k, 3),
    "particle": lambda model, k: ParticleGuidance(model, "pos", "group", k, 1.0),
    "low-temperature": lambda model, k: LowTemperature(model, 1.0 + k),
}


def test_makers_are_the_registry():
    assert set(MAKERS) == set(GUIDANCE)


@pytest.mark.parametrize("name", GUIDANCE)
def test_the_registered_class_is_a_model_of_the_same_process(name, model):
    guided = MAKERS[name](model, 1.0)
    assert type(guided) is GUIDANCE[name]
    assert guided.process is model.process and guided.fields == model.fields
    assert list(guided.parameters()) == list(model.parameters())
    pickled = copy.deepcopy(guided)
    assert_close(pickled(annotated(), T), guided(annotated(), T))


def test_guidance_says_what_it_asks_for(model):
    guided = ClassifierFreeGuidance(HarmonicRestraint(model, "pos", "known", "target", 2.0), CONDITIONS, 1.5)
    first, second, *rest = repr(guided).splitlines()
    assert first == "ClassifierFreeGuidance("
    assert second == "  conditions=(Condition(name='z', null_value=0, level='node'),), strength=1.5"
    assert "mask='known', target='target', strength=2.0" in rest[1] and repr(model.process) in "".join(rest)


@pytest.mark.parametrize("name", GUIDANCE)
def test_no_strength_or_an_empty_mask_change_nothing(name, model):
    batch = annotated(known=0.0) if name == "inpainting" else annotated()
    guided, plain = MAKERS[name](model, 0.0)(batch, T), model(batch, T)
    assert guided.keys() == plain.keys() and all(torch.equal(guided[field], plain[field]) for field in plain)


@pytest.mark.parametrize("name", GUIDANCE)
def test_all_fields_come_out_and_the_batch_is_not_touched(name, model):
    batch = annotated()
    before = {key: value.clone() for key, value in batch.to_dict().items() if isinstance(value, torch.Tensor)}
    with torch.no_grad():
        guided, plain = MAKERS[name](model, 2.0)(batch, T), model(batch, T)
    for field in ("pos", "x"):
        assert guided[field].shape == plain[field].shape and not guided[field].requires_grad
    if name != "particle":  # whose groups are single graphs here
        assert not torch.allclose(guided["pos"], plain["pos"])
    assert float(ops.mean(guided["pos"], batch.batch, 7).abs().max()) < 1e-12
    assert all(torch.equal(batch[key], value) for key, value in before.items())
    assert not batch.pos.requires_grad and all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", sorted(set(GUIDANCE) - {"particle"}))
def test_guidance_does_not_mix_graphs(name, model):
    guided = MAKERS[name](model, 2.0)

    def function(batch):
        t = T[torch.tensor([SIZES.index(n) for n in ops.count(batch.batch, batch.num_graphs).tolist()])]
        return guided(batch, t)

    assert_batch_independent(function, annotated(), inputs=("pos", "x"))


def stack(model):
    restrained = HarmonicRestraint(ClassifierFreeGuidance(model, CONDITIONS, 1.5), "pos", "known", "target", 4.0, 2)
    return Inpainting(restrained, "pos", "known", "target", rigid=True)


GRID = times.karras_grid(3, VESDE(), end=1e-3)


@pytest.mark.parametrize("name", ["ancestral", "heun", "adaptive", "dpm-solver++", "resampling"])
def test_a_stack_of_guidance_runs_with_samplers_of_every_kind(name, model):
    """By one evaluation a step, two, as many as its error asks for, with a memory, and back and forth."""
    model, batch = stack(model), annotated()
    sampler = SAMPLERS[name](model, GRID)
    sample = sampler(batch, GraphGenerator(range(7))).batch
    assert sample.x.isfinite().all() and float(ops.mean(sample.pos, batch.batch, 7).abs().max()) < 1e-12
    placed = model.place(sample)
    assert_close(placed.pos[batch.known], batch.target[batch.known], rtol=0, atol=1e-12)
    # A graph's sample is its own, here in another batch.
    alone = sampler(Batch.from_data_list([batch[4]]), GraphGenerator([4])).batch
    assert_close(alone.pos, sample.pos[batch.batch == 4], rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [list(GUIDANCE), list(GUIDANCE)[::-1]])
def test_all_guidance_stacks_in_any_order(model, order):
    batch, guided = annotated(), model
    for name in order:
        guided = MAKERS[name](guided, 0.1)
    with torch.no_grad():
        x0_hat = guided(batch, T)
    assert x0_hat["pos"].isfinite().all() and float(ops.mean(x0_hat["pos"], batch.batch, 7).abs().max()) < 1e-12


@pytest.mark.parametrize("name", GUIDANCE)
@pytest.mark.parametrize("sizes", [(0,), (0, 0), (1,), (1, 0)])
def test_batches_of_nearly_nothing(name, model, sizes):
    sampler = SAMPLERS["ancestral"](MAKERS[name](model, 1.0), GRID)
    sample = sampler(annotated(sizes), GraphGenerator(range(len(sizes)))).batch
    assert sample.pos.shape == (sum(sizes), 3) and (sample.pos == 0).all() and sample.x.isfinite().all()


@pytest.mark.parametrize("name", GUIDANCE)
def test_single_precision(name, model):
    batch, single = annotated(), annotated(dtype=torch.float32)
    expected = MAKERS[name](copy.deepcopy(model), 2.0)(batch, T)
    guided = MAKERS[name](model.float(), 2.0)(single, T)
    for field in ("pos", "x"):
        assert guided[field].dtype == torch.float32
        assert_close(guided[field].double(), expected[field], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", sorted(set(GUIDANCE) - {"classifier-free"}))
def test_guidance_is_differentiable_where_gradients_are_recorded(name):
    """So that another one can be put around it, and likelihoods have its divergence."""
    inner = GaussianMixtureScore(ForwardProcess({Field("pos"): VESDE()}), std=0.5)
    batch = annotated((3, 3, 3))
    batch.group = torch.zeros(3, dtype=torch.long)
    guided = MAKERS[name](inner, 0.3)
    t = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: guided(replace(batch, {"pos": x}), t)["pos"], batch.pos.requires_grad_())


@pytest.mark.parametrize("make", [
    lambda model, name: Inpainting(model, name, "known", "target"),
    lambda model, name: HarmonicRestraint(model, name, "known", "target", math.inf, 1),
])  # fmt: skip
@pytest.mark.parametrize("name, level", [("edge_attr", "edge"), ("y", "graph")])
def test_fields_of_every_level(make, name, level, vp):
    batch = annotated()
    rows = len(batch[name])
    batch.known, batch.target = torch.arange(rows) % 2 == 0, torch.randn(rows, 2, dtype=torch.float64)
    model = GaussianScore(ForwardProcess({Field(name, level, scale=2.0): vp}))
    x0_hat, plain = make(model, name)(batch, T)[name], model(batch, T)[name]
    assert_close(2.0 * x0_hat[batch.known], batch.target[batch.known])
    assert torch.equal(x0_hat[~batch.known], plain[~batch.known])


def test_needs_of_the_model_are_those_of_the_guided_one():
    process = ForwardProcess({Field("pos"): VESDE()})
    needy = NoiseAdapter(lambda batch, t: batch.pos, process)
    frugal = GaussianMixtureScore(process)
    for name, make in MAKERS.items():
        assert make(needy, 1.0).needs_signal
        # The derivative of a model, and scores, divide by alpha.
        dividing = ("energy", "harmonic-restraint", "distance-restraint", "low-temperature")
        assert make(frugal, 1.0).needs_signal == (name in dividing)
    assert Inpainting(EnergyGuidance(frugal, energy), "pos", "known", "target").needs_signal
    assert math.isinf(HarmonicRestraint(frugal, "pos", "known", "target", math.inf).strength)
