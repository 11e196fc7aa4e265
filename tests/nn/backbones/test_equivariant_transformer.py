from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from graphscore.nn import EdgeGeometry, EquivariantTransformer
from graphscore.nn.backbones.equivariant_transformer import SOFTNESS, EquivariantTransformerLayer
from graphscore.testing import ragged_batch

F = 16


def make(num_layers=2, **options) -> EquivariantTransformer:
    network = EquivariantTransformer(F, num_layers, num_heads=2, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return network.double()


def call(network, pos: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """Scalars and vectors of one graph whose nodes differ."""
    h = torch.linspace(-1, 1, len(pos) * F).double().reshape(len(pos), F)
    return network(h, pos, edge_index, torch.zeros(len(pos), dtype=torch.long), torch.zeros(1, 0).double())


def pair(distance: float) -> tuple[Tensor, Tensor]:
    return torch.tensor([[0, 0, 0], [distance, 0, 0]]).double(), torch.tensor([[0, 1], [1, 0]])


@pytest.mark.exact
def test_layer_is_the_formula():
    """Node by node, with what the attention gives."""
    batch = ragged_batch((4,), edgeless=())
    network = make(cond_channels=2)
    layer: EquivariantTransformerLayer = network.layers[1]
    geometry = EdgeGeometry.measure(batch.pos, batch.edge_index, None, network.basis, network.envelope)
    h, vectors = torch.randn(4, F).double(), torch.randn(4, 3, F).double()
    got = layer(h, vectors, geometry, batch.batch, batch.y)
    normed = layer.norm(h, batch.y, batch.batch)
    received, turned = layer.attention(normed, layer.carried_norm(vectors), geometry)
    for i in range(4):
        shift, product, gate = layer.update(torch.cat([normed[i], received[i]])).chunk(3)
        arrived = vectors[i] + turned[i]
        unit = arrived / (arrived.square().sum() / F + SOFTNESS).sqrt() * layer.vector_norm.weight
        u, v = (unit @ weight.T for weight in layer.mix.weight.chunk(2))
        assert_close(got[0][i], h[i] + shift + product * torch.einsum("df,df->f", u, v), rtol=0, atol=1e-12)
        assert_close(got[1][i], arrived + gate * u, rtol=0, atol=1e-12)


def test_edges_beyond_the_cutoff_count_for_nothing():
    """The complete graph gives what the radius graph gives."""
    batch, network = ragged_batch((30,), edgeless=()), make(cutoff=2.0)
    source, target = batch.edge_index
    near = (batch.pos[source] - batch.pos[target]).norm(dim=1) < 2.0
    assert 0.2 < near.double().mean() < 0.8
    every, some = (call(network, batch.pos, edges) for edges in (batch.edge_index, batch.edge_index[:, near]))
    assert_close(every, some, rtol=0, atol=1e-12)


def test_messages_fade_out_at_the_cutoff():
    """Nothing jumps, and forces vanish, where an edge comes to its end."""
    network = make(cutoff=2.0)
    outside, inside = (call(network, *pair(distance)) for distance in (2.001, 1.999))
    assert (outside[1] == 0).all() and 0 < float(inside[1].detach().abs().max()) < 1e-5
    assert_close(outside, inside, rtol=0, atol=1e-5)
    assert float((call(network, *pair(1.5))[0] - outside[0]).detach().abs().max()) > 1e-2


def test_radial_functions_reach_as_far_as_the_cutoff():
    """The last one has its maximum there, or at 5 without a cutoff."""
    for cutoff, length in ((2.0, 2.0), (math.inf, 5.0)):
        distance = torch.tensor([[0.9 * length], [length], [1.1 * length]])
        values = make(cutoff=cutoff).basis.float()(distance)[:, -1]
        assert values.argmax() == 1


def test_without_a_cutoff_far_nodes_count():
    network, (pos, edge_index) = make(cutoff=math.inf), pair(100.0)
    assert float(call(network, pos, edge_index)[1].detach().abs().max()) > 1e-3
    alone = call(network, pos, edge_index[:, :0])
    assert (alone[1] == 0).all()
    assert not torch.allclose(call(network, pos, edge_index)[0], alone[0])


def test_order_of_edges_does_not_count():
    batch, network = ragged_batch((6,), edgeless=()), make(edge_channels=2)
    shuffled = torch.randperm(30)
    rest = (torch.zeros(6, dtype=torch.long), torch.zeros(1, 0).double())
    h = torch.randn(6, F).double()
    one = network(h, batch.pos, batch.edge_index, *rest, batch.edge_attr)
    two = network(h, batch.pos, batch.edge_index[:, shuffled], *rest, batch.edge_attr[shuffled])
    assert_close(one, two, rtol=0, atol=1e-12)


def test_repr_and_channels():
    network = EquivariantTransformer(F, 2, edge_channels=3, cond_channels=4)
    assert repr(network) == "EquivariantTransformer(16, num_layers=2)"
    assert (network.hidden_channels, network.edge_channels, network.cond_channels) == (F, 3, 4)


@pytest.mark.parametrize("options", [{"hidden_channels": 0}, {"num_layers": 0}, {"num_heads": 0}])
def test_bad_sizes_are_named(options):
    with pytest.raises(ValueError, match="must be at least 1, but"):
        EquivariantTransformer(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"num_heads": 3}, "a multiple of num_heads"), ({"cutoff": 0.0}, "cutoff"), ({"num_basis": 1}, "channels >= 2")],
)
def test_other_bad_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        EquivariantTransformer(F, **options)
