from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.denoiser import Denoiser
from graphscore.fields import Field, replace
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.testing import assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.01, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


def make_network(fields=None, positions="pos", edges=True, node_inputs=None) -> ScoreNetwork:
    backbone = EGNN(8, 2, edge_channels=4 if edges else 0, cond_channels=4)
    network = ScoreNetwork(
        backbone,
        fields or {"pos": 3, "x": 2},
        positions,
        node_inputs or {"z": nn.Embedding(4, 8)},
        {"edge_attr": nn.Linear(2, 4)} if edges else None,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return network.double()


def make_denoiser(zero_mean: bool = True, dim: int = 3) -> Denoiser:
    process = ForwardProcess({Field("pos", zero_mean=zero_mean): VESDE(), Field("x"): VESDE(5.0)})
    return Denoiser(make_network({"pos": dim, "x": 2}), process)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_network_equivariance(dim):
    network, levels = make_network({"pos": dim, "x": 2}), torch.randn(7, 2).double()
    assert_equivariant(
        lambda batch: network(batch, levels), ragged_batch(SIZES, dim=dim),
        inputs={"pos": "position"}, outputs={"pos": "vector", "x": "scalar"},
    )  # fmt: skip


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("method", ["forward", "score"])
def test_denoiser_equivariance(dim, method):
    """Zero-mean positions: estimates turn with the graph, and do not know where it was."""
    model = make_denoiser(dim=dim)
    batch = model.process.perturb(ragged_batch(SIZES, dim=dim), T).batch
    assert_equivariant(
        lambda b: getattr(model, method)(b, T), batch,
        inputs={"pos": "position"}, outputs={"pos": "vector", "x": "scalar"},
    )  # fmt: skip


def test_denoiser_of_free_positions_estimates_turn_with_the_graph():
    model = make_denoiser(zero_mean=False)
    batch = model.process.perturb(ragged_batch(SIZES), T).batch
    assert_equivariant(
        lambda b: model(b, T), batch, inputs={"pos": "vector"}, outputs={"pos": "vector", "x": "scalar"},
        transforms=("rotation", "reflection", "permutation"),
    )  # fmt: skip


def test_a_graph_alone_gives_the_same_as_in_a_batch():
    model = make_denoiser()
    batch = model.process.perturb(ragged_batch(SIZES), T).batch
    together = model(batch, T)
    for graph in range(7):
        alone = model(Batch.from_data_list([batch[graph]]), T[graph : graph + 1])
        rows = batch.batch == graph
        assert_close(alone, {name: value[rows] for name, value in together.items()}, rtol=0, atol=1e-12)


def test_each_graph_is_told_its_own_noise_level():
    network, batch = make_network(), ragged_batch(SIZES)
    levels = torch.randn(7, 2).double()
    before = network(batch, levels)
    for field in range(2):
        changed = levels.clone()
        changed[4, field] += 0.5
        after = network(batch, changed)
        for name in ("pos", "x"):
            differs = (after[name] != before[name]).any(-1)
            assert torch.equal(differs, batch.batch == 4)


def test_no_gradient_crosses_between_graphs():
    model = make_denoiser()
    batch = model.process.perturb(ragged_batch(SIZES), T).batch
    batch = replace(batch, {"pos": batch.pos.requires_grad_(), "x": batch.x.requires_grad_()})
    output = model(batch, T)
    mine = batch.batch == 1
    loss = output["pos"][mine].square().sum() + output["x"][mine].square().sum()
    for gradient in torch.autograd.grad(loss, (batch.pos, batch.x)):
        assert (gradient[~mine] == 0).all() and (gradient[mine] != 0).any()


def test_graphs_without_positions():
    """``positions=None``: a plain message-passing network for features."""
    network = make_network({"x": 2}, positions=None)
    batch = ragged_batch(SIZES)
    output = network(batch, torch.zeros(7, 1).double())
    assert set(output) == {"x"} and output["x"].shape == (13, 2)
    del batch.pos
    assert torch.equal(network(batch, torch.zeros(7, 1).double())["x"], output["x"])


def test_positions_that_are_given_and_do_not_diffuse():
    network, batch = make_network({"x": 2}), ragged_batch(SIZES)
    levels = torch.zeros(7, 1).double()
    output = network(batch, levels)
    assert set(output) == {"x"}
    moved = network(replace(batch, {"pos": 1.5 * batch.pos}), levels)
    assert not torch.allclose(moved["x"], output["x"])


@pytest.mark.parametrize("what", ["z", "x", "edge_attr", "pos"])
def test_every_input_counts(what):
    network, batch = make_network(), ragged_batch(SIZES)
    levels = torch.zeros(7, 2).double()
    value = 3 - batch.z if what == "z" else 1.5 * batch[what]
    before, after = network(batch, levels), network(replace(batch, {what: value}), levels)
    assert all(not torch.allclose(before[name], after[name]) for name in before)


def test_fields_other_than_node_fields_are_rejected_or_computed():
    with pytest.raises(ValueError, match="edge_channels=0, but edge_inputs are"):
        ScoreNetwork(EGNN(8, 1, cond_channels=4), {"pos": 3}, edge_inputs={"edge_attr": nn.Linear(2, 4)})
    with pytest.raises(ValueError, match="edge_channels=4, but edge_inputs are"):
        ScoreNetwork(EGNN(8, 1, edge_channels=4, cond_channels=4), {"pos": 3})
    with pytest.raises(ValueError, match="cond_channels > 0"):
        ScoreNetwork(EGNN(8, 1), {"pos": 3})


def test_one_node_and_edgeless_graphs_are_finite():
    model = make_denoiser()
    for sizes in ((1,), (1, 0), (3,), (0,)):
        batch, t = ragged_batch(sizes, edgeless=(3,)), torch.full((len(sizes),), 0.5)
        output = model(batch, t)
        assert all(value.isfinite().all() for value in output.values())
        assert output["pos"].shape == (sum(sizes), 3)
