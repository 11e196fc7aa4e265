"""A score network that reads an earlier estimate of its fields."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.fields import replace
from graphscore.nn import EGNN, Category, Feature, Vector
from graphscore.nn.edges.search import NearestNeighbors, extend_edges
from graphscore.nn.self_conditioned_network import SelfConditionedNetwork
from graphscore.testing import assert_batch_independent, assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
LEVELS = torch.linspace(-1, 1, 21).view(7, 3).double()
FIELDS = {"pos": 3, "x": 2, "v": 3}
KINDS = {"pos": "position", "v": "vector", "pos_estimate": "position", "v_estimate": "vector"}


EDGE_INPUTS = {"edge_attr": Feature(2, level="edge")}


def make_network(edges=4, fields=FIELDS, vectors=("v",), edge_inputs=None, **options) -> SelfConditionedNetwork:
    inputs = {"z": Category(4), **dict.fromkeys(vectors, Vector())}
    if edges:
        inputs |= EDGE_INPUTS if edge_inputs is None else edge_inputs
    network = SelfConditionedNetwork(EGNN(8, 2, edges, 4, 2), fields, inputs, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return network.double()


def make_batch(sizes=SIZES):
    graphs, generator = ragged_batch(sizes).to_data_list(), torch.Generator().manual_seed(1)
    for graph in graphs:
        for name, width in (("v", 3), ("pos_estimate", 3), ("x_estimate", 2), ("v_estimate", 3)):
            graph[name] = torch.randn(graph.num_nodes, width, generator=generator, dtype=torch.float64)
    return Batch.from_data_list(graphs)


KNN = NearestNeighbors(2)
CASES = {
    "edges": {},
    "no edge channels": {"edges": 0},
    "only edge input": {"edge_inputs": {}},
    "neighbors": {"neighbors": KNN},
    "neighbors, no edge channels": {"edges": 0, "neighbors": KNN},
}


@pytest.mark.parametrize("case", CASES)
def test_estimates_turn_with_the_graph(case):
    network = make_network(**CASES[case])
    outputs = {"pos": "vector", "x": "scalar", "v": "vector"}
    assert_equivariant(lambda b: network(b, LEVELS), make_batch(), inputs=KINDS, outputs=outputs)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["pos_estimate", "x_estimate", "v_estimate"])
def test_every_estimate_counts_for_every_field(case, name):
    network, batch = make_network(**CASES[case]), make_batch()
    before, after = network(batch, LEVELS), network(replace(batch, {name: 1.1 * batch[name]}), LEVELS)
    assert all((before[field] - after[field]).abs().max() > 1e-5 for field in FIELDS)


def test_where_the_estimate_is_means_nothing():
    """Not even if it moves alone."""
    network, batch = make_network(), make_batch()
    moved = replace(batch, {"pos_estimate": batch.pos_estimate + torch.randn(7, 3).double()[batch.batch]})
    assert_close(network(moved, LEVELS), network(batch, LEVELS), rtol=0, atol=1e-12)


def test_distances_in_the_estimate_count():
    """Between nodes whose own features, norms and products stay the same."""
    network, batch = make_network(), make_batch((4,))
    square = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]).double()
    one, other = (
        network(replace(batch, {"pos_estimate": x, "v_estimate": 0 * x, "v": 0 * x}), LEVELS[:1])["x"]
        for x in (square, square[[0, 2, 1, 3]])
    )
    assert (one - other).abs().max() > 1e-4


def test_edges_that_are_found_are_told_the_distance_too():
    """As if the edges had been found before."""
    network, batch = make_network(neighbors=KNN, edge_inputs={}), make_batch()
    edges, _ = extend_edges(KNN(batch.pos, batch.batch, 7), batch.edge_index, {}, {}, 13)
    output = network(batch, LEVELS)
    assert edges.shape[1] > batch.num_edges
    plain = make_network(edge_inputs={})
    plain.load_state_dict(network.state_dict())
    assert_close(output, plain(replace(batch, {"edge_index": edges}), LEVELS), rtol=0, atol=1e-12)


def test_graphs_are_independent_and_the_batch_stays_as_it_is():
    network, batch = make_network(neighbors=KNN), make_batch((4, 1, 5, 3))
    names = sorted(batch.keys())
    before = {name: batch[name].clone() for name in names if isinstance(batch[name], torch.Tensor)}

    def function(batch):
        return network(batch, torch.cat([batch.y, batch.y[:, :1]], dim=1))

    assert_batch_independent(function, batch, inputs=("pos", "x", "v", "pos_estimate", "x_estimate", "v_estimate"))
    function(batch)
    assert sorted(batch.keys()) == names
    assert all(torch.equal(batch[name], value) for name, value in before.items())


def test_positions_that_do_not_diffuse_have_no_estimate():
    network, batch = make_network(fields={"x": 2}, vectors=[]), make_batch()
    del batch.pos_estimate
    assert set(network(batch, LEVELS[:, :1])) == {"x"}


def test_graphs_without_positions():
    network, batch = make_network(fields={"x": 2}, positions=None, vectors=[]), make_batch()
    before = network(batch, LEVELS[:, :1])["x"]
    del batch.pos, batch.pos_estimate
    assert torch.equal(network(batch, LEVELS[:, :1])["x"], before)
    assert (network(replace(batch, {"x_estimate": -batch.x_estimate}), LEVELS[:, :1])["x"] != before).any()


def test_oriented_networks_read_estimates_as_plain_numbers():
    network, batch = make_network(oriented=True), make_batch()
    assert {"pos_estimate", "x_estimate", "v_estimate"} <= set(network.network.node_inputs)
    swapped = replace(batch, {name: batch[name][:, [1, 0, 2]] for name in ("pos_estimate", "v_estimate")})
    assert (network(batch, LEVELS)["x"] - network(swapped, LEVELS)["x"]).abs().max() > 1e-4


def test_a_fresh_network_moves_nothing():
    network = SelfConditionedNetwork(EGNN(8, 2, 0, 4), {"pos": 3, "x": 2}).double()
    assert all((value == 0).all() for value in network(make_batch(), LEVELS[:, :2]).values())


def test_a_missing_estimate_is_named():
    batch = make_batch()
    del batch.x_estimate
    with pytest.raises(ValueError, match="no attribute 'x_estimate'"):
        make_network()(batch, LEVELS)


@pytest.mark.parametrize("options", [{}, {"edges": 0}])
def test_a_batch_without_edges_is_named(options):
    with pytest.raises(ValueError, match=r"The batch has no edge_index \[2, E\]"):
        make_network(**options)(replace(make_batch(), {"edge_index": None}), LEVELS)
