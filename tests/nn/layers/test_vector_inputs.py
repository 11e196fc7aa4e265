"""Score networks with several vector fields, or vectors that are given."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.fields import replace
from graphscore.nn import EGNN, ScoreNetwork, Vector
from graphscore.nn.layers.vector_inputs import VectorInputs
from graphscore.testing import assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
VECTORS = ("velocity", "force")
KINDS = dict.fromkeys(VECTORS, "vector")


def make_network(fields=None, vectors=(), **options) -> ScoreNetwork:
    """Outputs start at zero, which hides what is behind them: move all parameters away from there."""
    fields = fields or {"pos": 3, "x": 2}
    network = ScoreNetwork(
        EGNN(8, 2, cond_channels=4, vector_channels=len(fields)),
        fields,
        {name: Vector() for name in vectors},
        **options,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return network.double()


def batch_with_vectors(dim: int = 3) -> Batch:
    batch = ragged_batch(SIZES, dim=dim)
    for name in VECTORS:
        batch[name] = torch.randn(13, dim).double()
    return batch


def test_invariants_and_multiples_are_exactly_these():
    inputs = VectorInputs(3, 6, num_outputs=2).double()
    with torch.no_grad():
        inputs.invariants.weight.copy_(torch.eye(6))
        inputs.invariants.bias.zero_()
        inputs.factors.copy_(torch.arange(36.0).reshape(2, 3, 6))
    vectors = torch.tensor([[[3.0, 4.0], [1.0, 0.0], [0.0, -2.0]]]).double()
    assert_close(inputs(vectors), torch.tensor([[5.0, 1.0, 2.0, 3.0, -8.0, 0.0]]).double())
    scalars = torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]]).double()  # factors 1, 7, 13 and 19, 25, 31
    assert inputs.combine(vectors, scalars).tolist() == [[[10, 4 - 26], [57 + 25, 76 - 62]]]


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("given", [(), ("force",), ("velocity", "force")])
def test_vectors_come_out_and_go_in_equivariantly(dim, given):
    """Positions, features and two vector fields, or vectors that are given and do not diffuse."""
    fields = {name: width for name, width in (("force", dim), ("x", 2), ("pos", dim), ("velocity", dim))}
    network = make_network({name: width for name, width in fields.items() if name not in given}, vectors=VECTORS)
    levels, batch = torch.randn(7, len(network.fields)).double(), batch_with_vectors(dim)
    kinds = {"pos": "vector", "x": "scalar", **KINDS}
    assert_equivariant(
        lambda batch: network(batch, levels), batch,
        inputs={"pos": "position", **KINDS}, outputs={name: kinds[name] for name in network.fields},
    )  # fmt: skip
    outputs = network(batch, levels)
    assert set(outputs) == set(network.fields)
    for name, width in network.fields.items():
        assert outputs[name].shape == (13, width) and bool((outputs[name] != 0).any(dim=0).all())


def test_vectors_are_told_apart_by_norms_and_dot_products_alone():
    network, batch = make_network(vectors={"velocity", "force"}), batch_with_vectors()
    levels = torch.zeros(7, 2).double()
    x = network(batch, levels)["x"]
    turn = torch.linalg.qr(torch.randn(13, 3, 3).double())[0]
    turned = {name: torch.einsum("nij,nj->ni", turn, batch[name]) for name in VECTORS}
    assert torch.allclose(network(replace(batch, turned), levels)["x"], x, rtol=0, atol=1e-12)
    one = replace(batch, {"force": turned["force"]})
    assert not torch.allclose(network(one, levels)["x"], x)
    scaled = replace(batch, {"velocity": 2 * batch.velocity, "force": batch.force / 2})
    assert not torch.allclose(network(scaled, levels)["x"], x)


def test_a_vector_field_can_follow_its_own_direction():
    """One node knows no other: whatever comes out of it points along what came in."""
    network = make_network({"pos": 3, "velocity": 3}, vectors={"velocity"})
    batch = replace(ragged_batch((1,)), {"velocity": torch.tensor([[1.0, 2.0, -3.0]]).double()})
    output = network(batch, torch.zeros(1, 2).double())["velocity"]
    ratio = output / batch.velocity
    assert torch.allclose(ratio, ratio[:, :1].expand(-1, 3)) and float(ratio.detach().abs().min()) > 1e-3


def test_vector_channels_go_to_the_positions_first_and_then_in_the_order_of_the_fields():
    class Fixed(nn.Module):
        hidden_channels, edge_channels, cond_channels, vector_channels = 8, 0, 4, 4

        def forward(self, h, pos, edge_index, batch, cond, edge_attr=None):
            return h, torch.arange(4.0).double()[None, :, None].expand(len(h), 4, 3)

    fields = {"force": 3, "x": 2, "pos": 3, "velocity": 3}
    outputs = ScoreNetwork(Fixed(), fields, dict.fromkeys(VECTORS, Vector())).double()(
        batch_with_vectors(), torch.zeros(7, 4).double()
    )
    assert {name: value[0, 0].item() for name, value in outputs.items() if name != "x"} == {
        "pos": 0, "force": 1, "velocity": 2,
    }  # fmt: skip


def test_weights_do_not_depend_on_the_order_of_a_set_of_vectors():
    one, other = (make_network(vectors=names) for names in (("velocity", "force"), ("force", "velocity")))
    other.load_state_dict(one.state_dict())
    batch, levels = batch_with_vectors(), torch.zeros(7, 2).double()
    assert all(torch.equal(value, other(batch, levels)[name]) for name, value in one(batch, levels).items())


def test_a_fresh_network_gives_zero_for_every_field():
    fields = {"pos": 3, "x": 2, "velocity": 3, "force": 3}
    backbone = EGNN(8, 2, cond_channels=4, vector_channels=3)
    outputs = ScoreNetwork(backbone, fields, dict.fromkeys(VECTORS, Vector())).double()(
        batch_with_vectors(), torch.zeros(7, 4).double()
    )
    assert set(outputs) == set(fields) and all((value == 0).all() for value in outputs.values())


def test_oriented_vectors_are_numbers_too():
    network = make_network({"pos": 3, "velocity": 3}, vectors={"velocity"}, oriented=True)
    batch, levels = batch_with_vectors(), torch.zeros(7, 2).double()
    mirrored = replace(batch, {"velocity": batch.velocity * torch.tensor([-1.0, 1.0, 1.0]).double()})
    assert not torch.allclose(network(batch, levels)["velocity"][:, 1], network(mirrored, levels)["velocity"][:, 1])


def test_vanishing_vectors_have_finite_gradients():
    network, batch = make_network({"pos": 3, "velocity": 3}, vectors=VECTORS), batch_with_vectors()
    velocity = torch.zeros(13, 3).double().requires_grad_()
    output = network(replace(batch, {"velocity": velocity}), torch.zeros(7, 2).double())
    (gradient,) = torch.autograd.grad(output["velocity"].square().sum(), velocity, create_graph=True)
    gradient.square().sum().backward()
    assert gradient.isfinite().all() and velocity.grad.isfinite().all()
