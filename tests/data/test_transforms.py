"""Graphs with more edges and encodings of nodes: exact cases, then networkx as an independent judge of distances."""

from __future__ import annotations

import time

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from graphscore.data import CompleteGraph, HopGraph, LaplacianEncoding, RandomWalkEncoding
from graphscore.data.transforms import TRANSFORMS
from graphscore.linalg.encodings import laplacian_encoding, random_walk_encoding


def path_graph(n: int) -> Data:
    i = torch.arange(n - 1)
    edge_index = torch.cat([torch.stack([i, i + 1]), torch.stack([i + 1, i])], dim=1)
    return Data(edge_index=edge_index, bond=torch.arange(1, n).repeat(2), num_nodes=n)


def test_path_of_four_is_exactly_this():
    out = CompleteGraph("bond", max_hops=2)(path_graph(4))
    assert out.edge_index.tolist() == [
        [1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2],
        [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3],
    ]
    assert out.hops.tolist() == [1, 2, 3, 1, 1, 2, 2, 1, 1, 3, 2, 1]
    assert out.bond.tolist() == [1, 0, 0, 1, 2, 0, 0, 2, 3, 0, 0, 3]


def test_the_input_stays_as_it_is():
    data = path_graph(4)
    before = data.clone()
    out = CompleteGraph("bond")(data)
    assert data.keys() == before.keys()
    assert torch.equal(data.edge_index, before.edge_index) and torch.equal(data.bond, before.bond)
    assert out is not data and "hops" not in data


