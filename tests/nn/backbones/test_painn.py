from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from graphscore.nn import PaiNN, PaiNNMessage, PaiNNUpdate
from graphscore.nn.backbones.painn import painn_features
from graphscore.nn.edges.sorted import Edges
from graphscore.testing import ragged_batch

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def perturbed(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return module.double()


def call(backbone, pos, edge_index):
    """All nodes the same, one graph, no condition."""
    zeros = torch.zeros(len(pos), dtype=torch.long)
    return backbone(pos.new_ones(len(pos), 8), pos, edge_index, zeros, pos.new_zeros(1, 0))


def test_positions_start_still():
    """A fresh network moves nothing, so that training starts from the skip connection of the denoiser."""
    batch = ragged_batch(dtype=torch.float32)
    scalars, vectors = PaiNN(8, 2)(torch.randn(13, 8), batch.pos, batch.edge_index, batch.batch, torch.zeros(7, 0))
    assert (vectors == 0).all() and (scalars != 0).any()


def test_message():
    """Scalars gate what the filters pass: scalars, directions, and vectors."""
    message = perturbed(PaiNNMessage(4, 3, 0, carries=True))
    edges = Edges.from_index(torch.tensor([[1, 2, 0, 2], [0, 0, 1, 1]]), 3)
    h, vectors = torch.randn(3, 4).double(), torch.randn(3, 2, 4).double()
    features, direction = torch.randn(4, 3).double(), torch.randn(4, 2).double()
    scalars, moved = message(h, vectors, features, direction, edges, torch.zeros(3).long(), torch.zeros(1, 0).double())
    first, second, third = message.network(message.norm(h, torch.zeros(1, 0), torch.zeros(3).long())).chunk(3, dim=1)
    filters = (features @ message.convolution.filters.weight.T).chunk(3, dim=1)
    normed = message.vector_norm(vectors)
    for i, into in ((0, (0, 1)), (1, (2, 3)), (2, ())):
        expected_scalars, expected_vectors = torch.zeros(4).double(), torch.zeros(2, 4).double()
        for e in into:
            j = int(edges.source[e])
            expected_scalars += filters[0][e] * first[j]
            expected_vectors += direction[e][:, None] * (filters[1][e] * second[j])
            expected_vectors += filters[2][e] * third[j] * normed[j]
        assert_close(scalars[i], expected_scalars)
        assert_close(moved[i], expected_vectors)


def test_update():
    update = perturbed(PaiNNUpdate(4, 0))
    h, vectors = torch.randn(3, 4).double(), torch.randn(3, 2, 4).double()
    scalars, moved = update(h, vectors, torch.zeros(3).long(), torch.zeros(1, 0).double())
    normed = update.norm(h, torch.zeros(1, 0), torch.zeros(3).long())
    u, v = torch.einsum("oc,ndc->ndo", update.mix.weight, update.vector_norm(vectors)).chunk(2, dim=2)
    a, b, c = update.network(torch.cat([normed, v.norm(dim=1)], dim=1)).chunk(3, dim=1)
    assert_close(scalars, a + b * torch.einsum("ndc,ndc->nc", u, v), rtol=0, atol=1e-6)
    assert_close(moved, torch.einsum("nc,ndc->ndc", c, u), rtol=0, atol=1e-6)


def test_sees_angles_between_edges():
    """Of a path of three nodes, whose edges are all of length 1: networks of distances alone could not."""
    backbone = perturbed(PaiNN(8, 2))
    bends = [
        torch.tensor([[1.0, 0.0], [0.0, 0.0], [math.cos(angle), math.sin(angle)]]).double() for angle in (0.5, 2.5)
    ]
    one, two = (call(backbone, pos, PATH)[0] for pos in bends)
    assert float((one - two).detach().abs().max()) > 1e-3


def test_edges_beyond_the_cutoff_count_for_nothing():
    backbone, pos = perturbed(PaiNN(8, 2, cutoff=2.0)), torch.randn(12, 3).double()
    every = torch.cartesian_prod(torch.arange(12), torch.arange(12)).T
    every = every[:, every[0] != every[1]]
    length = (pos[every[0]] - pos[every[1]]).norm(dim=1)
    assert 0 < int((length < 2).sum()) < len(length)
    for mine, expected in zip(call(backbone, pos, every), call(backbone, pos, every[:, length < 2]), strict=True):
        assert_close(mine, expected, rtol=0, atol=1e-12)


def test_outputs_are_smooth_where_an_edge_gets_longer_than_the_cutoff():
    """The third node of a path leaves: values and slopes arrive at what they are without it."""
    backbone, alone = perturbed(PaiNN(8, 2, cutoff=2.0)), PATH[:, :2]

    def at(distance, edge_index):
        pos = torch.tensor([[0.5, 0.1], [0.0, 0.0], [0.6 * distance, 0.8 * distance]]).double().requires_grad_()
        scalars, vectors = call(backbone, pos, edge_index)
        value = scalars[:2].sum() + vectors[:2].square().sum()
        return value.detach(), torch.autograd.grad(value, pos)[0]

    (inside, slope), (without, slope_without) = at(2 - 1e-5, PATH), at(2 - 1e-5, alone)
    assert_close(inside, without, rtol=0, atol=1e-8)
    assert_close(slope, slope_without, rtol=0, atol=1e-3)
    near, _ = at(1.5, PATH)
    assert float((near - without).abs()) > 1e-3


def test_sums_are_divided_by_the_root_of_the_number_of_neighbors():
    """And one. It is in the features of the edges, of which one is the bias of filters."""
    edges = Edges.from_index(torch.tensor([[1, 2, 3, 0], [0, 0, 0, 1]]), 4)
    network = PaiNN(8, 2, num_basis=5, cutoff=math.inf)
    features = painn_features(torch.rand(4, 1), edges, None, network.basis, network.envelope, None)
    assert_close(features[:, 5], torch.tensor([0.5, 0.5, 0.5, 0.5**0.5]))


def test_is_smooth_where_nodes_meet():
    backbone, direction = perturbed(PaiNN(8, 2)), torch.tensor([0.6, 0.8]).double()
    slopes = []
    for distance in (1e-9, 1e-3):
        pos = torch.stack([0 * direction, distance * direction]).requires_grad_()
        vectors = call(backbone, pos, PATH[:, :2])[1]
        slopes.append(torch.autograd.grad(vectors[0, 0, 0], pos)[0])
    assert_close(slopes[0], slopes[1], rtol=0, atol=0.1 * float(slopes[1].abs().max()))


def test_symmetric_places_in_float32():
    """In methane what carbon receives cancels to rounding errors; they must not grow from layer to layer."""
    tetrahedron = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).double()
    pos = torch.cat([torch.zeros(1, 3).double(), tetrahedron / 2])
    edge_index = torch.cartesian_prod(torch.arange(5), torch.arange(5)).T
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    backbone, turn = perturbed(PaiNN(8, 4)).float(), torch.linalg.qr(torch.randn(3, 3).double())[0]
    for given in (pos, pos @ turn.T):
        vectors = call(backbone, given.float(), edge_index)[1].detach()[:, 0]
        assert float(vectors[0].norm() / vectors[1].norm()) < 1e-5


