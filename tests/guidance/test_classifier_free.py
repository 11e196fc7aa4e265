from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.fields import Field, replace
from graphscore.guidance import ClassifierFreeGuidance, Condition, drop_conditions
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.testing import ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.3, 0.5, 0.2, 0.8, 0.05, 0.7], dtype=torch.float64)
NULL = -1e6


class ConditionalGaussian(ScoreModel):
    """Exact model of ``x0 ~ N(c, 0.5^2)`` given a node's condition c, and of ``x0 ~ N(0, 1.3^2)`` if it is not told."""

    def moments(self, batch):
        told = batch.c != NULL
        return torch.where(told, batch.c, 0.0), torch.where(told, 0.25, 1.69)

    def forward(self, batch, t):
        ((_, sde),) = self.process
        alpha, std = (c[batch.batch, None] for c in (sde.alpha(t), sde.std(t)))
        mean, variance = self.moments(batch)
        gain = alpha * variance / (alpha**2 * variance + std**2)
        return {"pos": mean + gain * (batch.pos - alpha * mean)}


@pytest.fixture
def batch():
    batch = ragged_batch(SIZES, dim=2)
    return replace(batch, {"c": torch.randn(13, 2, dtype=torch.float64)})


@pytest.mark.exact
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0, 3.0])
def test_the_score_is_that_of_the_product_of_densities(sde, batch, strength):
    process = ForwardProcess({Field("pos"): sde})
    told = ConditionalGaussian(process)
    guided = ClassifierFreeGuidance(told, [Condition("c", NULL, "node")], strength)

    def log_density(x):
        alpha, std = (c[batch.batch, None] for c in (sde.alpha(T), sde.std(T)))
        untold = replace(batch, {"c": torch.full_like(batch.c, NULL)})
        (m_c, v_c), (m_u, v_u) = told.moments(batch), told.moments(untold)
        p_c, p_u = (
            torch.distributions.Normal(alpha * m, (alpha**2 * v + std**2).sqrt()).log_prob(x)
            for m, v in ((m_c, v_c), (m_u, v_u))
        )
        return (strength * p_c + (1 - strength) * p_u).sum()

    expected = torch.autograd.functional.jacobian(log_density, batch.pos)
    assert_close(guided.score(batch, T)["pos"], expected, rtol=1e-10, atol=1e-10)


def test_scales_0_and_1_are_the_model_itself(sde, batch):
    model = ConditionalGaussian(ForwardProcess({Field("pos"): sde}))
    conditions = [Condition("c", NULL, "node")]
    assert torch.equal(ClassifierFreeGuidance(model, conditions, 1.0)(batch, T)["pos"], model(batch, T)["pos"])
    untold = replace(batch, {"c": torch.full_like(batch.c, NULL)})
    assert torch.equal(ClassifierFreeGuidance(model, conditions, 0.0)(batch, T)["pos"], model(untold, T)["pos"])


CONDITIONS = [Condition("z", -1, "node"), Condition("y", 0.0), Condition("edge_attr", torch.nan, "edge")]


def test_each_graph_drops_all_conditions_or_none():
    batch = ragged_batch((0, 4, 1, 0, 5, 3, 0) * 300)
    before = {name: batch[name].clone() for name in ("z", "y", "edge_attr")}
    dropped = drop_conditions(batch, CONDITIONS, 0.3, torch.Generator().manual_seed(0))
    gone = (dropped.y == 0).all(1)
    assert float(gone.double().mean()) == pytest.approx(0.3, abs=4 * (0.21 / 2100) ** 0.5)
    assert torch.equal(dropped.z == -1, gone[batch.batch])
    assert torch.equal(dropped.edge_attr.isnan().all(1), gone[batch.batch[batch.edge_index[0]]])
    assert torch.equal(dropped.y[~gone], before["y"][~gone])
    assert torch.equal(dropped.z[~gone[batch.batch]], before["z"][~gone[batch.batch]])
    assert dropped.z.dtype == torch.long and dropped.pos is batch.pos
    assert all(torch.equal(batch[name], value) for name, value in before.items())


def test_no_or_all_conditions_are_dropped():
    batch = ragged_batch(SIZES)
    never, always = (drop_conditions(batch, CONDITIONS, p, torch.Generator().manual_seed(0)) for p in (0.0, 1.0))
    assert torch.equal(never.z, batch.z) and torch.equal(never.y, batch.y)
    assert (always.z == -1).all() and (always.y == 0).all() and always.edge_attr.isnan().all()


def test_coins_do_not_depend_on_batch_mates():
    graphs, seeds = ragged_batch(SIZES * 5).to_data_list(), torch.arange(35)

    def gone(order):
        batch = Batch.from_data_list([graphs[i] for i in order])
        return (drop_conditions(batch, CONDITIONS, 0.5, GraphGenerator(seeds[order])).y == 0).all(1)

    order = torch.randperm(35)
    assert torch.equal(gone(order.tolist()), gone(list(range(35)))[order])
    assert 5 < int(gone(list(range(35))).sum()) < 30


@pytest.mark.parametrize(
    "condition, message",
    [
        (Condition("w", 0), "no condition 'w'; it has"),
        (Condition("z", 0), r"'z' \(graph level\) must have shape \[7, \*\], but has \[13\]"),
        (Condition("z", 0.5, "node"), "torch.int64, which cannot hold 0.5"),
        (Condition("z", torch.nan, "node"), "torch.int64, which cannot hold nan"),
    ],
)
def test_conditions_that_do_not_fit_are_named(condition, message):
    with pytest.raises(ValueError, match=message):
        drop_conditions(ragged_batch(SIZES), [condition], 0.5)


@pytest.mark.exact
def test_only_the_given_levels_are_guided(sde, batch):
    """Each graph by the level of its own time, both ends included; elsewhere the conditional estimate to the bit."""
    model = ConditionalGaussian(ForwardProcess({Field("pos"): sde}))
    conditions = [Condition("c", NULL, "node")]
    low, high = sorted(sde.level(T).tolist())[2:5:2]
    some = ClassifierFreeGuidance(model, conditions, 3.0, levels=(low, high))(batch, T)["pos"]
    inside = ((low <= sde.level(T)) & (sde.level(T) <= high))[batch.batch, None]
    everywhere = ClassifierFreeGuidance(model, conditions, 3.0)(batch, T)["pos"]
    assert torch.equal(some, torch.where(inside, everywhere, model(batch, T)["pos"]))
    assert 0 < inside.sum() < len(inside)


def test_bad_arguments_are_rejected(sde):
    model = ConditionalGaussian(ForwardProcess({Field("pos"): sde}))
    with pytest.raises(ValueError, match="level must be 'node', 'edge' or 'graph'"):
        Condition("c", 0, "atom")
    with pytest.raises(ValueError, match="at least one condition"):
        ClassifierFreeGuidance(model, [], 2.0)
    with pytest.raises(ValueError, match="'pos' is a field of the process"):
        ClassifierFreeGuidance(model, [Condition("pos", 0, "node")], 2.0)
    with pytest.raises(ValueError, match="levels must rise from 0 or more, but are 2.0 and 0.5"):
        ClassifierFreeGuidance(model, [Condition("c", NULL, "node")], 2.0, levels=(2.0, 0.5))
    with pytest.raises(ValueError, match="between 0 and 1, but is 1.5"):
        drop_conditions(ragged_batch(SIZES), CONDITIONS, 1.5)