@given(st.integers(0, 12), st.floats(0, 1), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_hops_equal_shortest_paths_of_networkx(n: int, density: float, max_hops: int, seed: int):
    graph = nx.gnp_random_graph(n, density, seed=seed)
    pairs = [(u, v) for u, v in graph.to_directed().edges]
    edge_index = torch.tensor(sorted(pairs), dtype=torch.long).reshape(-1, 2).t()
    out = CompleteGraph(max_hops=max_hops)(Data(edge_index=edge_index, num_nodes=n))
    assert out.edge_index.t().tolist() == [[j, i] for i in range(n) for j in range(n) if i != j]
    paths = dict(nx.all_pairs_shortest_path_length(graph))
    expected = [min(paths[i].get(j, n + 9), max_hops + 1) for i, j in out.edge_index.t().tolist()]
    assert out.hops.tolist() == expected


@pytest.mark.parametrize("n", [0, 1])
def test_graphs_without_pairs(n: int):
    data = Data(edge_index=torch.empty(2, 0, dtype=torch.long), bond=torch.empty(0, dtype=torch.long), num_nodes=n)
    out = CompleteGraph("bond")(data)
    assert out.edge_index.shape == (2, 0) and out.hops.shape == (0,) and out.bond.shape == (0,)


def test_two_hundred_nodes_take_no_time():
    data, transform = path_graph(200), CompleteGraph("bond")
    transform(data)
    start = time.process_time()
    out = transform(data)
    assert time.process_time() - start < 0.5
    assert out.num_edges == 200 * 199


def test_bonds_survive_for_the_molecule():
    pytest.importorskip("rdkit")
    from graphscore.molecules.graph import canonical_smiles, data_from_smiles, mol_from_data

    data = data_from_smiles("CC(=O)[O-].[Na+]")
    out = CompleteGraph("bond")(data)
    assert canonical_smiles(mol_from_data(out)) == data.smiles
    hops_to_sodium = out.hops[(out.z[out.edge_index] == 11).any(dim=0)]
    assert set(hops_to_sodium.tolist()) == {5}


def test_hop_graph_of_a_path_of_four_is_exactly_this():
    out = HopGraph("bond", max_hops=2)(path_graph(4))
    assert out.edge_index.tolist() == [[1, 2, 0, 2, 3, 0, 1, 3, 1, 2], [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]]
    assert out.hops.tolist() == [1, 2, 1, 1, 2, 2, 1, 1, 2, 1]
    assert out.bond.tolist() == [1, 0, 1, 2, 0, 0, 2, 3, 0, 3]


@given(st.integers(0, 12), st.floats(0, 1), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_hop_graph_is_the_near_part_of_the_complete_graph(n: int, density: float, max_hops: int, seed: int):
    pairs = list(nx.gnp_random_graph(n, density, seed=seed).to_directed().edges)
    edge_index = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t()
    data = Data(edge_index=edge_index, bond=1 + torch.arange(len(pairs)), num_nodes=n)
    complete, sparse = (transform("bond", max_hops)(data) for transform in (CompleteGraph, HopGraph))
    near = complete.hops <= max_hops
    expected = zip(
        *complete.edge_index[:, near].tolist(), complete.hops[near].tolist(), complete.bond[near].tolist(), strict=True
    )
    got = zip(*sparse.edge_index.tolist(), sparse.hops.tolist(), sparse.bond.tolist(), strict=True)
    assert list(got) == sorted(expected, key=lambda edge: edge[1::-1])


def test_encodings_of_the_original_edges():
    data = path_graph(5)
    index = torch.zeros(5, dtype=torch.long)
    out = HopGraph("bond")(RandomWalkEncoding(steps=4)(LaplacianEncoding(k=3)(data)))
    assert torch.equal(out.laplacian, laplacian_encoding(data.edge_index, index, 1, 3))
    assert torch.equal(out.random_walk, random_walk_encoding(data.edge_index, index, 1, 4))
    batch = Batch.from_data_list([out, out])
    assert batch.laplacian.shape == (10, 3) and batch.random_walk.shape == (10, 4)
    assert torch.equal(batch[1].random_walk, out.random_walk)
    assert "laplacian" not in data and "random_walk" not in data
    lonely = RandomWalkEncoding(2)(LaplacianEncoding(2)(Data(num_nodes=1)))
    assert lonely.laplacian.tolist() == lonely.random_walk.tolist() == [[0, 0]]


@pytest.mark.parametrize("transform", [LaplacianEncoding(2), RandomWalkEncoding(2)], ids=lambda t: repr(t))
def test_encodings_of_other_edges_than_the_datas_are_refused(transform):
    with pytest.raises(ValueError, match=f"{type(transform).__name__} encodes the edges of the data.*come first"):
        transform(CompleteGraph("bond")(path_graph(4)))


def test_names_and_options():
    made = [TRANSFORMS[name](**options) for name, options in {
        "complete-graph": {"edge_type": "bond", "max_hops": 4}, "hop-graph": {"edge_type": "bond", "max_hops": 3},
        "laplacian-encoding": {"k": 8}, "random-walk-encoding": {"steps": 16},
    }.items()]  # fmt: skip
    assert [repr(transform) for transform in made] == [
        "CompleteGraph(edge_type='bond', max_hops=4)",
        "HopGraph(edge_type='bond', max_hops=3)",
        "LaplacianEncoding(k=8)",
        "RandomWalkEncoding(steps=16)",
    ]
    for name, options in (("hop-graph", "max_hops"), ("laplacian-encoding", "k"), ("random-walk-encoding", "steps")):
        with pytest.raises(ValueError, match=f"{options} must (be at least 1|lie between 1 and 1024), but is 0"):
            TRANSFORMS[name](**{options: 0})


def test_edge_attributes_are_never_lost_unnoticed():
    data = path_graph(4)
    data.length = torch.ones(6, 1)
    with pytest.raises(ValueError, match=r"edge attributes \['length'\]"):
        CompleteGraph("bond")(data)
    with pytest.raises(ValueError, match=r"edge attributes \['bond'\]"):
        CompleteGraph()(path_graph(4))
    ring = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), bond=torch.ones(2, dtype=torch.long), num_nodes=2)
    with pytest.raises(ValueError, match=r"edge attributes \['bond'\]"):  # as many edges as nodes
        CompleteGraph()(ring)
    with pytest.raises(ValueError, match=r"'kind' of shape \[6\]; got none"):
        CompleteGraph("kind")(Data(edge_index=path_graph(4).edge_index, num_nodes=4))
    with pytest.raises(ValueError, match="hops"):  # distances of the complete graph would be wrong
        CompleteGraph("bond")(CompleteGraph("bond")(path_graph(4)))
    with pytest.raises(
        ValueError, match=r"HopGraph keeps 'bond' .* attributes \['hops'\]; it has been transformed already"
    ):
        HopGraph("bond")(HopGraph("bond")(path_graph(4)))
    with pytest.raises(ValueError, match="max_hops"):
        CompleteGraph(max_hops=0)


@pytest.mark.parametrize(
    "transform", [CompleteGraph(), HopGraph(), LaplacianEncoding(2), RandomWalkEncoding(2)], ids=repr
)
def test_edges_that_are_none_are_named_and_whole_numbers_taken(transform):
    data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
    for edge_index, words in (
        (torch.zeros(4, 2).long(), r"Expected edge_index to have the shape \[2, E\], but it is \[4, 2\]: transpose it"),
        (torch.tensor([[0, 3], [3, 0]]), "numbers of nodes from 0 to 2, but it has 3"),
        (torch.tensor([[0, 0.5], [1, 0]]), "whole numbers of nodes"),
    ):
        with pytest.raises(ValueError, match=words):
            transform(Data(edge_index=edge_index, num_nodes=3))
    real = transform(Data(edge_index=data.edge_index.float(), num_nodes=3))
    for name, value in transform(data).to_dict().items():
        assert name == "edge_index" or torch.equal(torch.as_tensor(real[name]), torch.as_tensor(value))
    assert transform(Data(num_nodes=3)).num_nodes == 3
