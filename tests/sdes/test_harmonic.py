from __future__ import annotations

import copy
import gc
import pickle

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch, Data

from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE, VPSDE, HarmonicSDE
from graphscore.testing import GaussianScore, ragged_batch

FIELD = Field("pos", zero_mean=True)


def test_the_schedule_is_that_of_another_process():
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    for schedule in (VESDE(), VPSDE()):
        sde = HarmonicSDE(schedule)
        for name in ("alpha", "std", "level", "alpha_rate", "std_rate", "drift_rate", "diffusion"):
            assert torch.equal(getattr(sde, name)(t), getattr(schedule, name)(t))
        assert torch.equal(sde.time(sde.level(t)), schedule.time(schedule.level(t)))
        assert sde.max_time == schedule.max_time


@pytest.mark.exact
@pytest.mark.parametrize("zero_mean", [False, True])
def test_scores_are_gradients_of_the_log_density(zero_mean):
    """Tweedie with a covariance: ``C^+ (alpha x0_hat - xt) / std^2`` within the field's space."""
    field, sde = Field("pos", zero_mean=zero_mean), HarmonicSDE(VPSDE(), stiffness=2.0)
    model, batch = GaussianScore(ForwardProcess({field: sde}), std=0.7), ragged_batch((0, 4, 1, 6, 3))
    t = torch.tensor([0.9, 0.1, 0.5, 0.3, 0.2]).double()
    noisy = model.process.perturb(batch, t).batch
    covariance, alpha, std = sde.covariance(batch, field), *(c(t)[batch.batch] for c in (sde.alpha, sde.std))
    x = noisy.pos.clone().requires_grad_()
    inside = field.project(x, batch.batch, 5)
    whitened = covariance.apply(lambda v: 1 / ((0.7 * alpha) ** 2 + std**2 * v), inside)
    (gradient,) = torch.autograd.grad(-(inside * whitened).sum() / 2, x)
    assert_close(model.score(noisy, t)["pos"], gradient)


def test_neighbours_of_the_prior_are_close():
    """A chain under noise alone: neighbours are as far apart as one spring lets them, the ends as all springs do."""
    place = torch.arange(9)
    chain = Data(edge_index=torch.stack([place, place + 1]), num_nodes=10)
    template = Batch.from_data_list([chain] * 4000)
    process = ForwardProcess({Field("pos", zero_mean=True, width=1): HarmonicSDE(stiffness=4.0)})
    x = process.prior(template, torch.Generator().manual_seed(0), torch.float64).pos.view(4000, 10)
    error = 5 * (2 / 4000) ** 0.5
    assert_close(x.diff(dim=1).var(0), torch.full((9,), 0.25).double(), rtol=error, atol=0)
    assert float((x[:, 9] - x[:, 0]).var()) == pytest.approx(9 / 4, rel=error)


def test_masked_edges_carry_no_spring():
    """A complete graph whose bonds are marked is the graph of its bonds."""
    graph = ragged_batch((4, 5))
    bond = torch.arange(graph.num_edges) % 3 == 0
    marked = replace(graph, {"bond": bond.long() * 2})
    alone = replace(graph, {"edge_index": graph.edge_index[:, bond]})
    x = torch.randn(9, 3, dtype=torch.float64)
    masked = HarmonicSDE(edge_mask="bond").covariance(marked, FIELD).multiply(x)
    assert_close(masked, HarmonicSDE().covariance(alone, FIELD).multiply(x))
    assert not torch.allclose(masked, HarmonicSDE().covariance(graph, FIELD).multiply(x))


def test_eigenproblems_are_solved_once_and_forgotten_with_the_batch():
    sde, batch = HarmonicSDE(), ragged_batch()
    first = sde.covariance(batch, FIELD)
    assert sde.covariance(replace(batch, {"pos": batch.pos + 1}), FIELD) is first
    assert sde.covariance(batch, Field("pos")) is not first
    batch.edge_index[:, :3] = batch.edge_index[:, :3].flip(0)
    assert sde.covariance(batch, FIELD) is not first, "edges were changed in place"
    other = ragged_batch((3, 2))
    assert len(sde.covariance(other, FIELD).index) == 5
    del batch, other
    gc.collect()
    assert len(sde._known) == 0


def test_another_mask_brings_another_covariance():
    """The same edges with other springs, as where a molecule is sampled with some of its bonds broken."""
    sde, batch = HarmonicSDE(edge_mask="bond"), ragged_batch((4, 5))
    some, all_edges = torch.arange(batch.num_edges) % 3 == 0, torch.ones(batch.num_edges, dtype=torch.bool)
    x = torch.randn(9, 3, dtype=torch.float64)
    first = sde.covariance(replace(batch, {"bond": some}), FIELD)
    assert sde.covariance(replace(batch, {"bond": some}), FIELD) is first
    expected = HarmonicSDE().covariance(batch, FIELD).multiply(x)
    assert_close(sde.covariance(replace(batch, {"bond": all_edges}), FIELD).multiply(x), expected)
    before = sde.covariance(replace(batch, {"bond": some}), FIELD).multiply(x)
    some |= True
    assert not torch.allclose(before, expected)
    assert_close(sde.covariance(replace(batch, {"bond": some}), FIELD).multiply(x), expected)


def test_copies_and_pickles():
    sde, batch = HarmonicSDE(VPSDE(), stiffness=3.0, edge_mask=None), ragged_batch()
    before = sde.covariance(batch, FIELD).multiply(batch.pos)
    for other in (copy.deepcopy(sde), pickle.loads(pickle.dumps(sde))):
        assert repr(other) == repr(sde)
        assert_close(other.covariance(batch, FIELD).multiply(batch.pos), before, rtol=0, atol=0)


def test_what_it_cannot_do_is_said_at_construction():
    for level in ("edge", "graph"):
        with pytest.raises(ValueError, match=f"field 'x' belongs to {level}s; use another process"):
            ForwardProcess({Field("x", level): HarmonicSDE()})
    with pytest.raises(ValueError, match="is harmonic itself"):
        HarmonicSDE(HarmonicSDE())
    with pytest.raises(ValueError, match="stiffness must be positive"):
        HarmonicSDE(stiffness=0.0)
    with pytest.raises(ValueError, match="component_std must be positive"):
        HarmonicSDE(component_std=float("nan"))


@pytest.mark.parametrize("mask", [None, torch.ones(3), torch.ones(32, 1)])
def test_bad_masks_are_named(mask):
    batch = replace(ragged_batch(), {} if mask is None else {"bond": mask})
    with pytest.raises(ValueError, match=r"edge mask 'bond' must have shape \[32\]"):
        HarmonicSDE(edge_mask="bond").covariance(batch, FIELD)


def test_a_batch_without_edges_is_named():
    with pytest.raises(ValueError, match="but the batch has no edge_index"):
        HarmonicSDE().covariance(replace(ragged_batch(), {"edge_index": None}), FIELD)