def test_without_a_cutoff_all_edges_count():
    backbone, pos = perturbed(PaiNN(8, 2, cutoff=math.inf)), 1e6 * torch.randn(3, 3).double()
    whole, part = (call(backbone, pos, edge_index) for edge_index in (PATH, PATH[:, :2]))
    for one, two in zip(whole, part, strict=True):
        assert float((one - two).detach().abs().max()) > 1e-3
    far = call(perturbed(PaiNN(8, 2)), pos, PATH)
    assert (far[1] == 0).all()


def test_repr_and_channels():
    backbone = PaiNN(8, 2, edge_channels=3, cond_channels=4, vector_channels=5)
    assert repr(backbone) == "PaiNN(8, num_layers=2)" and backbone.symmetry == "E"
    assert (backbone.hidden_channels, backbone.edge_channels) == (8, 3)
    assert (backbone.cond_channels, backbone.vector_channels) == (4, 5)


@pytest.mark.parametrize("options", [{"hidden_channels": 0}, {"num_layers": 0}, {"vector_channels": 0}])
def test_bad_sizes_are_named(options):
    with pytest.raises(ValueError, match="must be at least 1, but"):
        PaiNN(**options)


@pytest.mark.parametrize("options", [{"num_basis": 0}, {"cutoff": 0.0}, {"cutoff": -1.0}])
def test_bad_bases_are_named(options):
    with pytest.raises(ValueError, match="cutoff"):
        PaiNN(**options)
