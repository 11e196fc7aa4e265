"""Handedness as an input: exact small cases, then the symmetry of what is made of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from graphscore.fields import replace
from graphscore.nn import EGNN, Chirality, EquivariantTransformer, ScoreNetwork
from graphscore.nn.layers.signed_volumes import handedness
from graphscore.testing import assert_equivariant, ragged_batch

SIZES = (0, 5, 1, 4, 0)
# A centre of the graph of five nodes and one of the graph of four; a centre at the end of another's arm.
TRIPLES = torch.tensor([[0, 4, 6], [1, 0, 7], [2, 2, 8], [3, 1, 9]])


def make_network() -> ScoreNetwork:
    """Outputs start at zero, which hides what is behind them: move all parameters away from there."""
    backbone = EquivariantTransformer(8, 2, cond_channels=4, num_heads=2, cutoff=math.inf, input_vectors=1)
    network = ScoreNetwork(backbone, {"pos": 3}, inputs={"chiral_index": Chirality()})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return network.double()


def batch_with_triples():
    batch = ragged_batch(SIZES, dim=3)
    batch.chiral_index = TRIPLES
    return batch


def test_unit_axes_are_exactly_this():
    """Arms of length 1 are halved: the determinant is 1/8, and each gradient a quarter along its axis."""
    pos = torch.cat([torch.zeros(1, 3), torch.eye(3)]).double()
    volumes, pushes = handedness(pos, torch.tensor([[0], [1], [2], [3]]))
    assert_close(volumes, torch.tensor([0.125, 0, 0, 0]).double())
    assert_close(pushes, torch.cat([-torch.ones(1, 3), torch.eye(3)]).double() / 4)
    swapped, back = handedness(pos, torch.tensor([[0], [2], [1], [3]]))
    assert_close(swapped, -volumes)
    assert_close(back, -pushes)


def test_pushes_are_the_gradient_by_the_arms():
    """Where lengths are held, the gradient of the determinant by the end of an arm is its push over 1 + length."""
    torch.manual_seed(0)
    arms = torch.randn(3, 3).double().requires_grad_()
    pos = torch.cat([torch.zeros(1, 3).double(), arms])
    _, pushes = handedness(pos, torch.tensor([[0], [1], [2], [3]]))
    bounded = arms / (1 + arms.detach().norm(dim=-1, keepdim=True))
    (gradient,) = torch.autograd.grad(torch.linalg.det(bounded), arms)
    assert_close(gradient, pushes[1:].detach() / (1 + arms.detach().norm(dim=-1, keepdim=True)))


def test_nodes_that_meet_have_finite_derivatives():
    pos = torch.zeros(4, 3).double().requires_grad_()
    volumes, pushes = handedness(pos, torch.tensor([[0], [1], [2], [3]]))
    (gradient,) = torch.autograd.grad(volumes.sum() + pushes.sum(), pos)
    assert bool(gradient.isfinite().all())


def test_network_turns_with_the_positions():
    network, batch = make_network(), batch_with_triples()
    levels = torch.randn(len(SIZES), 1).double()
    assert_equivariant(
        lambda batch: network(batch, levels), batch, inputs={"pos": "position"}, outputs={"pos": "vector"},
        transforms=("rotation", "translation"),
    )  # fmt: skip


def test_mirror_image_is_made_of_the_mirror_image():
    """Mirrored positions and triples the other way round give the mirrored output; positions alone do not."""
    network, batch = make_network(), batch_with_triples()
    levels, mirror = torch.randn(len(SIZES), 1).double(), torch.tensor([-1.0, 1, 1]).double()
    output = network(batch, levels)["pos"]
    image = replace(batch, {"pos": batch.pos * mirror})
    other = network(image, levels)["pos"]
    image.chiral_index = TRIPLES[[0, 2, 1, 3]]
    assert_close(network(image, levels)["pos"], output * mirror)
    error = (other - output * mirror).norm(dim=-1)
    graph = batch.batch
    assert bool((error[(graph == 1) | (graph == 3)] > 1e-3).all())
    assert_close(error[graph == 2], torch.zeros(1).double())


def test_each_centre_is_asked_for_by_itself():
    """Turning one centre's triple round changes the output of its own graph only."""
    network, batch = make_network(), batch_with_triples()
    levels = torch.randn(len(SIZES), 1).double()
    before = network(batch, levels)["pos"]
    batch.chiral_index = torch.cat([TRIPLES[:, :2], TRIPLES[[0, 2, 1, 3], 2:]], dim=1)
    change = (network(batch, levels)["pos"] - before).norm(dim=-1)
    assert bool((change[batch.batch == 3] > 1e-4).all())
    assert_close(change[batch.batch != 3], torch.zeros(6).double())


def test_wrong_networks_are_refused():
    with pytest.raises(ValueError, match="input_vectors=1"):
        ScoreNetwork(EGNN(8, 2, cond_channels=4), {"pos": 3}, inputs={"chiral_index": Chirality()})
    backbone = EquivariantTransformer(8, 1, cond_channels=4, num_heads=2, input_vectors=1)
    with pytest.raises(ValueError, match="chirality needs positions"):
        ScoreNetwork(backbone, {"x": 3}, positions=None, inputs={"chiral_index": Chirality()})
    with pytest.raises(ValueError, match="expected 1 input vectors per node, but got 0"):
        backbone(
            torch.zeros(2, 8), torch.zeros(2, 3), torch.tensor([[0], [1]]), torch.zeros(2).long(), torch.zeros(1, 4)
        )
    network = make_network()
    with pytest.raises(ValueError, match="no attribute 'chiral_index'"):
        network(ragged_batch(SIZES, dim=3), torch.zeros(len(SIZES), 1).double())


def test_the_plane_has_no_handedness():
    with pytest.raises(ValueError, match="positions must have 3 dimensions, but have 2"):
        handedness(torch.zeros(10, 2), TRIPLES)
